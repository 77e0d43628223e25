//! Attention in whole numbers of 8 or 16 bits: exact products, weights rounded for every [`BLOCK_KEYS`] keys anew.
//!
//! A query and a key are whole numbers times a scale of their own, so a score is an exact sum times two scales. A value's
//! scale goes into the weight: the power is that of the score plus the scale's logarithm. Within a block of keys the largest
//! such product is 255, or 4095, and all are rounded; sums of blocks are added in f32, as in the online softmax of `flash`.
//! Divided at the end by the sum of the weights before their rounding, the errors of small weights stay errors of a
//! half step and do not shift the rest.
//!
//! The worst case, in bytes, is a flat tail: if the other 127 keys of a block weigh just over half a step each, they count as whole steps,
//! and just under it as none; either way the block is off by 127 · 0.5 / 255, a quarter of its largest key's part. Tails that
//! spread over several steps are rounded up as often as down. Values below 1e-16 count as zeros; beside
//! those, f32 has room for values of up to 1e25 in the same block.

use super::heads::{Heads, Shape};
use crate::kernels::{BLOCK_KEYS, MAX_TILE_ROWS, Merge, Number, PANEL, Softmax, Tile, row_stride};
use crate::scratch;
use std::ops::Range;

/// f32 between rows of sums of a block: an odd number of cache lines.
const SUMS_STRIDE: usize = BLOCK_KEYS + 16;

/// As `flash::Rows::attend`.
pub(super) fn attend(
    packed: &Heads,
    head: usize,
    rows: Range<usize>,
    sees: impl Fn(usize) -> usize,
    mut give: impl FnMut(usize, &[f32], f32),
) {
    let Shape { level, number, head_dim, .. } = packed.shape;
    let (height, depth) = (level.tile_rows(), packed.shape.depth());
    let row_len = head_dim.next_multiple_of(PANEL);
    let weights_len = BLOCK_KEYS * number.size();
    let weight_stride = row_stride(weights_len);
    let most_seen = rows.clone().map(&sees).max().unwrap_or(0).min(packed.shape.keys);
    let mut softmax = [Softmax::START; MAX_TILE_ROWS];
    let mut merges = [Merge::NOTHING; MAX_TILE_ROWS];
    let mut weighted = Tile::new();
    scratch::with(height * (SUMS_STRIDE + row_len), |floats| {
        scratch::with_bytes(height * weight_stride, |weights| {
            let (products, sums) = floats.split_at_mut(height * SUMS_STRIDE);
            sums.fill(0.0);
            let (queries, stride) = (packed.queries(head, rows.start), packed.shape.query_stride());
            let factors = packed.query_scales(head, rows.start);
            for from in (0..most_seen).step_by(BLOCK_KEYS) {
                let n = BLOCK_KEYS.min(most_seen - from);
                // In the order of their groups, bytes of a block may lie anywhere in it.
                let weighed =
                    if number == Number::U8 { BLOCK_KEYS } else { n.next_multiple_of(number.group()) };
                for panel in 0..n.div_ceil(PANEL) {
                    let keys = packed.keys(head, from / PANEL + panel);
                    let to = &mut products[panel * PANEL..];
                    level.multiply(number, queries, stride, keys, depth, to, SUMS_STRIDE, false);
                }
                let terms = packed.key_terms(head, from);
                for (i, row) in rows.clone().enumerate() {
                    let seen = sees(row).saturating_sub(from).min(n);
                    let products = &products[i * SUMS_STRIDE..][..BLOCK_KEYS];
                    let weights = &mut weights[i * weight_stride..][..weights_len];
                    merges[i] = match seen {
                        0 => Merge::NOTHING,
                        _ => {
                            level.soften(number, products, terms, factors[i], seen, &mut softmax[i], weights)
                        }
                    };
                }
                for panel in 0..row_len / PANEL {
                    let values = packed.values(head, panel, from);
                    let to = &mut weighted.0;
                    level.multiply(number, weights, weight_stride, values, weighed, to, PANEL, false);
                    let sums = &mut sums[panel * PANEL..];
                    level.merge(number, &merges[..rows.len()], &weighted.0, sums, row_len);
                }
            }
            for (i, row) in rows.enumerate() {
                let total = softmax[i].total();
                let factor = if total == 0.0 { 0.0 } else { 1.0 / total };
                give(row, &sums[i * row_len..][..head_dim], factor);
            }
        });
    });
}
