//! Attention of many queries over many keys without ever holding their product.
//!
//! For a few tiles of queries the keys pass by in blocks of 256. Each block of scores is exponentiated against the
//! largest score seen so far; when that grows, what was summed before is scaled down (the online softmax of
//! Milakov and Gimelshein, 2018, as in FlashAttention). Scores never leave the L1 cache, nor a block of keys and values the
//! L2 cache until all the tiles have seen it.

use super::heads::{Heads, MAX_HEAD_DIM, Packing, Shape};
use super::{Mask, fused, whole};
use crate::context::Context;
use crate::kernels::{Disjoint, MAX_TILE_ROWS, Matrix, Number, PANEL, row_stride};
use crate::scratch;
use std::ops::Range;

/// Keys of a block; the products of larger ones would drop out of the L1 cache.
const KEYS: usize = 8 * PANEL;
/// f32 between rows of scores: an odd number of cache lines.
const SCORE_STRIDE: usize = KEYS + 16;
/// Tiles of queries of one task.
const TASK_TILES: usize = 4;
/// Rows below which packing them is not worth another thread.
const PACK: usize = PANEL;

/// `out[i] = softmax(scale · q[i]·Kᵀ)·V` per head, for `q` and `out` `[queries, heads · head_dim]` and `k` and `v`
/// `[keys, heads · head_dim]`, all row-major with the heads side by side.
///
/// With [`Mask::Causal`] the queries are the last positions of the keys. A query that sees no key gives zeros.
/// A context that has products in bf16, see [`Context::with_f32_activations`], rounds queries, keys, values and
/// weights to it; one [`with_int8_activations`](Context::with_int8_activations) to 8 bits, or at AVX2 some 12, each head's rows
/// with a scale of their own and weights with one for every 128 keys.
///
/// # Panics
/// When a length is not whole rows, `k` and `v` (or `q` and `out`) differ, or `head_dim` is over 256.
#[allow(clippy::too_many_arguments, reason = "the operation's operands and shape")]
pub fn attention(
    ctx: &Context,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    heads: usize,
    head_dim: usize,
    mask: Mask,
    scale: f32,
    out: &mut [f32],
) {
    let width = heads * head_dim;
    assert!(width > 0 && head_dim <= MAX_HEAD_DIM, "{heads} heads of {head_dim}");
    assert!(q.len().is_multiple_of(width) && k.len().is_multiple_of(width), "rows hold {width} numbers");
    assert!(q.len() == out.len() && k.len() == v.len(), "q and out, k and v are of one shape");
    let (queries, keys) = (q.len() / width, k.len() / width);
    let shape = Shape { level: ctx.level(), number: number(ctx), heads, head_dim, queries, keys };
    scratch::with_bytes(shape.bytes(), |bytes| {
        scratch::with(shape.scales(), |scales| {
            pack(ctx, &Packing::new(shape, bytes, scales), q, k, v, scale * unit(shape.number));
            attend_all(ctx, &Heads::of(shape, bytes, scales), mask, out);
        });
    });
}

/// What the products of attention multiply in `ctx`.
pub(crate) fn number(ctx: &Context) -> Number {
    if ctx.int8_products() {
        Number::U8
    } else if ctx.i16_products() {
        Number::I16
    } else if ctx.bf16_products() {
        Number::Bf16
    } else {
        Number::F32
    }
}

/// What scores are counted in: where weights are powers of two, in octaves.
pub(crate) fn unit(number: Number) -> f32 {
    if number == Number::F32 { 1.0 } else { std::f32::consts::LOG2_E }
}

/// Packs whole rows.
fn pack(ctx: &Context, to: &Packing, q: &[f32], k: &[f32], v: &[f32], scale: f32) {
    let Shape { heads, head_dim, queries, keys, .. } = to.shape();
    let width = heads * head_dim;
    let at = |row: usize| row * width..(row + 1) * width;
    ctx.split(queries.max(keys), PACK, |share| {
        for row in share {
            if row < queries {
                // SAFETY: this row belongs to this share alone.
                unsafe { to.put_query(row, &q[at(row)], scale) };
            }
            if row < keys {
                // SAFETY: this position belongs to this share alone.
                unsafe {
                    to.put_key(row, &k[at(row)]);
                    to.put_value(row, &v[at(row)]);
                }
            }
        }
    });
}

/// Attention of all queries of all heads: `out` is `[queries, heads · head_dim]`.
pub(crate) fn attend_all(ctx: &Context, packed: &Heads, mask: Mask, out: &mut [f32]) {
    let Shape { level, number, heads, head_dim, queries, keys } = packed.shape;
    let width = heads * head_dim;
    let task_rows = TASK_TILES * level.tile_rows();
    let blocks = queries.div_ceil(task_rows);
    let out = Disjoint::new(out);
    ctx.run(heads * blocks, |task| {
        let (head, first) = (task / blocks, task % blocks * task_rows);
        let rows = first..(first + task_rows).min(queries);
        // SAFETY: these rows of this head belong to this task alone.
        let mut out = unsafe { out.block(first * width + head * head_dim, width, rows.len(), head_dim) };
        let mut give = |row: usize, values: &[f32], factor: f32| {
            let to = out.row(row - first);
            to.iter_mut().zip(values).for_each(|(to, v)| *to = v * factor);
        };
        let sees = |row| mask.visible(row, queries, keys);
        let all = mask == Mask::None && keys > 0 && level.weighs(number);
        if !number.is_whole() && !all {
            return Rows::new().attend(packed, head, rows, sees, give);
        }
        for start in rows.clone().step_by(level.tile_rows()) {
            let rows = start..(start + level.tile_rows()).min(rows.end);
            if number.is_whole() {
                whole::attend(packed, head, rows, sees, &mut give);
            } else if !fused::attend(packed, head, rows.clone(), &mut give) {
                Rows::new().attend(packed, head, rows, sees, &mut give);
            }
        }
    });
}

/// What is known of each row of a task while the keys pass by.
struct Rows {
    largest: [f32; TASK_TILES * MAX_TILE_ROWS],
    total: [f32; TASK_TILES * MAX_TILE_ROWS],
}

impl Rows {
    fn new() -> Self {
        Self { largest: [f32::NEG_INFINITY; _], total: [0.0; _] }
    }

    /// Attention of a task's queries; `give` gets each row's weighted sum of values and what to multiply it with.
    fn attend(
        &mut self,
        packed: &Heads,
        head: usize,
        rows: Range<usize>,
        sees: impl Fn(usize) -> usize,
        mut give: impl FnMut(usize, &[f32], f32),
    ) {
        let Shape { level, head_dim, keys, .. } = packed.shape;
        let (height, row_len) = (level.tile_rows(), head_dim.next_multiple_of(PANEL));
        let most_seen = rows.clone().map(&sees).max().unwrap_or(0).min(keys);
        scratch::with(rows.len().next_multiple_of(height) * row_len, |sums| {
            sums.fill(0.0);
            for from in (0..most_seen).step_by(KEYS) {
                for (tile, sums) in sums.chunks_exact_mut(height * row_len).enumerate() {
                    let start = rows.start + tile * height;
                    let of_tile = start..(start + height).min(rows.end);
                    if of_tile.clone().any(|row| sees(row) > from) {
                        self.add_block(packed, head, (of_tile, tile * height), from, &sees, sums);
                    }
                }
            }
            for (i, row) in rows.enumerate() {
                let factor = if self.total[i] == 0.0 { 0.0 } else { 1.0 / self.total[i] };
                give(row, &sums[i * row_len..][..head_dim], factor);
            }
        });
    }

    /// Adds a block of keys' weighted values to a tile's `sums`. Its `rows` are those from `at` on here.
    fn add_block(
        &mut self,
        packed: &Heads,
        head: usize,
        (rows, at): (Range<usize>, usize),
        from: usize,
        sees: impl Fn(usize) -> usize,
        sums: &mut [f32],
    ) {
        let Shape { level, number, keys, .. } = packed.shape;
        let (height, depth) = (level.tile_rows(), packed.shape.depth());
        let row_len = sums.len() / height;
        let weight_stride = row_stride(KEYS * number.size());
        let n = KEYS.min(keys - from);
        scratch::with(height * SCORE_STRIDE, |scores| {
            scratch::with_bytes(height * weight_stride, |weights| {
                let (queries, stride) = (packed.queries(head, rows.start), packed.shape.query_stride());
                for panel in 0..n.div_ceil(PANEL) {
                    let keys = packed.keys(head, from / PANEL + panel);
                    let to = &mut scores[panel * PANEL..];
                    level.multiply(number, queries, stride, keys, depth, to, SCORE_STRIDE, false);
                }
                for (i, row) in rows.enumerate() {
                    let seen = sees(row).saturating_sub(from).min(n);
                    let scores = &mut scores[i * SCORE_STRIDE..][..KEYS];
                    let weights = &mut weights[i * weight_stride..][..KEYS * number.size()];
                    let sums = &mut sums[i * row_len..][..row_len];
                    self.soften(packed, at + i, scores, seen, weights, sums);
                }
                let n = n.next_multiple_of(number.group());
                for panel in 0..row_len / PANEL {
                    let values = packed.values(head, panel, from);
                    let to = &mut sums[panel * PANEL..];
                    match number {
                        // In place: the weights are where the scores were.
                        Number::F32 => {
                            let weights = Matrix::F32(scores);
                            let stride = SCORE_STRIDE * 4;
                            level.multiply(number, weights.bytes(), stride, values, n, to, row_len, true);
                        }
                        _ => level.multiply(number, weights, weight_stride, values, n, to, row_len, true),
                    }
                }
            });
        });
    }

    /// Turns a row's scores, of which it sees the first `seen`, into weights; scales down what was summed before when a
    /// larger score has come.
    fn soften(
        &mut self,
        packed: &Heads,
        row: usize,
        scores: &mut [f32],
        seen: usize,
        weights: &mut [u8],
        sums: &mut [f32],
    ) {
        let Shape { level, number, .. } = packed.shape;
        let (scores, hidden) = scores.split_at_mut(seen);
        let before = self.largest[row];
        let most = level.largest(scores).max(before);
        if most > before {
            let shrink = if number == Number::F32 { (before - most).exp() } else { (before - most).exp2() };
            level.scale(sums, shrink);
            self.total[row] *= shrink;
            self.largest[row] = most;
        }
        self.total[row] += match number {
            Number::F32 => {
                hidden.fill(0.0);
                level.exp_sum(scores, most)
            }
            _ => level.exp2_bf16(scores, most, weights),
        };
    }
}
