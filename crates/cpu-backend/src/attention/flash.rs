//! Attention of many queries over many keys without ever holding their product.
//!
//! For a block of 48 queries the keys pass by in blocks of 256. Each block of scores is exponentiated against the
//! largest score seen so far; when that grows, what was summed before is scaled down (the online softmax of
//! Milakov and Gimelshein, 2018, as in FlashAttention). Scores never leave the L2 cache.

use super::Mask;
use super::cache::{padded, put};
use crate::context::Context;
use crate::kernels::{A_STRIDE, Block, DEPTH, Disjoint, PANEL, TILE_ROWS};
use crate::scratch;

/// Queries of a block: 4 tiles.
const QUERIES: usize = 4 * TILE_ROWS;
/// Keys of a block.
const KEYS: usize = DEPTH;
/// Positions that one task packs.
const PACK: usize = 8 * PANEL;

/// `out[i] = softmax(scale · q[i]·Kᵀ)·V` per head, for `q` and `out` `[queries, heads · head_dim]` and `k` and `v`
/// `[keys, heads · head_dim]`, all row-major with the heads side by side.
///
/// With [`Mask::Causal`] the queries are the last positions of the keys. A query that sees no key gives zeros.
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
    assert!(width > 0 && head_dim <= DEPTH, "{heads} heads of {head_dim}");
    assert!(q.len().is_multiple_of(width) && k.len().is_multiple_of(width), "rows hold {width} numbers");
    assert!(q.len() == out.len() && k.len() == v.len(), "q and out, k and v are of one shape");
    let (queries, keys) = (q.len() / width, k.len() / width);
    let (key_size, value_size) = (keys.next_multiple_of(PANEL) * head_dim, keys * padded(head_dim));
    scratch::with(heads * (key_size + value_size), |packed| {
        let (packed_keys, packed_values) = packed.split_at_mut(heads * key_size);
        pack(ctx, k, v, heads, head_dim, packed_keys, packed_values);
        let (packed_keys, packed_values) = (&*packed_keys, &*packed_values);
        let blocks = queries.div_ceil(QUERIES);
        let out = Disjoint::new(out);
        ctx.run(heads * blocks, |task| {
            let (head, first) = (task / blocks, task % blocks * QUERIES);
            let rows = QUERIES.min(queries - first);
            let from = first * width + head * head_dim;
            let block = QueryBlock {
                q: &q[from..],
                width,
                head_dim,
                rows,
                keys: &packed_keys[head * key_size..][..key_size],
                values: &packed_values[head * value_size..][..value_size],
                count: keys,
                scale,
            };
            // SAFETY: these rows of this head belong to this task alone.
            let out = unsafe { out.block(from, width, rows, head_dim) };
            block.run(ctx, |row| mask.visible(first + row, queries, keys), out);
        });
    });
}

/// Brings keys and values into the layout of a cache. Tasks write whole panels of one head.
fn pack(
    ctx: &Context,
    k: &[f32],
    v: &[f32],
    heads: usize,
    head_dim: usize,
    keys: &mut [f32],
    values: &mut [f32],
) {
    let width = heads * head_dim;
    let (count, row) = (k.len() / width, padded(head_dim));
    let (key_size, value_size) = (keys.len() / heads, values.len() / heads);
    let chunks = count.div_ceil(PACK);
    let (keys, values) = (Disjoint::new(keys), Disjoint::new(values));
    ctx.run(heads * chunks, |task| {
        let (head, first) = (task / chunks, task % chunks * PACK);
        let n = PACK.min(count - first);
        // SAFETY: these panels of this head belong to this task alone.
        let keys =
            unsafe { keys.part(head * key_size + first * head_dim, n.next_multiple_of(PANEL) * head_dim) };
        // SAFETY: as above, for rows.
        let values = unsafe { values.part(head * value_size + first * row, n * row) };
        // Lanes and columns of padding are multiplied too; what they give is dropped, but it must not be slow
        // (subnormal) nor grow.
        keys.fill(0.0);
        values.fill(0.0);
        for i in 0..n {
            let at = (first + i) * width + head * head_dim;
            put(&k[at..at + head_dim], &v[at..at + head_dim], i, keys, values, |x| x);
        }
    });
}

/// Some queries of one head.
struct QueryBlock<'a> {
    /// From the first query's head on, rows `width` apart.
    q: &'a [f32],
    width: usize,
    head_dim: usize,
    rows: usize,
    keys: &'a [f32],
    values: &'a [f32],
    /// How many keys.
    count: usize,
    scale: f32,
}

impl QueryBlock<'_> {
    fn run(&self, ctx: &Context, sees: impl Fn(usize) -> usize, mut out: Block) {
        let level = ctx.level();
        let (tiles, row_len) = (self.rows.div_ceil(TILE_ROWS), padded(self.head_dim));
        let most_seen = (0..self.rows).map(&sees).max().unwrap_or(0);
        let (mut largest, mut total) = ([f32::NEG_INFINITY; QUERIES], [0.0_f32; QUERIES]);
        scratch::with(QUERIES * (2 * A_STRIDE + row_len), |scratch| {
            let (queries, rest) = scratch.split_at_mut(QUERIES * A_STRIDE);
            let (weights, sums) = rest.split_at_mut(QUERIES * A_STRIDE);
            self.load_queries(&mut queries[..tiles * TILE_ROWS * A_STRIDE]);
            sums.fill(0.0);
            for from in (0..most_seen).step_by(KEYS) {
                let n = KEYS.min(self.count - from);
                self.scores(ctx, from, n, tiles, queries, weights);
                for row in 0..tiles * TILE_ROWS {
                    let weights = &mut weights[row * A_STRIDE..][..n];
                    let seen = if row < self.rows { sees(row).saturating_sub(from).min(n) } else { 0 };
                    let (weights, hidden) = weights.split_at_mut(seen);
                    hidden.fill(0.0);
                    if seen == 0 {
                        continue;
                    }
                    let most = level.largest(weights).max(largest[row]);
                    if most > largest[row] {
                        let shrink = (largest[row] - most).exp();
                        level.scale(&mut sums[row * row_len..][..row_len], shrink);
                        total[row] *= shrink;
                        largest[row] = most;
                    }
                    total[row] += level.exp_sum(weights, most);
                }
                let mut sums = Block::of(sums, row_len, tiles * TILE_ROWS, row_len);
                for column in (0..row_len).step_by(PANEL) {
                    let values = &self.values[from * row_len + column..];
                    for tile in 0..tiles {
                        let weights = &weights[tile * TILE_ROWS * A_STRIDE..];
                        let mut to = sums.within(tile * TILE_ROWS, TILE_ROWS, column, PANEL);
                        level.tile(weights, values, row_len, n, &mut to, true);
                    }
                }
            }
            for row in 0..self.rows {
                let inverse = if total[row] == 0.0 { 0.0 } else { 1.0 / total[row] };
                let from = &sums[row * row_len..];
                out.row(row).iter_mut().zip(from).for_each(|(to, v)| *to = v * inverse);
            }
        });
    }

    /// The scaled queries at the tiles' stride, rows beyond the last as zeros.
    fn load_queries(&self, queries: &mut [f32]) {
        for (row, to) in queries.chunks_exact_mut(A_STRIDE).enumerate() {
            let to = &mut to[..self.head_dim];
            if row < self.rows {
                let from = &self.q[row * self.width..][..self.head_dim];
                to.iter_mut().zip(from).for_each(|(to, q)| *to = q * self.scale);
            } else {
                to.fill(0.0);
            }
        }
    }

    /// `weights[row][i] = queries[row] · key[from + i]`.
    fn scores(
        &self,
        ctx: &Context,
        from: usize,
        n: usize,
        tiles: usize,
        queries: &[f32],
        weights: &mut [f32],
    ) {
        let mut to = Block::of(weights, A_STRIDE, tiles * TILE_ROWS, n.next_multiple_of(PANEL));
        for panel in 0..n.div_ceil(PANEL) {
            let keys = &self.keys[(from + panel * PANEL) * self.head_dim..][..PANEL * self.head_dim];
            for tile in 0..tiles {
                let queries = &queries[tile * TILE_ROWS * A_STRIDE..];
                let mut to = to.within(tile * TILE_ROWS, TILE_ROWS, panel * PANEL, PANEL);
                ctx.level().tile(queries, keys, PANEL, self.head_dim, &mut to, false);
            }
        }
    }
}
