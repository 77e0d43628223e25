//! Keys and values in 8 bits: half of what a decoding step reads of the audio in bf16, multiplied as weights are.

use super::cache::padded;
use crate::aligned::Aligned;
use crate::context::Context;
use crate::kernels::{Disjoint, MAX_BYTE_DEPTH, Matrix, PANEL, Words, word_stride};
use crate::level::Level;
use crate::scratch;

/// Added to a number below 2²², leaves it in the lowest bits, rounded to nearest, ties to even.
const ROUND: f32 = 1.5 * (1 << 23) as f32;

/// Whole numbers in ∓127 with one scale per position of a head's keys and per channel of its values.
///
/// Per head, both are what products read ([`Matrix::I8Quads`]): keys in panels of 32 positions, quads of channels; values
/// in panels of 32 channels, quads of positions.
#[derive(Clone, Debug)]
pub(super) struct Quantised {
    head_dim: usize,
    /// Positions that it has room for, in whole panels.
    room: usize,
    keys: Aligned<i8>,
    /// `[heads, room]`
    key_scales: Aligned<f32>,
    key_sums: Aligned<f32>,
    values: Aligned<i8>,
    /// `[heads, head_dim]`, padded.
    value_scales: Aligned<f32>,
    value_sums: Aligned<f32>,
}

impl Quantised {
    pub(super) fn new(heads: usize, head_dim: usize, capacity: usize) -> Self {
        let (room, channels) = (capacity.next_multiple_of(PANEL), padded(head_dim));
        Self {
            head_dim,
            room,
            keys: Aligned::zeroed(heads * room * head_dim.next_multiple_of(4)),
            key_scales: Aligned::zeroed(heads * room),
            key_sums: Aligned::zeroed(heads * room),
            values: Aligned::zeroed(heads * room * channels),
            value_scales: Aligned::zeroed(heads * channels),
            value_sums: Aligned::zeroed(heads * channels),
        }
    }

    /// Bytes of a head's position, scales and sums of the keys included.
    pub(super) fn bytes_per_position(head_dim: usize) -> usize {
        head_dim.next_multiple_of(4) + padded(head_dim) + 8
    }

    /// Takes the positions of `k` and `v` `[positions, heads · head_dim]` instead of what it held.
    pub(super) fn fill(&mut self, ctx: &Context, k: &[f32], v: &[f32], heads: usize) {
        let (head_dim, room, channels) = (self.head_dim, self.room, padded(self.head_dim));
        let (width, depth) = (heads * head_dim, head_dim.next_multiple_of(4));
        let keys = Disjoint::new(&mut self.keys);
        let of_keys = [&mut self.key_scales, &mut self.key_sums].map(|of| Disjoint::new(of));
        let values = Disjoint::new(&mut self.values);
        let of_values = [&mut self.value_scales, &mut self.value_sums].map(|of| Disjoint::new(of));
        let level = ctx.level();
        ctx.run(heads, |head| {
            let part = head * head_dim..(head + 1) * head_dim;
            // SAFETY: each head's numbers belong to one task.
            unsafe {
                let keys = keys.part(head * room * depth, room * depth);
                let [scales, sums] = of_keys.each_ref().map(|of| of.part(head * room, room));
                let k = k.chunks_exact(width).map(|row| &row[part.clone()]);
                level.vectorised(|| fill_keys(k, depth, keys, scales, sums));
                let values = values.part(head * room * channels, room * channels);
                let [scales, sums] = of_values.each_ref().map(|of| of.part(head * channels, channels));
                let v = |position: usize| v.get(position * width..).and_then(|v| v.get(part.clone()));
                level.vectorised(|| fill_values(v, room, values, scales, sums));
            }
        });
    }

    /// Forgets the values of positions `len..held` (keys that nobody asks for do no harm).
    pub(super) fn truncate(&mut self, len: usize, held: usize) {
        let channels = padded(self.head_dim);
        let heads = self.values.chunks_exact_mut((self.room * channels).max(1));
        for (values, sums) in heads.zip(self.value_sums.chunks_exact_mut(channels.max(1))) {
            for (panel, sums) in values.chunks_exact_mut(self.room * PANEL).zip(sums.chunks_exact_mut(PANEL))
            {
                for position in len..held {
                    for (channel, sum) in sums.iter_mut().enumerate() {
                        let value = &mut panel[(position / 4 * PANEL + channel) * 4 + position % 4];
                        *sum -= f32::from(*value);
                        *value = 0;
                    }
                }
            }
        }
    }

    /// `scores[row][position] = queries[row] · key[position]` of one head, for rows of `head_dim` queries and of `stride`
    /// scores, of which the first `len` mean something.
    pub(super) fn score(
        &self,
        level: Level,
        head: usize,
        queries: &[f32],
        len: usize,
        scores: &mut [f32],
        stride: usize,
    ) {
        if len == 0 {
            return;
        }
        let depth = self.head_dim.next_multiple_of(4);
        let keys = &self.keys[head * self.room * depth..][..self.room * depth];
        let sums = &self.key_sums[head * self.room..][..self.room];
        let panels = len.div_ceil(PANEL);
        Rows::with(level, queries, self.head_dim, self.head_dim, |rows| {
            let panels = keys.chunks_exact(PANEL * depth).zip(sums.as_chunks::<PANEL>().0).take(panels);
            for (panel, (keys, sums)) in panels.enumerate() {
                rows.multiply(level, keys, sums, &mut scores[panel * PANEL..], stride);
            }
        });
        for scores in scores.chunks_mut(stride) {
            let scales = &self.key_scales[head * self.room..][..len];
            scores.iter_mut().zip(scales).for_each(|(score, scale)| *score *= scale);
        }
    }

    /// `mixed[row] = Σ weights[row][position] · value[position]` of one head, for rows of `stride` weights, the first `len` of
    /// which count, and rows of `mixed` padded to panels.
    pub(super) fn mix(
        &self,
        level: Level,
        head: usize,
        weights: &[f32],
        stride: usize,
        len: usize,
        mixed: &mut [f32],
    ) {
        if len == 0 {
            mixed.fill(0.0);
            return;
        }
        let channels = padded(self.head_dim);
        let values = &self.values[head * self.room * channels..][..self.room * channels];
        let sums = &self.value_sums[head * channels..][..channels];
        Rows::with(level, weights, stride, len, |rows| {
            let panels = values.chunks_exact(PANEL * self.room).zip(sums.as_chunks::<PANEL>().0);
            for (panel, (values, sums)) in panels.enumerate() {
                rows.multiply(level, values, sums, &mut mixed[panel * PANEL..], channels);
            }
        });
        for mixed in mixed.chunks_mut(channels) {
            let scales = &self.value_scales[head * channels..][..channels];
            mixed.iter_mut().zip(scales).for_each(|(mixed, scale)| *mixed *= scale);
        }
    }
}

/// Quantises each row of `k` by itself.
#[inline(always)]
fn fill_keys<'a>(
    k: impl Iterator<Item = &'a [f32]>,
    depth: usize,
    keys: &mut [i8],
    scales: &mut [f32],
    sums: &mut [f32],
) {
    let mut whole = vec![0_i8; depth];
    for (position, k) in k.enumerate() {
        let scale = f32::from_bits(k.iter().map(|&k| size(k)).fold(0, i32::max).cast_unsigned()) / 127.0;
        let inverse = inverse(scale);
        whole.iter_mut().zip(k).for_each(|(to, &k)| *to = rounded(k * inverse));
        scales[position] = scale;
        sums[position] = whole.iter().map(|&q| i32::from(q)).sum::<i32>() as f32;
        let panel = &mut keys[position / PANEL * PANEL * depth..][..PANEL * depth];
        let to = panel.as_chunks_mut::<4>().0.iter_mut().skip(position % PANEL).step_by(PANEL);
        to.zip(whole.as_chunks::<4>().0).for_each(|(to, four)| *to = *four);
    }
}

/// Quantises each channel by itself, zeros beyond the last position that `v` has.
#[inline(always)]
fn fill_values<'a>(
    v: impl Fn(usize) -> Option<&'a [f32]>,
    room: usize,
    values: &mut [i8],
    scales: &mut [f32],
    sums: &mut [f32],
) {
    let channels = scales.len();
    let mut sizes = vec![0; channels];
    for row in (0..room).map_while(&v) {
        sizes.iter_mut().zip(row).for_each(|(most, &v)| *most = size(v).max(*most));
    }
    scales.iter_mut().zip(sizes).for_each(|(to, size)| *to = f32::from_bits(size.cast_unsigned()) / 127.0);
    let inverses: Vec<f32> = scales.iter().map(|&scale| inverse(scale)).collect();
    let mut totals = vec![0_i32; channels];
    let mut whole = vec![[0_i8; 4]; channels];
    let mut row_of = vec![0_i8; channels];
    for quad in 0..room / 4 {
        whole.fill([0; 4]);
        for of_quad in 0..4 {
            let Some(row) = v(4 * quad + of_quad) else { continue };
            let each = row_of.iter_mut().zip(row).zip(&inverses);
            each.for_each(|((to, &v), inverse)| *to = rounded(v * inverse));
            totals.iter_mut().zip(&row_of).for_each(|(total, &q)| *total += i32::from(q));
            whole.iter_mut().zip(&row_of).for_each(|(to, &q)| to[of_quad] = q);
        }
        for (panel, whole) in whole.chunks_exact(PANEL).enumerate() {
            let to = &mut values[(panel * room + 4 * quad) * PANEL..][..4 * PANEL];
            to.copy_from_slice(whole.as_flattened());
        }
    }
    sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = total as f32);
}

/// |x| in bits, which are in the order of the numbers, infinity above them and NaN above that; whole numbers' largest is
/// found by vector instructions that every processor has.
fn size(x: f32) -> i32 {
    x.abs().to_bits().cast_signed()
}

/// 0 for a scale so small that it has no inverse, or that is no number: what is quantised by it is left to the scale.
fn inverse(scale: f32) -> f32 {
    if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 }
}

/// To nearest, ties to even, of a number in ∓127.5 (of others, any); no call and no branch, for loops that are vectorised.
fn rounded(x: f32) -> i8 {
    (x + ROUND).to_bits() as i8
}

/// Left operands of products with whole numbers, as the level has them: in 16 bits, or in f32.
enum Rows<'a> {
    Words(Words<'a>),
    /// `[rows, depth]`, padded, every second one smaller by [`Level::odd`].
    Floats {
        x: &'a [f32],
        depth: usize,
    },
}

impl Rows<'_> {
    /// Prepares rows of `len` numbers, `stride` apart.
    fn with(level: Level, x: &[f32], stride: usize, len: usize, f: impl FnOnce(Rows)) {
        let rows = x.chunks(stride.max(1)).len();
        // Sums of 32 bits end where those of layers do.
        if level.multiplies_words() && len <= MAX_BYTE_DEPTH {
            let size = word_stride(len);
            scratch::with(rows, |steps| {
                scratch::with_bytes(rows * size, |bytes| {
                    for (row, x) in x.chunks(stride.max(1)).enumerate() {
                        steps[row] = level.split_words(&x[..len], &mut bytes[row * size..][..size]);
                    }
                    f(Rows::Words(Words { bytes, steps, depth: len }));
                });
            });
            return;
        }
        let depth = len.next_multiple_of(4);
        let inverse = 1.0 / level.odd();
        scratch::with(rows * depth, |padded| {
            for (to, x) in padded.chunks_exact_mut(depth.max(1)).zip(x.chunks(stride.max(1))) {
                to[len..].fill(0.0);
                to[..len].copy_from_slice(&x[..len]);
                to.iter_mut().skip(1).step_by(2).for_each(|x| *x *= inverse);
            }
            f(Rows::Floats { x: padded, depth });
        });
    }

    fn multiply(&self, level: Level, panel: &[i8], sums: &[f32; PANEL], out: &mut [f32], stride: usize) {
        match *self {
            Self::Words(words) => level.few_words(words, panel, sums, out, stride),
            Self::Floats { x, depth } => {
                let rows = x.len() / depth.max(1);
                level.few_rows(rows, x, depth, Matrix::I8Quads(panel), PANEL, depth, PANEL, out, stride);
            }
        }
    }
}
