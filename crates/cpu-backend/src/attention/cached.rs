//! A few queries against cached keys and values: the attention of a decoding step.

use super::Mask;
use super::cache::{KvCache, padded};
use crate::context::Context;
use crate::kernels::{Disjoint, PANEL, WORD_ROWS};
use crate::scratch;

/// Queries that share one reading of keys and values.
const GROUP: usize = 8;
/// Keys and values below which a share is not worth another thread, in bytes.
const LEAST_BYTES: usize = 64 * 1024;

/// Whose keys and values the queries attend to.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'a> {
    /// All queries to one cache: cross attention, or the rows of one sequence.
    Shared(&'a KvCache),
    /// Query r to cache r: self attention of beams. All caches have the same heads.
    Each(&'a [&'a KvCache]),
}

impl<'a> Keys<'a> {
    fn first(&self) -> Option<&'a KvCache> {
        match self {
            Self::Shared(cache) => Some(cache),
            Self::Each(caches) => caches.first().copied(),
        }
    }
}

/// A wish for the scores before the softmax, as word alignment needs them.
#[derive(Debug)]
pub struct Scores<'a> {
    /// Which heads.
    pub heads: &'a [usize],
    /// `[rows, heads.len(), keys]`, where keys is the largest cache's length; −∞ where a query sees no key.
    pub out: &'a mut [f32],
}

/// `out[r] = softmax(scale · q[r]·Kᵀ)·V` per head, for `q` and `out` `[rows, heads · head_dim]`.
///
/// With [`Mask::Causal`] and shared keys the queries are the last `rows` positions of the cache. Products and sums
/// are f32 whatever the cache stores, but that queries and weights are rounded to 16 bits where it stores whole numbers and
/// the level has VNNI; a query that sees no key gives zeros.
///
/// # Panics
/// When a length disagrees with the caches' shape, a head of `scores` does not exist, or caches differ in heads.
pub fn attend(
    ctx: &Context,
    q: &[f32],
    keys: Keys,
    mask: Mask,
    scale: f32,
    scores: Option<Scores>,
    out: &mut [f32],
) {
    assert_eq!(q.len(), out.len(), "q and out are of one shape");
    let Some(shape) = keys.first() else {
        assert!(q.is_empty(), "queries without a cache");
        return;
    };
    let (heads, head_dim) = (shape.heads, shape.head_dim);
    let width = heads * head_dim;
    assert!(width > 0 && q.len().is_multiple_of(width), "q is rows of {heads} × {head_dim}");
    let rows = q.len() / width;
    let (group, longest) = match keys {
        Keys::Shared(cache) if cache.quantised().is_some() => (WORD_ROWS, cache.len()),
        Keys::Shared(cache) => (GROUP, cache.len()),
        Keys::Each(caches) => {
            assert_eq!(caches.len(), rows, "one cache a query");
            assert!(caches.iter().all(|c| (c.heads, c.head_dim) == (heads, head_dim)), "caches of one shape");
            (1, caches.iter().map(|c| c.len()).max().unwrap_or(0))
        }
    };
    let (wanted, wanted_heads) = match scores {
        Some(Scores { heads: list, out }) => {
            assert!(list.iter().all(|&h| h < heads), "scores of heads {list:?} of {heads}");
            assert_eq!(
                out.len(),
                rows * list.len() * longest,
                "scores are [{rows}, {}, {longest}]",
                list.len()
            );
            (Disjoint::new(out), list)
        }
        None => (Disjoint::new(&mut []), &[][..]),
    };
    let groups = rows.div_ceil(group);
    let bytes = (longest * shape.bytes_per_position() / heads).max(1);
    let out = Disjoint::new(out);
    ctx.split(heads * groups, LEAST_BYTES.div_ceil(bytes), |share| {
        for task in share {
            let (head, first) = (task / groups, task % groups * group);
            let count = group.min(rows - first);
            let cache = match keys {
                Keys::Shared(cache) => cache,
                Keys::Each(caches) => caches[first],
            };
            let sees = |row: usize| match keys {
                Keys::Shared(_) => mask.visible(first + row, rows, cache.len()),
                Keys::Each(_) => cache.len(),
            };
            let stride = cache.len().next_multiple_of(PANEL);
            let row_len = padded(head_dim);
            scratch::with(count * (head_dim + stride + row_len), |scratch| {
                let (queries, rest) = scratch.split_at_mut(count * head_dim);
                let (weights, sums) = rest.split_at_mut(count * stride);
                for (row, to) in queries.chunks_exact_mut(head_dim).enumerate() {
                    let from = &q[(first + row) * width + head * head_dim..][..head_dim];
                    to.iter_mut().zip(from).for_each(|(to, q)| *to = q * scale);
                }
                score(ctx, cache, head, queries, weights, stride, count);
                for (slot, _) in wanted_heads.iter().enumerate().filter(|&(_, &h)| h == head) {
                    for row in 0..count {
                        let at = ((first + row) * wanted_heads.len() + slot) * longest;
                        // SAFETY: (row, slot) belongs to this task alone.
                        let to = unsafe { wanted.part(at, longest) };
                        to.fill(f32::NEG_INFINITY);
                        let n = sees(row);
                        to[..n].copy_from_slice(&weights[row * stride..][..n]);
                    }
                }
                let mut inverse = [0.0_f32; GROUP];
                for row in 0..count {
                    let weights = &mut weights[row * stride..][..cache.len()];
                    let (seen, hidden) = weights.split_at_mut(sees(row));
                    hidden.fill(0.0);
                    if !seen.is_empty() {
                        let most = ctx.level().largest(seen);
                        inverse[row] = 1.0 / ctx.level().exp_sum(seen, most);
                    }
                }
                mix(ctx, cache, head, weights, sums, stride, count);
                for row in 0..count {
                    let at = (first + row) * width + head * head_dim;
                    // SAFETY: this head of this row belongs to this task alone.
                    let to = unsafe { out.part(at, head_dim) };
                    to.iter_mut().zip(&sums[row * row_len..]).for_each(|(to, v)| *to = v * inverse[row]);
                }
            });
        }
    });
}

/// `weights[row][position] = queries[row] · key[position]` for `count` rows at stride `stride`.
fn score(
    ctx: &Context,
    cache: &KvCache,
    head: usize,
    queries: &[f32],
    weights: &mut [f32],
    stride: usize,
    count: usize,
) {
    let head_dim = cache.head_dim;
    if let Some(quantised) = cache.quantised() {
        quantised.score(ctx.level(), head, queries, cache.len(), weights, stride);
        return;
    }
    for panel in 0..cache.len().div_ceil(PANEL) {
        let keys = cache.keys(head, panel);
        let to = &mut weights[panel * PANEL..];
        ctx.level().few_rows(count, queries, head_dim, keys, PANEL, head_dim, PANEL, to, stride);
    }
}

/// `sums[row] = Σ weights[row][position] · value[position]`, in rows padded to panels.
fn mix(
    ctx: &Context,
    cache: &KvCache,
    head: usize,
    weights: &[f32],
    sums: &mut [f32],
    stride: usize,
    count: usize,
) {
    let (row_len, len) = (padded(cache.head_dim), cache.len());
    if let Some(quantised) = cache.quantised() {
        quantised.mix(ctx.level(), head, weights, stride, len, sums);
        return;
    }
    let values = cache.values(head);
    ctx.level().few_rows(count, weights, stride, values, row_len, len, row_len, sums, row_len);
}
