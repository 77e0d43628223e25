//! Int8 weights times activations in 16 bits: a few rows at the cost of reading the weights; with VNNI, any count of rows.

use super::{Epilogue, Linear, Panels, few};
use crate::context::Context;
use crate::kernels::{Disjoint, MAX_BYTE_DEPTH, Matrix, PANEL, Words, word_stride};
use crate::scratch;

/// Rows that pass by all of a thread's panels before the next ones do: in 16 bits they lie in an L2 cache.
const BLOCK_ROWS: usize = 48;
/// Rows below which rounding them is not worth another thread.
const LEAST_ROWS: usize = 16;

/// Whether `rows` rows times `layer` are multiplied so.
pub(super) fn fits(layer: &Linear, ctx: &Context, rows: usize) -> bool {
    // Deeper ones are multiplied in f32.
    ctx.word_products()
        && (rows <= super::FEW_ROWS || ctx.level().multiplies_many_words())
        && layer.storage() == super::Storage::Int8
        && layer.packed.depth() <= MAX_BYTE_DEPTH
}

pub(super) fn forward(
    layer: &Linear,
    ctx: &Context,
    x: &[f32],
    rows: usize,
    y: &mut [f32],
    epilogue: Epilogue,
    panels: Panels,
) {
    with_words(ctx, x, rows, layer.inputs, |words| {
        let y = Disjoint::new(y);
        // Many rows make even a small layer's panel worth a thread.
        ctx.split(panels.count(), few::least_panels(layer).div_ceil(rows), |share| {
            let mut sums = [0.0_f32; BLOCK_ROWS * PANEL];
            for first in (0..rows).step_by(BLOCK_ROWS) {
                let block = words.rows(first, rows.min(first + BLOCK_ROWS));
                let sums = &mut sums[..block.steps.len() * PANEL];
                for panel in panels.of(share.clone()) {
                    let matrix = layer.packed.panel(panel, 0, layer.packed.depth());
                    let (Matrix::I8Quads(weights), Some(columns)) = (matrix, layer.packed.column_sums(panel))
                    else {
                        unreachable!("int8 storage is quads with sums");
                    };
                    ctx.level().few_words(block, weights, columns, sums, PANEL);
                    few::finish(layer, ctx.level(), panel, sums, first, &y, epilogue);
                }
            }
        });
    });
}

/// Calls `f` with the rows of `x` `[rows, depth]` in 16 bits.
fn with_words(ctx: &Context, x: &[f32], rows: usize, depth: usize, f: impl FnOnce(Words)) {
    let stride = word_stride(depth);
    scratch::with(rows, |steps| {
        scratch::with_bytes(rows * stride, |bytes| {
            {
                let (steps, bytes) = (Disjoint::new(steps), Disjoint::new(bytes));
                ctx.split(rows, LEAST_ROWS, |share| {
                    for row in share {
                        // SAFETY: each row belongs to one share.
                        let (step, out) = unsafe { (steps.part(row, 1), bytes.part(row * stride, stride)) };
                        step[0] = ctx.level().split_words(&x[row * depth..(row + 1) * depth], out);
                    }
                });
            }
            f(Words { bytes, steps, depth });
        });
    });
}
