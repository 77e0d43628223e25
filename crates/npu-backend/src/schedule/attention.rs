//! The plan of attention: softmax(Q Kᵀ / √64) V for heads of width 64, in one launch, never a matrix of scores in memory.
//!
//! A column of cores works on one head at a time; its four cores on 64 queries each. Keys and values stream down the
//! column in blocks of 32 and are read again for each block of 256 queries.

use super::gemm::{Region, word};
use super::geometry::{
    A_L2_ROW_BYTES, B_OBJECT_BYTES, B_ROW_BYTES, C_ROW_BYTES, Grid, MAX_STEP_BYTES, TILE_ROWS,
};
use super::params::{self, Params};
use crate::kernel::{Channel, Drain, Program, Segment, Tap};
use crate::{Error, Result};

/// Launch argument of each operand.
pub mod argument {
    /// The buffer that holds queries, keys and values.
    pub const QKV: u32 = 0;
    /// The parameter objects: one for columns with work, one for idle ones.
    pub const PARAMS: u32 = 1;
    /// Output.
    pub const OUT: u32 = 2;
}

/// Number of the operation in the manifest.
pub const OP: u32 = 5;
/// Width of a head, of every Whisper model.
pub const HEAD_DIM: usize = 64;
/// Keys of one B object.
pub const KEYS_PER_STEP: usize = 32;

/// What the scores Q·Kᵀ are made of: the cores take 2 to their power, times a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queries {
    /// Queries as the model defines them: the cores multiply each score by log2(e) / √64.
    Plain,
    /// Queries that hold that factor already, folded into the weights and the bias that they come from: a product less
    /// for each score.
    Log2,
}

impl Queries {
    /// From a score to an exponent of two; exactly 1 means that the cores multiply by nothing.
    #[must_use]
    pub fn scale(self) -> f32 {
        match self {
            Self::Plain => std::f32::consts::LOG2_E / 8.0,
            Self::Log2 => 1.0,
        }
    }
}

/// One attention: all heads, all queries. Rows hold the heads side by side, 64 bf16 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionProblem {
    /// Heads.
    pub heads: usize,
    /// Keys, without padding.
    pub frames: usize,
    /// Queries, without padding: all of the frames, or a part that has its own launch.
    pub rows: usize,
    /// What the queries hold.
    pub queries: Queries,
    /// Queries; [`Self::padded_rows`] rows are read, and columns up to the next [`Grid::panel_columns`].
    pub q: Region,
    /// Keys; the same rows are read, and the padding is masked. Starts after `q`'s offset or not, but before `v`'s.
    pub k: Region,
    /// Values; the row stride is that of `k`.
    pub v: Region,
    /// Output; [`Self::padded_rows`] rows are written.
    pub out: Region,
}

impl AttentionProblem {
    /// Rows of queries, rounded up to what the grid makes at a time.
    #[must_use]
    pub fn padded_rows(&self, grid: Grid) -> usize {
        self.rows.next_multiple_of(grid.block_rows())
    }

    /// Blocks of keys.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.frames.div_ceil(KEYS_PER_STEP)
    }

    /// The parameter objects, to be pushed once: `[with work, idle]`.
    #[must_use]
    pub fn params(&self, grid: Grid) -> Vec<u8> {
        let mut objects = vec![0; 2 * B_OBJECT_BYTES];
        for (object, flags) in objects.chunks_exact_mut(B_OBJECT_BYTES).zip([0, params::IDLE]) {
            let words = [self.steps(), self.frames, grid.columns]
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            let [steps, valid, columns] = words;
            let (scale, bias, column_scale) = (self.queries.scale(), &[][..], &[][..]);
            Params { op: OP, flags, steps, valid, scale, columns, bias, column_scale }.write(object);
        }
        objects
    }
}

/// The program of `problem`.
///
/// # Errors
/// [`Error::Shape`] if there is nothing to do, or keys, values and words do not fit.
pub fn plan(grid: Grid, problem: &AttentionProblem) -> Result<Program> {
    check(problem)?;
    let mut program = Program { columns: word(grid.columns)?, rows: word(grid.rows)?, ..Program::default() };
    let blocks = problem.padded_rows(grid) / grid.block_rows();
    for group in 0..problem.heads.div_ceil(grid.columns) {
        let first_head = group * grid.columns;
        for block in 0..blocks {
            fill_queries(grid, problem, &mut program, first_head, block)?;
            for column in 0..grid.columns {
                let head = first_head + column;
                fill_keys(problem, &mut program, column, head)?;
                drain(grid, problem.out, &mut program, column, head, block)?;
            }
        }
    }
    Ok(program)
}

fn check(problem: &AttentionProblem) -> Result<()> {
    let unfit = |why: String| Err(Error::Shape { why });
    if problem.heads == 0 || problem.frames == 0 || problem.rows == 0 {
        return unfit(format!(
            "attention of {} heads, {} queries over {} frames",
            problem.heads, problem.rows, problem.frames
        ));
    }
    if problem.k.row_stride_bytes != problem.v.row_stride_bytes
        || problem.v.offset_bytes < problem.k.offset_bytes
    {
        return unfit("values must follow the keys at the same row stride".into());
    }
    let apart = problem.v.offset_bytes - problem.k.offset_bytes;
    if apart > MAX_STEP_BYTES {
        return unfit(format!("values begin {apart} bytes after the keys; a DMA steps {MAX_STEP_BYTES}"));
    }
    Ok(())
}

/// Queries of a group of heads: each core row's 64 rows, all heads of the group side by side.
fn fill_queries(
    grid: Grid,
    problem: &AttentionProblem,
    program: &mut Program,
    first_head: usize,
    block: usize,
) -> Result<()> {
    let (q, group_bytes) = (problem.q, grid.columns * C_ROW_BYTES);
    for row in 0..grid.rows {
        let first = (block * grid.rows + row) * TILE_ROWS;
        let tap = Tap::nested(
            argument::QKV,
            word(q.offset_bytes + first * q.row_stride_bytes + first_head * C_ROW_BYTES)?,
            word(A_L2_ROW_BYTES)?,
            &[
                (word(group_bytes / A_L2_ROW_BYTES)?, word(A_L2_ROW_BYTES)?),
                (word(TILE_ROWS)?, word(q.row_stride_bytes)?),
            ],
        );
        program.segments.push(Segment { channel: Channel::A(word(row)?), tap, replay: 1 });
    }
    Ok(())
}

/// Parameters, then block after block of 32 keys and their values.
fn fill_keys(problem: &AttentionProblem, program: &mut Program, column: usize, head: usize) -> Result<()> {
    let channel = Channel::B(word(column)?);
    let idle = head >= problem.heads;
    let params =
        Tap::linear(argument::PARAMS, if idle { word(B_OBJECT_BYTES)? } else { 0 }, word(B_OBJECT_BYTES)?);
    program.segments.push(Segment { channel, tap: params, replay: 1 });
    // An idle column's data are those of the last head: read, and not used.
    let head = head.min(problem.heads - 1);
    let (k, stride) = (problem.k, problem.k.row_stride_bytes);
    let tap = Tap::nested(
        argument::QKV,
        word(k.offset_bytes + head * B_ROW_BYTES)?,
        word(B_ROW_BYTES)?,
        &[
            (word(problem.steps())?, word(KEYS_PER_STEP * stride)?),
            (2, word(problem.v.offset_bytes - k.offset_bytes)?),
            (word(KEYS_PER_STEP)?, word(stride)?),
        ],
    );
    program.segments.push(Segment { channel, tap, replay: 1 });
    Ok(())
}

/// One head's output; an idle column's goes where the next head would stand, in the padding of the row.
pub(super) fn drain(
    grid: Grid,
    out: Region,
    program: &mut Program,
    column: usize,
    head: usize,
    block: usize,
) -> Result<()> {
    let first = block * grid.block_rows() * out.row_stride_bytes;
    let tap = Tap::nested(
        argument::OUT,
        word(out.offset_bytes + first + head * C_ROW_BYTES)?,
        word(C_ROW_BYTES)?,
        &[(word(grid.block_rows())?, word(out.row_stride_bytes)?)],
    );
    program.drains.push(Drain { column: word(column)?, tap });
    Ok(())
}
