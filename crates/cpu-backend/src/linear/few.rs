//! Few rows: every weight is read once, in storage order, by exactly one thread.

use super::many::ZEROS;
use super::{Epilogue, Linear, Panels};
use crate::context::Context;
use crate::kernels::{Columns, Disjoint, PANEL, RowScale};
use crate::level::Level;
use crate::scratch;

/// Weights below which a share is not worth another thread, in bytes (about 2 µs of reading).
const LEAST_BYTES: usize = 64 * 1024;

pub(super) fn forward(
    layer: &Linear,
    ctx: &Context,
    x: &[f32],
    rows: usize,
    y: &mut [f32],
    epilogue: Epilogue,
    panels: Panels,
) {
    let depth = layer.packed.depth();
    let odd = if layer.storage() == super::Storage::Int8 { ctx.level().odd() } else { 1.0 };
    if depth == layer.inputs && odd == 1.0 {
        stream(layer, ctx, x, rows, y, epilogue, panels);
        return;
    }
    scratch::with(rows * depth, |padded| {
        padded.fill(0.0);
        if layer.inputs > 0 {
            for (to, from) in padded.chunks_exact_mut(depth).zip(x.chunks_exact(layer.inputs)) {
                to[..layer.inputs].copy_from_slice(from);
            }
        }
        if odd != 1.0 {
            let inverse = 1.0 / odd;
            padded.chunks_exact_mut(2).for_each(|pair| pair[1] *= inverse);
        }
        stream(layer, ctx, padded, rows, y, epilogue, panels);
    });
}

/// Panels of a layer that are worth a thread.
pub(super) fn least_panels(layer: &Linear) -> usize {
    let panels = layer.outputs.div_ceil(PANEL);
    LEAST_BYTES.div_ceil((layer.bytes() / panels).max(1))
}

/// `x` is `[rows, depth]`, padded, and smaller where the layout wants it.
fn stream(
    layer: &Linear,
    ctx: &Context,
    x: &[f32],
    rows: usize,
    y: &mut [f32],
    epilogue: Epilogue,
    panels: Panels,
) {
    let level = ctx.level();
    let depth = layer.packed.depth();
    let y = Disjoint::new(y);
    ctx.split(panels.count(), least_panels(layer), |share| {
        let mut sums = [0.0_f32; super::FEW_ROWS * PANEL];
        let sums = &mut sums[..rows * PANEL];
        for panel in panels.of(share) {
            let matrix = layer.packed.panel(panel, 0, depth);
            level.few_rows(rows, x, depth, matrix, PANEL, depth, PANEL, sums, PANEL);
            finish(layer, level, panel, sums, 0, &y, epilogue);
        }
    });
}

/// Turns the `sums` `[rows, 32]` of one panel into that panel's columns of `y`, from row `first` on. No two threads may
/// finish the same panel of the same rows at a time.
pub(super) fn finish(
    layer: &Linear,
    level: Level,
    panel: usize,
    sums: &[f32],
    first: usize,
    y: &Disjoint,
    epilogue: Epilogue,
) {
    let column = panel * PANEL;
    let width = PANEL.min(layer.outputs - column);
    let scale = layer.panel_scale(panel);
    let columns = Columns { scale, sums: &ZEROS, bias: layer.panel_bias(panel) };
    let (one, ending) = (&[RowScale::ONE], epilogue.ending());
    for (row, sums) in sums.chunks_exact(PANEL).enumerate() {
        // SAFETY: these columns of these rows are this panel's, and callers give each panel to one thread.
        let out = unsafe { y.part((first + row) * layer.outputs + column, width) };
        if width == PANEL {
            level.finish_into(sums, one, columns, ending, out, PANEL);
            continue;
        }
        // The last panel's columns, where it has others.
        let mut whole = [0.0; PANEL];
        whole[..width].copy_from_slice(out);
        level.finish_into(sums, one, columns, ending, &mut whole, PANEL);
        out.copy_from_slice(&whole[..width]);
    }
}
