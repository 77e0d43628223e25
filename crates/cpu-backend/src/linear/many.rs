//! Many rows: tiles of 12 × 32 over blocks of rows, with the bias and GELU applied while a block is in cache.

use super::{Epilogue, Linear, Storage};
use crate::context::Context;
use crate::kernels::{A_STRIDE, Block, DEPTH, Disjoint, Matrix, PANEL, TILE_ROWS};
use crate::scratch;
use half::bf16;
use std::ops::Range;

/// Rows that share one reading of the weights: 8 tiles; at depth 256 they are 102 KiB, a part of an L2 cache.
const BLOCK_ROWS: usize = 8 * TILE_ROWS;

pub(super) fn forward(
    layer: &Linear,
    ctx: &Context,
    x: &[f32],
    rows: usize,
    y: &mut [f32],
    epilogue: Epilogue,
) {
    let panels = layer.outputs.div_ceil(PANEL);
    let blocks = rows.div_ceil(BLOCK_ROWS);
    // At least four tasks a thread, so that a thread that is late costs little.
    let groups = (4 * ctx.threads()).div_ceil(blocks).clamp(1, panels);
    let y = Disjoint::new(y);
    ctx.run(blocks * groups, |task| {
        let (block, group) = (task / groups, task % groups);
        let first = block * BLOCK_ROWS;
        let range = first..(first + BLOCK_ROWS).min(rows);
        let share = panels * group / groups..panels * (group + 1) / groups;
        let first_column = share.start * PANEL;
        let columns = (share.end * PANEL).min(layer.outputs) - first_column;
        // SAFETY: tasks differ in their rows or in their panels, so blocks do not overlap.
        let out = unsafe {
            y.block(range.start * layer.outputs + first_column, layer.outputs, range.len(), columns)
        };
        let x = &x[range.start * layer.inputs..range.end * layer.inputs];
        block_of_rows(layer, ctx, x, out, share, epilogue);
    });
}

/// One block of rows times some panels. `x` is `[rows, in]`, `out` the panels' columns of those rows.
fn block_of_rows(
    layer: &Linear,
    ctx: &Context,
    x: &[f32],
    mut out: Block,
    panels: Range<usize>,
    epilogue: Epilogue,
) {
    let level = ctx.level();
    let (rows, depth) = (out.rows(), layer.packed.depth());
    let left_kind = match layer.storage() {
        Storage::Bf16 if ctx.bf16_products() => Left::Bf16,
        Storage::Int8 if ctx.int8_products() => Left::Int8,
        _ => Left::F32,
    };
    let pass = DEPTH * left_kind.per_place();
    let mut row_scales = [0.0; BLOCK_ROWS];
    if left_kind == Left::Int8 {
        for (row, scale) in row_scales[..rows].iter_mut().enumerate() {
            *scale = row_scale(&x[row * layer.inputs..(row + 1) * layer.inputs]);
        }
    }
    let tiles = rows.div_ceil(TILE_ROWS);
    let first_panel = panels.start;
    scratch::with(tiles * TILE_ROWS * A_STRIDE + DEPTH * PANEL + TILE_ROWS * PANEL, |scratch| {
        let (left, rest) = scratch.split_at_mut(tiles * TILE_ROWS * A_STRIDE);
        let (widened, edge) = rest.split_at_mut(DEPTH * PANEL);
        let mut from = 0;
        loop {
            let to = (from + pass).min(depth);
            copy_left(ctx, x, layer.inputs, from..to, &row_scales[..rows], left_kind, left);
            let accumulate = from > 0 || epilogue == Epilogue::Residual;
            for panel in panels.clone() {
                let column = (panel - first_panel) * PANEL;
                let width = PANEL.min(out.columns() - column);
                let matrix = layer.packed.panel(panel, from, to);
                let right = match matrix {
                    Matrix::F32(w) => Right::F32(w),
                    Matrix::Bf16Pairs(w) if left_kind == Left::Bf16 => Right::Bf16(w),
                    Matrix::I8Quads(w) if left_kind == Left::Int8 => Right::Int8(w),
                    _ => {
                        level.widen(
                            matrix,
                            to - from,
                            layer.packed.scale(panel).unwrap_or(&[1.0; PANEL]),
                            widened,
                        );
                        Right::F32(widened)
                    }
                };
                let column_scale = layer.packed.scale(panel).unwrap_or(&[1.0; PANEL]);
                let product = |tile: usize, left: &[f32], target: &mut Block, accumulate: bool| match right {
                    Right::F32(w) => level.tile(left, w, PANEL, to - from, target, accumulate),
                    Right::Bf16(w) => level.tile_bf16(left, w, (to - from) / 2, target, accumulate),
                    Right::Int8(w) => {
                        let rows = row_scales[tile * TILE_ROWS..].first_chunk().unwrap_or(&[0.0; TILE_ROWS]);
                        level.tile_i8(left, rows, w, (to - from) / 4, column_scale, target, accumulate);
                    }
                };
                for tile in 0..tiles {
                    let left = &left[tile * TILE_ROWS * A_STRIDE..];
                    let height = TILE_ROWS.min(rows - tile * TILE_ROWS);
                    let mut target = out.within(tile * TILE_ROWS, height, column, width);
                    if height == TILE_ROWS && width == PANEL {
                        product(tile, left, &mut target, accumulate);
                    } else {
                        let mut whole = Block::of(edge, PANEL, TILE_ROWS, PANEL);
                        product(tile, left, &mut whole, false);
                        merge(&mut target, &mut whole, accumulate);
                    }
                    if to == depth {
                        finish(layer, ctx, &mut target, panel, epilogue);
                    }
                }
            }
            from = to;
            if from == depth {
                break;
            }
        }
    });
}

/// The weights of one pass over one panel.
enum Right<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    Int8(&'a [i8]),
}

/// What the left operand is rounded to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    F32,
    Bf16,
    Int8,
}

impl Left {
    /// Numbers in the place of one f32.
    fn per_place(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }
}

/// max|row| / 127; NaN when the row holds what is not finite, so that the result does too.
fn row_scale(row: &[f32]) -> f32 {
    let most = row.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    // A sum with NaN in it is NaN, and so is one of infinities times zero.
    let poison: f32 = row.iter().map(|v| v * 0.0).sum();
    most / 127.0 + poison
}

/// The depths `range` of every row at stride [`A_STRIDE`]; what lies beyond the inputs or the rows is zero.
fn copy_left(
    ctx: &Context,
    x: &[f32],
    inputs: usize,
    range: Range<usize>,
    row_scales: &[f32],
    kind: Left,
    left: &mut [f32],
) {
    let places = range.len() / kind.per_place();
    let end = range.end.min(inputs);
    for (row, to) in left.chunks_exact_mut(A_STRIDE).enumerate() {
        let to = &mut to[..places];
        let Some(&scale) = row_scales.get(row) else {
            to.fill(0.0);
            continue;
        };
        let from = &x[row * inputs + range.start..row * inputs + end];
        match kind {
            Left::Bf16 => ctx.level().narrow(from, to),
            Left::Int8 => ctx.level().quantise(from, scale, to),
            Left::F32 => {
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        }
    }
}

fn merge(target: &mut Block, whole: &mut Block, accumulate: bool) {
    for row in 0..target.rows() {
        let from = whole.row(row);
        let to = target.row(row);
        if accumulate {
            to.iter_mut().zip(from).for_each(|(y, v)| *y += *v);
        } else {
            let width = to.len();
            to.copy_from_slice(&from[..width]);
        }
    }
}

fn finish(layer: &Linear, ctx: &Context, target: &mut Block, panel: usize, epilogue: Epilogue) {
    let level = ctx.level();
    let bias = layer.panel_bias(panel);
    let gelu = epilogue == Epilogue::Gelu;
    if target.columns() == PANEL {
        level.finish(target, bias, gelu);
        return;
    }
    for row in 0..target.rows() {
        let row = target.row(row);
        level.add(row, &bias[..row.len()]);
        if gelu {
            level.gelu(row);
        }
    }
}
