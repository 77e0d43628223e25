//! Keys and values of past positions, kept as an explicit value in the layout that attention reads.

use super::quantised::Quantised;
use crate::aligned::Aligned;
use crate::context::Context;
use crate::error::Error;
use crate::kernels::{Matrix, PANEL};
use half::{bf16, f16};
use std::sync::{Mutex, PoisonError};

/// How a [`KvCache`] keeps its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvStorage {
    /// Exact.
    F32,
    /// Rounded to 11 bits (relative error ≤ 2⁻¹¹ within ±65504).
    F16,
    /// Rounded to 8 bits (relative error ≤ 2⁻⁸).
    Bf16,
    /// Whole numbers in ∓127 times a scale, one for a head's key and one for a channel of a head's values over all positions
    /// (an error up to a 254th of the largest among them): the cache can only be filled as a whole. Where the level has VNNI,
    /// queries and weights are rounded to them, whatever the context says of activations.
    Int8,
}

/// The keys and values of one attention layer, of up to `capacity` positions.
///
/// Layout, per head: keys in panels of 32 positions, `[positions / 32][head_dim][32]`, so that the lanes of a
/// vector are positions and a score needs no horizontal sum; values `[position][head_dim]`, rows padded to 32.
/// All memory is taken at creation; cloning copies it.
#[derive(Clone, Debug)]
pub struct KvCache {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    capacity: usize,
    len: usize,
    data: Data,
}

/// Keys and values.
#[derive(Clone, Debug)]
enum Data {
    F32(Aligned<f32>, Aligned<f32>),
    F16(Aligned<f16>, Aligned<f16>),
    Bf16(Aligned<bf16>, Aligned<bf16>),
    Int8(Quantised),
}

/// The row length of stored values.
pub(super) fn padded(head_dim: usize) -> usize {
    head_dim.next_multiple_of(PANEL)
}

/// Writes one head of one position: `k` and `v` hold `head_dim` numbers, `keys` and `values` are that head's.
pub(super) fn put<T>(
    k: &[f32],
    v: &[f32],
    position: usize,
    keys: &mut [T],
    values: &mut [T],
    narrow: impl Fn(f32) -> T,
) {
    let head_dim = k.len();
    let panel = &mut keys[position / PANEL * PANEL * head_dim..][..PANEL * head_dim];
    for (i, &k) in k.iter().enumerate() {
        panel[i * PANEL + position % PANEL] = narrow(k);
    }
    let row = &mut values[position * padded(head_dim)..][..head_dim];
    row.iter_mut().zip(v).for_each(|(to, &v)| *to = narrow(v));
}

impl KvCache {
    /// An empty cache for `capacity` positions of `heads` × `head_dim` numbers.
    #[must_use]
    pub fn new(heads: usize, head_dim: usize, capacity: usize, storage: KvStorage) -> Self {
        let keys = heads * capacity.next_multiple_of(PANEL) * head_dim;
        let values = heads * capacity * padded(head_dim);
        let data = match storage {
            KvStorage::F32 => Data::F32(Aligned::zeroed(keys), Aligned::zeroed(values)),
            KvStorage::F16 => Data::F16(Aligned::zeroed(keys), Aligned::zeroed(values)),
            KvStorage::Bf16 => Data::Bf16(Aligned::zeroed(keys), Aligned::zeroed(values)),
            KvStorage::Int8 => Data::Int8(Quantised::new(heads, head_dim, capacity)),
        };
        Self { heads, head_dim, capacity, len: 0, data }
    }

    /// An empty cache of the same shape and storage.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        let storage = match self.data {
            Data::F32(..) => KvStorage::F32,
            Data::F16(..) => KvStorage::F16,
            Data::Bf16(..) => KvStorage::Bf16,
            Data::Int8(_) => KvStorage::Int8,
        };
        Self::new(self.heads, self.head_dim, self.capacity, storage)
    }

    /// Positions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of one key and value position, padding included.
    #[must_use]
    pub fn bytes_per_position(&self) -> usize {
        let numbers = self.head_dim + padded(self.head_dim);
        self.heads
            * match &self.data {
                Data::F32(..) => 4 * numbers,
                Data::F16(..) | Data::Bf16(..) => 2 * numbers,
                Data::Int8(_) => Quantised::bytes_per_position(self.head_dim),
            }
    }

    /// Forgets all positions from `len` on; does nothing when it holds fewer.
    pub fn truncate(&mut self, len: usize) {
        if let Data::Int8(quantised) = &mut self.data {
            quantised.truncate(len, self.len);
        }
        self.len = self.len.min(len);
    }

    /// Appends the positions of `k` and `v`, both `[positions, heads · head_dim]` row-major.
    ///
    /// # Errors
    /// When the rows are not whole, the two differ in length, there is no room, or the storage is [`KvStorage::Int8`]; then
    /// nothing is appended.
    pub fn extend(&mut self, k: &[f32], v: &[f32]) -> Result<(), Error> {
        let width = self.heads * self.head_dim;
        if k.len() != v.len() || width == 0 || !k.len().is_multiple_of(width) {
            let why = format!("keys hold {} numbers, values {}, a position {width}", k.len(), v.len());
            return Err(Error::new("extending a key/value cache", why, "pass [positions, heads · head_dim]"));
        }
        let count = k.len() / width;
        if count > self.capacity - self.len {
            let why = format!("{count} positions do not fit behind {} of {}", self.len, self.capacity);
            return Err(Error::new("extending a key/value cache", why, "create it with a larger capacity"));
        }
        let (heads, head_dim, first) = (self.heads, self.head_dim, self.len);
        match &mut self.data {
            Data::F32(keys, values) => append(k, v, heads, head_dim, first, keys, values, |x| x),
            Data::F16(keys, values) => append(k, v, heads, head_dim, first, keys, values, f16::from_f32),
            Data::Bf16(keys, values) => append(k, v, heads, head_dim, first, keys, values, round_to_bf16),
            Data::Int8(_) if count == 0 => {}
            Data::Int8(_) => {
                let why = "whole numbers have one scale over all positions, so that none can be appended";
                return Err(Error::new("extending a key/value cache", why, "fill it, or keep it in bf16"));
            }
        }
        self.len += count;
        Ok(())
    }

    /// As an emptied cache's [`Self::extend`], on the threads of `ctx`: how cross attention's keys and values come in.
    ///
    /// # Errors
    /// As [`Self::extend`]; then the cache is empty.
    pub fn fill(&mut self, ctx: &Context, k: &[f32], v: &[f32]) -> Result<(), Error> {
        self.len = 0;
        let width = self.heads * self.head_dim;
        if k.len() != v.len() || width == 0 || !k.len().is_multiple_of(width) {
            return self.extend(k, v);
        }
        let count = k.len() / width;
        if count > self.capacity {
            return self.extend(k, v);
        }
        if count == 0 {
            return Ok(());
        }
        let (heads, head_dim) = (self.heads, self.head_dim);
        match &mut self.data {
            Data::F32(keys, values) => fill(ctx, k, v, heads, head_dim, keys, values, |x| x),
            Data::F16(keys, values) => fill(ctx, k, v, heads, head_dim, keys, values, f16::from_f32),
            Data::Bf16(keys, values) => fill(ctx, k, v, heads, head_dim, keys, values, round_to_bf16),
            Data::Int8(quantised) => quantised.fill(ctx, k, v, heads),
        }
        self.len = count;
        Ok(())
    }

    /// Makes this cache hold what `other` holds, without allocating when the shapes agree and the numbers are
    /// floats: how beams change place.
    pub fn copy_from(&mut self, other: &Self) {
        let same =
            (self.heads, self.head_dim, self.capacity) == (other.heads, other.head_dim, other.capacity);
        let (heads, head_dim, len) = (other.heads, other.head_dim, other.len);
        match (&mut self.data, &other.data) {
            (Data::F32(k, v), Data::F32(from_k, from_v)) if same => {
                copy(k, from_k, v, from_v, heads, head_dim, len);
            }
            (Data::F16(k, v), Data::F16(from_k, from_v)) if same => {
                copy(k, from_k, v, from_v, heads, head_dim, len);
            }
            (Data::Bf16(k, v), Data::Bf16(from_k, from_v)) if same => {
                copy(k, from_k, v, from_v, heads, head_dim, len);
            }
            _ => *self = other.clone(),
        }
        self.len = len;
    }

    /// Keys and values that are whole numbers.
    pub(super) fn quantised(&self) -> Option<&Quantised> {
        if let Data::Int8(quantised) = &self.data { Some(quantised) } else { None }
    }

    /// The keys of one head: panel `panel`, `[head_dim][32]`.
    pub(super) fn keys(&self, head: usize, panel: usize) -> Matrix<'_> {
        let size = PANEL * self.head_dim;
        let from = head * self.capacity.next_multiple_of(PANEL) * self.head_dim + panel * size;
        match &self.data {
            Data::F32(k, _) => Matrix::F32(&k[from..from + size]),
            Data::F16(k, _) => Matrix::F16(&k[from..from + size]),
            Data::Bf16(k, _) => Matrix::Bf16(&k[from..from + size]),
            Data::Int8(_) => unreachable!("whole numbers are asked for as such"),
        }
    }

    /// The values of one head, `[len][padded head_dim]`.
    pub(super) fn values(&self, head: usize) -> Matrix<'_> {
        let row = padded(self.head_dim);
        let range = head * self.capacity * row..(head * self.capacity + self.len) * row;
        match &self.data {
            Data::F32(_, v) => Matrix::F32(&v[range]),
            Data::F16(_, v) => Matrix::F16(&v[range]),
            Data::Bf16(_, v) => Matrix::Bf16(&v[range]),
            Data::Int8(_) => unreachable!("whole numbers are asked for as such"),
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "two slices each of source and target, and their shape")]
fn append<T>(
    k: &[f32],
    v: &[f32],
    heads: usize,
    head_dim: usize,
    first: usize,
    keys: &mut [T],
    values: &mut [T],
    narrow: impl Fn(f32) -> T + Copy,
) {
    let (keys_per_head, values_per_head) = (keys.len() / heads, values.len() / heads);
    for (i, (k, v)) in k.chunks_exact(head_dim).zip(v.chunks_exact(head_dim)).enumerate() {
        let (position, head) = (first + i / heads, i % heads);
        let keys = &mut keys[head * keys_per_head..][..keys_per_head];
        let values = &mut values[head * values_per_head..][..values_per_head];
        put(k, v, position, keys, values, narrow);
    }
}

/// `bf16::from_f32` (to nearest, ties to even; NaN stays NaN) without a branch, for loops that the compiler vectorises.
fn round_to_bf16(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let nan = bits >> 16 | 0x40;
    bf16::from_bits(if x.is_nan() { nan } else { rounded } as u16)
}

/// Writes all positions, head by head. A panel's keys are narrowed row by row first, then turned.
#[allow(clippy::too_many_arguments, reason = "two slices each of source and target, and their shape")]
fn fill<T: Copy + Default + Send>(
    ctx: &Context,
    k: &[f32],
    v: &[f32],
    heads: usize,
    head_dim: usize,
    keys: &mut [T],
    values: &mut [T],
    narrow: impl Fn(f32) -> T + Copy + Send + Sync,
) {
    let width = heads * head_dim;
    let of_heads =
        keys.chunks_exact_mut(keys.len() / heads).zip(values.chunks_exact_mut(values.len() / heads));
    // One task a head takes its own lock: never waited for.
    let of_heads: Vec<_> = of_heads.map(Mutex::new).collect();
    ctx.run(heads, |head| {
        let mut of_head = of_heads[head].lock().unwrap_or_else(PoisonError::into_inner);
        let (keys, values) = &mut *of_head;
        let part = |row: &[f32]| head * head_dim..(head * head_dim + head_dim).min(row.len());
        for (row, to) in v.chunks_exact(width).zip(values.chunks_exact_mut(padded(head_dim))) {
            to.iter_mut().zip(&row[part(row)]).for_each(|(to, &v)| *to = narrow(v));
        }
        let mut rows = vec![T::default(); PANEL * head_dim];
        for (k, panel) in k.chunks(PANEL * width).zip(keys.chunks_exact_mut(PANEL * head_dim)) {
            for (row, to) in k.chunks_exact(width).zip(rows.chunks_exact_mut(head_dim)) {
                to.iter_mut().zip(&row[part(row)]).for_each(|(to, &k)| *to = narrow(k));
            }
            for (i, to) in panel.chunks_exact_mut(PANEL).enumerate().take(head_dim) {
                to.iter_mut().zip(rows[i..].iter().step_by(head_dim)).for_each(|(to, &k)| *to = k);
            }
        }
    });
}

/// Copies the first `len` positions of every head (whole panels of keys).
fn copy<T: Copy>(
    k: &mut [T],
    from_k: &[T],
    v: &mut [T],
    from_v: &[T],
    heads: usize,
    head_dim: usize,
    len: usize,
) {
    if heads == 0 {
        return;
    }
    let (keys, values) = (k.len() / heads, v.len() / heads);
    let (used_keys, used_values) = (len.next_multiple_of(PANEL) * head_dim, len * padded(head_dim));
    for head in 0..heads {
        k[head * keys..][..used_keys].copy_from_slice(&from_k[head * keys..][..used_keys]);
        v[head * values..][..used_values].copy_from_slice(&from_v[head * values..][..used_values]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_without_a_branch_is_that_of_half() {
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                assert_eq!(round_to_bf16(x).to_bits(), bf16::from_f32(x).to_bits(), "{x:e} {high:x} {low:x}");
            }
        }
    }
}
