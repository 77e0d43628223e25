//! The plan of a matrix product: C `[m, n]` = epilogue(A `[m, k]` · W `[n, k]`ᵀ), whole matrices in one launch.
//!
//! The grid makes 256 rows × 64·columns columns at a time. Which operand stays in the memtiles meanwhile is the
//! [`LoopOrder`]; `kernels/designs/taps.py` walks the same loops.

use super::geometry::{
    A_L2_ROW_BYTES, A_ROW_BYTES, B_OBJECT_BYTES, C_ROW_BYTES, Grid, MAX_INT8_K, ROW_SCALE_BYTES,
    TILE_COLUMNS, TILE_ROWS,
};
use super::order::{self, LoopOrder};
use crate::kernel::{Channel, Drain, Program, Segment, Tap};
use crate::{Error, Result};

/// Launch argument of each operand, in the order of the overlay's buffers.
pub mod argument {
    /// Activations.
    pub const A: u32 = 0;
    /// Packed weights.
    pub const B: u32 = 1;
    /// Output.
    pub const C: u32 = 2;
    /// Residual, where there is one.
    pub const RESIDUAL: u32 = 3;
}

/// Types of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GemmKind {
    /// bf16 × bf16, summed in f32, to bf16.
    Bf16,
    /// int8 × int8, summed in int32, to int32.
    Int8Int32,
    /// int8 × int8 with a scale for each row and each column, to bf16.
    Int8Bf16,
    /// int8 × int8 with a scale for each column and one for the output, to int8.
    Int8Int8,
}

impl GemmKind {
    /// Number of the operation in the manifest.
    #[must_use]
    pub fn op(self) -> u32 {
        match self {
            Self::Bf16 => 1,
            Self::Int8Int32 => 2,
            Self::Int8Bf16 => 3,
            Self::Int8Int8 => 4,
        }
    }

    /// Bytes of an element of A and W.
    #[must_use]
    pub fn input_bytes(self) -> usize {
        if self == Self::Bf16 { 2 } else { 1 }
    }

    /// Bytes of an element of C.
    #[must_use]
    pub fn output_bytes(self) -> usize {
        match self {
            Self::Bf16 | Self::Int8Bf16 => 2,
            Self::Int8Int32 => 4,
            Self::Int8Int8 => 1,
        }
    }

    /// Bytes behind each row of A: the row's scale.
    #[must_use]
    pub fn row_tail_bytes(self) -> usize {
        if self == Self::Int8Bf16 { ROW_SCALE_BYTES } else { 0 }
    }

    /// Elements of K in one object.
    #[must_use]
    pub fn step(self) -> usize {
        A_ROW_BYTES / self.input_bytes()
    }
}

/// Where a row-major matrix lies in a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Region {
    /// First byte.
    pub offset_bytes: usize,
    /// From one row to the next. Rows may overlap: a convolution's input is such a view.
    pub row_stride_bytes: usize,
}

/// One product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemmProblem {
    /// Types.
    pub kind: GemmKind,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of A and of W.
    pub k: usize,
    /// Rows of W, columns of C.
    pub n: usize,
    /// A; [`Self::padded_rows`] rows of [`Self::a_row_bytes`] are read.
    pub a: Region,
    /// C; [`Self::padded_rows`] rows of [`Self::c_row_bytes`] are written.
    pub c: Region,
    /// bf16 `[m, n]`, added before rounding.
    pub residual: Option<Region>,
}

impl GemmProblem {
    /// A product `(m, k, n)` whose A and C begin their buffers, rows without gaps, and which has no residual.
    #[must_use]
    pub fn dense(grid: Grid, kind: GemmKind, (m, k, n): (usize, usize, usize)) -> Self {
        let (a, c) = (Region::default(), Region::default());
        let mut problem = Self { kind, m, k, n, a, c, residual: None };
        problem.a.row_stride_bytes = problem.a_row_bytes();
        problem.c.row_stride_bytes = problem.c_row_bytes(grid);
        problem
    }

    /// Rows, rounded up to what the grid makes at a time.
    #[must_use]
    pub fn padded_rows(&self, grid: Grid) -> usize {
        self.m.next_multiple_of(grid.block_rows())
    }

    /// Columns of C, rounded up likewise.
    #[must_use]
    pub fn padded_columns(&self, grid: Grid) -> usize {
        self.n.next_multiple_of(self.tiles_of_a_panel() * grid.panel_columns())
    }

    /// Bytes of a row of A that are read: K rounded up to a memtile's object, and the row's tail.
    #[must_use]
    pub fn a_row_bytes(&self) -> usize {
        self.k_bytes() + self.kind.row_tail_bytes()
    }

    /// Bytes of a row of C that are written.
    #[must_use]
    pub fn c_row_bytes(&self, grid: Grid) -> usize {
        self.padded_columns(grid) * self.kind.output_bytes()
    }

    /// Bytes of a buffer that holds A in rows of `a.row_stride_bytes`.
    #[must_use]
    pub fn a_len_bytes(&self, grid: Grid) -> usize {
        self.a.offset_bytes
            + self.padded_rows(grid).saturating_sub(1) * self.a.row_stride_bytes
            + self.a_row_bytes()
    }

    /// Bytes of a buffer that holds C in rows of `c.row_stride_bytes`.
    #[must_use]
    pub fn c_len_bytes(&self, grid: Grid) -> usize {
        self.c.offset_bytes
            + self.padded_rows(grid).saturating_sub(1) * self.c.row_stride_bytes
            + self.c_row_bytes(grid)
    }

    /// Objects of the inner loop.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.k_bytes() / A_ROW_BYTES
    }

    /// Bytes of one column tile of packed weights: its parameters and its tiles.
    #[must_use]
    pub fn b_tile_bytes(&self) -> usize {
        (1 + self.steps()) * B_OBJECT_BYTES
    }

    /// Bytes of all packed weights.
    #[must_use]
    pub fn b_len_bytes(&self, grid: Grid) -> usize {
        self.padded_columns(grid) / TILE_COLUMNS * self.b_tile_bytes()
    }

    fn k_bytes(&self) -> usize {
        (self.k * self.kind.input_bytes()).next_multiple_of(A_L2_ROW_BYTES)
    }

    /// Blocks of rows and panels of columns.
    pub(super) fn blocks(&self, grid: Grid) -> (usize, usize) {
        let panel_columns = grid.panel_columns() * self.tiles_of_a_panel();
        (self.padded_rows(grid) / grid.block_rows(), self.padded_columns(grid) / panel_columns)
    }

    /// Column tiles that a core makes of one panel: an int8 C object joins two, so a core makes both, one after the
    /// other, and takes its rows of A for each.
    pub(super) fn tiles_of_a_panel(&self) -> usize {
        if self.kind == GemmKind::Int8Int8 { 2 } else { 1 }
    }

    /// Bytes of a panel of packed weights in the memtile of one column.
    pub(super) fn b_panel_bytes(&self) -> usize {
        self.tiles_of_a_panel() * self.b_tile_bytes()
    }

    fn check(&self) -> Result<()> {
        let unfit = |why: String| Err(Error::Shape { why });
        if self.m == 0 || self.k == 0 || self.n == 0 {
            return unfit(format!("a product of {}×{}×{}", self.m, self.k, self.n));
        }
        if self.kind != GemmKind::Bf16 && self.k > MAX_INT8_K {
            return unfit(format!("K = {}: int32 sums of int8 products hold {MAX_INT8_K} of them", self.k));
        }
        let regions = [Some(self.a), Some(self.c), self.residual];
        if let Some(region) = regions.into_iter().flatten().find(|region| {
            !region.offset_bytes.is_multiple_of(4) || !region.row_stride_bytes.is_multiple_of(4)
        }) {
            return unfit(format!("{region:?} is not made of 4-byte words, which DMAs move"));
        }
        if self.residual.is_some() && !matches!(self.kind, GemmKind::Bf16) {
            return unfit(format!("{:?} takes no residual", self.kind));
        }
        Ok(())
    }
}

/// The program of `problem` in the loop order of least DDR traffic that fits the memtiles.
///
/// # Errors
/// [`Error::Shape`] if there is nothing to do, or the product does not fit the array's words.
pub fn plan(grid: Grid, problem: &GemmProblem) -> Result<Program> {
    problem.check()?;
    plan_in(grid, problem, order::choose(grid, problem))
}

/// The program of `problem` in one loop order.
///
/// # Errors
/// [`Error::Shape`] if the order does not fit the memtiles, or an address does not fit a word.
pub fn plan_in(grid: Grid, problem: &GemmProblem, order: LoopOrder) -> Result<Program> {
    problem.check()?;
    order::check(grid, problem, order)?;
    let (blocks, panels) = problem.blocks(grid);
    let walk = Walk { grid, problem };
    let mut program = Program { columns: word(grid.columns)?, rows: word(grid.rows)?, ..Program::default() };
    match order {
        LoopOrder::AResident => {
            for block in 0..blocks {
                walk.fill_a(&mut program, block..block + 1, panels * problem.tiles_of_a_panel())?;
                for panel in 0..panels {
                    walk.fill_b(&mut program, panel, 1)?;
                    walk.drain(&mut program, panel, block)?;
                }
            }
        }
        LoopOrder::BResident => {
            for panel in 0..panels {
                walk.fill_b(&mut program, panel, blocks)?;
                for block in 0..blocks {
                    walk.fill_a(&mut program, block..block + 1, problem.tiles_of_a_panel())?;
                    walk.fill_residual(&mut program, panel, block)?;
                    walk.drain(&mut program, panel, block)?;
                }
            }
        }
        LoopOrder::BothResident => {
            walk.fill_a(&mut program, 0..blocks, panels)?;
            for panel in 0..panels {
                walk.fill_b(&mut program, panel, blocks)?;
                for block in 0..blocks {
                    walk.drain(&mut program, panel, block)?;
                }
            }
        }
        LoopOrder::Streamed => {
            for (panel, block) in (0..panels).flat_map(|panel| (0..blocks).map(move |block| (panel, block))) {
                walk.fill_b(&mut program, panel, 1)?;
                for _ in 0..problem.tiles_of_a_panel() {
                    walk.fill_a(&mut program, block..block + 1, 1)?;
                }
                walk.fill_residual(&mut program, panel, block)?;
                walk.drain(&mut program, panel, block)?;
            }
        }
    }
    Ok(program)
}

struct Walk<'a> {
    grid: Grid,
    problem: &'a GemmProblem,
}

impl Walk<'_> {
    /// Rows of A for each row of cores, block after block, as one segment.
    fn fill_a(&self, program: &mut Program, blocks: std::ops::Range<usize>, replay: usize) -> Result<()> {
        let (a, stride) = (self.problem.a, self.problem.a.row_stride_bytes);
        for row in 0..self.grid.rows {
            let first = (blocks.start * self.grid.rows + row) * TILE_ROWS;
            let tap = Tap::nested(
                argument::A,
                word(a.offset_bytes + first * stride)?,
                word(A_L2_ROW_BYTES)?,
                &[
                    (word(blocks.len())?, word(self.grid.block_rows() * stride)?),
                    (word(self.problem.a_row_bytes() / A_L2_ROW_BYTES)?, word(A_L2_ROW_BYTES)?),
                    (word(TILE_ROWS)?, word(stride)?),
                ],
            );
            program.segments.push(Segment { channel: Channel::A(word(row)?), tap, replay: word(replay)? });
        }
        Ok(())
    }

    /// A panel of packed weights: one column tile for each column of cores.
    fn fill_b(&self, program: &mut Program, panel: usize, replay: usize) -> Result<()> {
        let panel_bytes = self.problem.b_panel_bytes();
        for column in 0..self.grid.columns {
            let first = panel * self.grid.columns + column;
            let tap = Tap::linear(argument::B, word(first * panel_bytes)?, word(panel_bytes)?);
            program.segments.push(Segment { channel: Channel::B(word(column)?), tap, replay: word(replay)? });
        }
        Ok(())
    }

    /// The residual of one block and panel, after the block's A: every column takes its own part of it.
    fn fill_residual(&self, program: &mut Program, panel: usize, block: usize) -> Result<()> {
        let Some(residual) = self.problem.residual else { return Ok(()) };
        let panel_bytes = self.grid.columns * C_ROW_BYTES;
        for row in 0..self.grid.rows {
            let first = (block * self.grid.rows + row) * TILE_ROWS;
            let offset = residual.offset_bytes + first * residual.row_stride_bytes + panel * panel_bytes;
            let tap = Tap::nested(
                argument::RESIDUAL,
                word(offset)?,
                word(A_L2_ROW_BYTES)?,
                &[
                    (word(panel_bytes / A_L2_ROW_BYTES)?, word(A_L2_ROW_BYTES)?),
                    (word(TILE_ROWS)?, word(residual.row_stride_bytes)?),
                ],
            );
            program.segments.push(Segment { channel: Channel::A(word(row)?), tap, replay: 1 });
        }
        Ok(())
    }

    /// The output of one block and panel.
    fn drain(&self, program: &mut Program, panel: usize, block: usize) -> Result<()> {
        let c = self.problem.c;
        let first = c.offset_bytes + block * self.grid.block_rows() * c.row_stride_bytes;
        // Objects that a column's tile (or pair of tiles) fills side by side.
        let objects = if self.problem.kind == GemmKind::Int8Int32 { 2 } else { 1 };
        for column in 0..self.grid.columns {
            for object in 0..objects {
                let across = (panel * self.grid.columns + column) * objects + object;
                let tap = Tap::nested(
                    argument::C,
                    word(first + across * C_ROW_BYTES)?,
                    word(C_ROW_BYTES)?,
                    &[(word(self.grid.block_rows())?, word(c.row_stride_bytes)?)],
                );
                program.drains.push(Drain { column: word(column)?, tap });
            }
        }
        Ok(())
    }
}

/// A number that must fit a word of the stream.
pub(super) fn word(value: usize) -> Result<u32> {
    u32::try_from(value)
        .map_err(|_| Error::Shape { why: format!("{value} does not fit a word of the stream") })
}
