//! Attention where scores become weights in registers: every key seen.
//!
//! Weights are powers of (score − shift) with any shift near a row's largest score, since f32 and bf16 have exponents to spare and
//! the shift falls out in the division at the end. Here it is the largest score among the first panel of keys, so the sum is
//! at least 1; a later score that exceeds it by more than 60 (or is no number) sends the tile to the general way.

use super::heads::{Heads, Shape};
use crate::kernels::{PANEL, TILE_ROWS, Tile, row_stride};
use crate::scratch;
use std::ops::Range;

/// Keys of a block: their weights for a tile of queries stay in the L1 cache.
const KEYS: usize = 8 * PANEL;

/// As `flash::Rows::attend` for queries that see all keys, of which there is one at least. Returns whether it did.
pub(super) fn attend(
    packed: &Heads,
    head: usize,
    rows: Range<usize>,
    mut give: impl FnMut(usize, &[f32], f32),
) -> bool {
    let Shape { level, number, head_dim, keys, .. } = packed.shape;
    let (depth, row_len) = (packed.shape.depth(), head_dim.next_multiple_of(PANEL));
    let weight_stride = row_stride(KEYS * number.size());
    let (queries, stride) = (packed.queries(head, rows.start), packed.shape.query_stride());
    let shift = shifts(packed, head, rows.start);
    let mut totals = [[0.0; 16]; TILE_ROWS];
    scratch::with(TILE_ROWS * row_len, |sums| {
        scratch::with_bytes(TILE_ROWS * weight_stride, |weights| {
            sums.fill(0.0);
            for from in (0..keys).step_by(KEYS) {
                let n = KEYS.min(keys - from);
                for panel in 0..n.div_ceil(PANEL) {
                    let right = packed.keys(head, from / PANEL + panel);
                    let shown = PANEL.min(n - panel * PANEL);
                    let to = &mut weights[panel * PANEL * number.size()..];
                    let useless = level.weigh(
                        number,
                        queries,
                        stride,
                        right,
                        depth,
                        &shift,
                        shown,
                        to,
                        weight_stride,
                        &mut totals,
                    );
                    if useless {
                        return false;
                    }
                }
                for panel in 0..row_len / PANEL {
                    let values = packed.values(head, panel, from);
                    let (n, to) = (n.next_multiple_of(number.group()), &mut sums[panel * PANEL..]);
                    level.multiply(number, weights, weight_stride, values, n, to, row_len, true);
                }
            }
            let totals = totals.map(|lanes| lanes.iter().sum::<f32>());
            if totals[..rows.len()].iter().any(|total| !total.is_finite()) {
                return false;
            }
            for (i, row) in rows.enumerate() {
                give(row, &sums[i * row_len..][..head_dim], 1.0 / totals[i]);
            }
            true
        })
    })
}

/// The largest score of each row among the first panel of keys.
fn shifts(packed: &Heads, head: usize, row: usize) -> [f32; TILE_ROWS] {
    let shape = packed.shape;
    let mut scores = Tile::new();
    let (queries, keys) = (packed.queries(head, row), packed.keys(head, 0));
    let stride = shape.query_stride();
    shape.level.multiply(shape.number, queries, stride, keys, shape.depth(), &mut scores.0, PANEL, false);
    std::array::from_fn(|i| shape.level.largest(&scores.0[i * PANEL..][..PANEL.min(shape.keys)]))
}
