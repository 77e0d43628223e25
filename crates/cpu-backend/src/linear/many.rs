//! Many rows: tiles of rows over panels of 32 outputs, a block of rows at a time.
//!
//! The rows of a block are converted once to what the product reads ([`Operand`]), each panel passes by once per block,
//! and the sums of a tile are finished (scales, bias, GELU) while they are in the L1 cache.

use super::{Epilogue, Linear, Storage};
use crate::context::Context;
use crate::kernels::{
    Beyond, Columns, Disjoint, Ending, MAX_BYTE_DEPTH, MAX_I16_DEPTH, Matrix, Number, PANEL, RowScale, Tile,
    i16_limit, row_stride,
};
use crate::level::Level;
use crate::scratch;
use std::ops::Range;

/// Rows of a block, about: they share one reading of the weights, and lie in an L2 cache beside a panel of them.
pub(crate) const BLOCK_ROWS: usize = 48;

/// Columns that are finished with neither scale nor zero point.
pub(super) const ONES: [f32; PANEL] = [1.0; PANEL];
pub(super) const ZEROS: [f32; PANEL] = [0.0; PANEL];

pub(super) fn forward(
    layer: &Linear,
    ctx: &Context,
    x: &[f32],
    rows: usize,
    y: &mut [f32],
    epilogue: Epilogue,
) {
    let panels = layer.outputs.div_ceil(PANEL);
    let blocks = blocks(ctx, rows);
    // At least four tasks a thread, so that a thread that is late costs little.
    let groups = (4 * ctx.threads()).div_ceil(blocks.count()).clamp(1, panels);
    let y = Disjoint::new(y);
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    ctx.run(blocks.count() * groups, |task| {
        let (range, group) = (blocks.rows(task / groups), task % groups);
        let share = panels * group / groups..panels * (group + 1) / groups;
        let first_column = share.start * PANEL;
        let columns = (share.end * PANEL).min(outputs) - first_column;
        // SAFETY: tasks differ in their rows or in their panels, so blocks do not overlap.
        let mut out = unsafe { y.block(range.start * outputs + first_column, outputs, range.len(), columns) };
        let x = &x[range.start * inputs..range.end * inputs];
        Operand::with(ctx.level(), layer.operand(ctx), range.len(), inputs, |operand| {
            operand.load(x, inputs);
            let ending = if epilogue == Epilogue::Gelu { Ending::Gelu } else { Ending::Store };
            layer.product(operand, share, |sums| {
                sums.each(ending, |sums, row, column| {
                    let to = &mut out.row(row)[column - first_column..];
                    let width = to.len().min(PANEL);
                    match epilogue {
                        Epilogue::Residual => ctx.level().add(&mut to[..width], &sums[..width]),
                        Epilogue::None | Epilogue::Gelu => to[..width].copy_from_slice(&sums[..width]),
                    }
                })
            });
        });
    });
}

/// How rows are cut into blocks of whole tiles, as many for each thread.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    rows: usize,
    tile: usize,
    count: usize,
}

/// Blocks of about [`BLOCK_ROWS`] rows.
pub(crate) fn blocks(ctx: &Context, rows: usize) -> Blocks {
    let tile = ctx.level().tile_rows();
    let tiles = rows.div_ceil(tile);
    let count = rows.div_ceil(BLOCK_ROWS).next_multiple_of(ctx.threads()).min(tiles).max(1);
    Blocks { rows, tile, count }
}

impl Blocks {
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// The rows of block `index`; all but the last end with a tile.
    pub(crate) fn rows(self, index: usize) -> Range<usize> {
        let tiles = self.rows.div_ceil(self.tile);
        let at = |index: usize| (tiles * index / self.count * self.tile).min(self.rows);
        at(index)..at(index + 1)
    }
}

/// A block of rows as a product reads it: numbers of one kind in rows of whole tiles, and what they stand for.
pub(crate) struct Operand<'a> {
    level: Level,
    number: Number,
    /// At [`Operand::stride`]; those beyond the rows hold whatever they held.
    bytes: &'a mut [u8],
    scales: &'a mut [RowScale],
    /// One a row if the numbers are bytes, else none.
    beyond: &'a mut [Beyond],
    rows: usize,
    depth: usize,
}

impl Operand<'_> {
    /// Room for `rows` rows of `width` numbers, taken from the thread's working memory.
    pub(crate) fn with<R>(
        level: Level,
        number: Number,
        rows: usize,
        width: usize,
        f: impl FnOnce(&mut Operand) -> R,
    ) -> R {
        let depth = width.next_multiple_of(4);
        let padded = rows.next_multiple_of(level.tile_rows());
        let stride = row_stride(depth * number.size());
        scratch::with_bytes(padded * stride, |bytes| {
            scratch::with_scales(padded, |scales| {
                scales.fill(RowScale::ONE);
                scratch::with_beyond(if number == Number::U8 { rows } else { 0 }, |beyond| {
                    f(&mut Operand { level, number, bytes, scales, beyond, rows, depth })
                })
            })
        })
    }

    /// What its rows hold.
    pub(crate) fn number(&self) -> Number {
        self.number
    }

    /// How many they are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    fn stride(&self) -> usize {
        row_stride(self.depth * self.number.size())
    }

    /// Converts row `row`.
    pub(crate) fn set(&mut self, row: usize, x: &[f32]) {
        let stride = self.stride();
        let to = &mut self.bytes[row * stride..][..self.depth * self.number.size()];
        match (self.number, self.beyond.get_mut(row)) {
            (Number::U8, Some(beyond)) => self.scales[row] = self.level.quantise(x, to, beyond),
            (Number::I16, _) => {
                let scale = self.level.round_i16(x, i16_limit(x.len()), to);
                self.scales[row] = RowScale { scale, zero: 0.0 };
            }
            _ => self.level.convert(self.number, x, to),
        }
    }

    /// Converts all rows of `x` `[rows, width]`.
    pub(crate) fn load(&mut self, x: &[f32], width: usize) {
        for row in 0..self.rows {
            self.set(row, &x[row * width..(row + 1) * width]);
        }
    }

    /// Rows `from..` as [`Level::multiply`] takes them.
    fn left(&self, from: usize) -> (&[u8], usize) {
        (&self.bytes[from * self.stride()..], self.stride())
    }
}

/// Rows that lie in memory as a product reads them, and may overlap.
pub(crate) struct InPlace<'a> {
    pub(crate) level: Level,
    pub(crate) number: Number,
    pub(crate) bytes: &'a [u8],
    /// Bytes between rows.
    pub(crate) stride: usize,
    pub(crate) rows: usize,
}

/// What a product reads its rows from.
pub(crate) trait Left {
    fn level(&self) -> Level;
    fn number(&self) -> Number;
    fn rows(&self) -> usize;
    /// Whole tiles of rows from `row` on, and the bytes between rows.
    fn from(&self, row: usize) -> (&[u8], usize);
    /// What row `row` stands for.
    fn scale(&self, row: usize) -> RowScale;
    /// What row `row` holds beyond its range.
    fn beyond(&self, _row: usize) -> Option<&Beyond> {
        None
    }
}

impl Left for Operand<'_> {
    fn level(&self) -> Level {
        self.level
    }
    fn number(&self) -> Number {
        self.number
    }
    fn rows(&self) -> usize {
        self.rows
    }
    fn from(&self, row: usize) -> (&[u8], usize) {
        self.left(row)
    }
    fn scale(&self, row: usize) -> RowScale {
        self.scales[row]
    }
    fn beyond(&self, row: usize) -> Option<&Beyond> {
        self.beyond.get(row)
    }
}

impl Left for InPlace<'_> {
    fn level(&self) -> Level {
        self.level
    }
    fn number(&self) -> Number {
        self.number
    }
    fn rows(&self) -> usize {
        self.rows
    }
    fn from(&self, row: usize) -> (&[u8], usize) {
        (&self.bytes[row * self.stride..], self.stride)
    }
    fn scale(&self, _: usize) -> RowScale {
        RowScale::ONE
    }
}

/// Sums of a tile of rows over one panel, to be finished.
pub(crate) struct Sums<'a> {
    level: Level,
    tile: &'a mut Tile,
    scales: &'a [RowScale],
    columns: Columns<'a>,
    /// The first ones.
    row: usize,
    column: usize,
}

impl Sums<'_> {
    /// Calls `sink(values, row, column)` with 32 outputs of each row, from `column` on, where those beyond
    /// [`Linear::outputs`] mean nothing. They can be added to nothing.
    pub(crate) fn each(self, ending: Ending, mut sink: impl FnMut(&[f32; PANEL], usize, usize)) {
        self.level.finish(self.tile, self.scales, self.columns, ending);
        let rows = self.tile.0.as_chunks::<PANEL>().0;
        for (i, values) in rows[..self.scales.len()].iter().enumerate() {
            sink(values, self.row + i, self.column);
        }
    }

    /// Finishes them into their place in `out`, rows of `width` outputs.
    pub(crate) fn into(self, ending: Ending, out: &mut [f32], width: usize) {
        let to = &mut out[self.row * width + self.column..];
        if width - self.column >= PANEL {
            return self.level.finish_into(&self.tile.0, self.scales, self.columns, ending, to, width);
        }
        let (level, rest) = (self.level, width - self.column);
        let first = if ending == Ending::Add { Ending::Store } else { ending };
        self.each(first, |values, row, column| {
            let to = &mut out[row * width + column..][..rest];
            match ending {
                Ending::Add => level.add(to, &values[..rest]),
                _ => to.copy_from_slice(&values[..rest]),
            }
        });
    }
}

impl Linear {
    /// What products of many rows convert the activations to.
    pub(crate) fn operand(&self, ctx: &Context) -> Number {
        match self.storage() {
            Storage::Bf16 if ctx.bf16_products() => Number::Bf16,
            // Deeper ones are multiplied in f32.
            Storage::Int8 if ctx.int8_products() && self.packed.depth() <= MAX_BYTE_DEPTH => Number::U8,
            Storage::Int8 if ctx.i16_products() && self.packed.depth() <= MAX_I16_DEPTH => Number::I16,
            _ => Number::F32,
        }
    }

    /// All panels of outputs.
    pub(crate) fn panels(&self) -> Range<usize> {
        0..self.outputs.div_ceil(PANEL)
    }

    /// `x·Wᵀ + b` for some panels of outputs, tile by tile as sums that `sink` finishes.
    pub(crate) fn product(&self, left: &impl Left, panels: Range<usize>, mut sink: impl FnMut(Sums)) {
        let (level, number, depth) = (left.level(), left.number(), self.packed.depth());
        let height = level.tile_rows();
        let mut sums = Tile::new();
        self.with_panels(level, number, panels, |panel, bytes, columns| {
            for first in (0..left.rows()).step_by(height) {
                let (rows, stride) = left.from(first);
                level.multiply(number, rows, stride, bytes, depth, &mut sums.0, PANEL, false);
                let count = height.min(left.rows() - first);
                let mut scales = [RowScale::ONE; crate::kernels::MAX_TILE_ROWS];
                for (i, sums) in sums.0.as_chunks_mut::<PANEL>().0[..count].iter_mut().enumerate() {
                    if let Some(beyond) = left.beyond(first + i) {
                        level.add_beyond(beyond, bytes, sums);
                    }
                }
                scales[..count].iter_mut().enumerate().for_each(|(i, scale)| *scale = left.scale(first + i));
                let (scales, tile) = (&scales[..count], &mut sums);
                sink(Sums { level, tile, scales, columns, row: first, column: panel * PANEL });
            }
        });
    }

    /// Calls `f` with each panel's bytes as products with `number` read them, and what its sums are finished with.
    fn with_panels(
        &self,
        level: Level,
        number: Number,
        panels: Range<usize>,
        mut f: impl FnMut(usize, &[u8], Columns<'_>),
    ) {
        let depth = self.packed.depth();
        for panel in panels {
            let matrix = self.packed.panel(panel, 0, depth);
            let scale = self.panel_scale(panel);
            let bias = self.panel_bias(panel);
            let kept = match matrix {
                Matrix::Bf16Pairs(_) => Number::Bf16,
                Matrix::I8Quads(_) => Number::U8,
                _ => Number::F32,
            };
            if kept == number {
                let sums = self.packed.column_sums(panel).unwrap_or(&ZEROS);
                f(panel, matrix.bytes(), Columns { scale, sums, bias });
            } else if number == Number::I16 {
                scratch::with_bytes(2 * depth * PANEL, |widened| {
                    level.widen_i16(matrix.bytes(), depth, widened);
                    f(panel, widened, Columns { scale, sums: &ZEROS, bias });
                });
            } else {
                // The scales are in what is widened.
                scratch::with(depth * PANEL, |widened| {
                    level.widen(matrix, depth, scale, widened);
                    f(panel, Matrix::F32(widened).bytes(), Columns { scale: &ONES, sums: &ZEROS, bias });
                });
            }
        }
    }
}
