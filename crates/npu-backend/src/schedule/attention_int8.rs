//! The plan and the packing of attention in int8: softmax(Q Kᵀ / 8) V for heads of width 64, one scale for each row of Q
//! and of K and for each channel of V.
//!
//! The encoder works in bf16; this is for comparing the two. As the queries come from the host anyway, operands are packed
//! in the order of the streams.
//!
//! ```text
//! queries, a row:  for each group of as many heads as columns: 64 bytes a head, then 64 bytes a head, its scale (f32) first
//! keys:            parameters for idle columns, then for each head its parameters and, for each 64 keys, three objects:
//!                  K [64 keys][64], V [64 keys][64], the scales of K (f32[64] as the core sees it)
//! ```

use super::attention::{HEAD_DIM, Queries, drain};
use super::gemm::{Region, word};
use super::geometry::{A_L2_ROW_BYTES, A_ROW_BYTES, B_OBJECT_BYTES, Grid, TILE_ROWS};
use super::pack::quantise_row;
use super::params::{self, Params, b_object_position};
use crate::kernel::{Channel, Program, Segment, Tap};
use crate::{Error, Result};

/// Launch argument of each operand.
pub mod argument {
    /// Packed queries.
    pub const QUERIES: u32 = 0;
    /// Packed keys and values, with the parameters.
    pub const KEYS: u32 = 1;
    /// Output, bf16.
    pub const OUT: u32 = 2;
}

/// Number of the operation in the manifest.
pub const OP: u32 = 6;
/// Keys of a K object.
pub const KEYS_PER_STEP: usize = 64;
/// K, V, scales.
const OBJECTS_PER_STEP: usize = 3;

/// One attention in int8: all heads, all queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Int8AttentionProblem {
    /// Heads.
    pub heads: usize,
    /// Queries and keys, without padding.
    pub frames: usize,
    /// Output, bf16, heads side by side; [`Self::padded_frames`] rows are written, and columns up to the next
    /// [`Grid::panel_columns`].
    pub out: Region,
}

impl Int8AttentionProblem {
    /// Rows, rounded up to what the grid makes at a time.
    #[must_use]
    pub fn padded_frames(&self, grid: Grid) -> usize {
        self.frames.next_multiple_of(grid.block_rows())
    }

    /// Blocks of keys.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.frames.div_ceil(KEYS_PER_STEP)
    }

    /// Bytes of the packed queries.
    #[must_use]
    pub fn queries_len_bytes(&self, grid: Grid) -> usize {
        self.padded_frames(grid) * self.query_row_bytes(grid)
    }

    /// Bytes of the packed keys and values.
    #[must_use]
    pub fn keys_len_bytes(&self) -> usize {
        B_OBJECT_BYTES + self.heads * self.head_bytes()
    }

    fn groups(&self, grid: Grid) -> usize {
        self.heads.div_ceil(grid.columns)
    }

    fn query_row_bytes(&self, grid: Grid) -> usize {
        self.groups(grid) * group_bytes(grid)
    }

    /// Parameters and blocks of one head.
    fn head_bytes(&self) -> usize {
        (1 + OBJECTS_PER_STEP * self.steps()) * B_OBJECT_BYTES
    }

    /// Packs queries `[frames, heads × 64]` into a zeroed buffer of [`Self::queries_len_bytes`].
    ///
    /// # Errors
    /// [`Error::NotFinite`]: a softmax in integers would make weights of it.
    pub fn pack_queries(&self, grid: Grid, queries: &[f32], packed: &mut [u8]) -> Result<()> {
        self.check_finite("queries", queries)?;
        let rows = packed.chunks_exact_mut(self.query_row_bytes(grid));
        for (row, to) in queries.chunks_exact(self.heads * HEAD_DIM).zip(rows) {
            for (head, values) in row.chunks_exact(HEAD_DIM).enumerate() {
                let (group, column) = (head / grid.columns, head % grid.columns);
                let at = group * group_bytes(grid) + column * A_ROW_BYTES;
                let scale = put_row(values, &mut to[at..at + HEAD_DIM]);
                let at = at + grid.columns * A_ROW_BYTES;
                to[at..at + 4].copy_from_slice(&scale.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Packs keys and values, `[frames, heads × 64]` each, into a zeroed buffer of [`Self::keys_len_bytes`].
    ///
    /// # Errors
    /// As [`Self::pack_queries`].
    pub fn pack_keys(&self, grid: Grid, keys: &[f32], values: &[f32], packed: &mut [u8]) -> Result<()> {
        self.check_finite("keys", keys)?;
        self.check_finite("values", values)?;
        let (idle, heads) = packed.split_at_mut(B_OBJECT_BYTES);
        self.params(grid, params::IDLE, &[]).write(idle);
        for (head, to) in heads.chunks_exact_mut(self.head_bytes()).enumerate() {
            let (head_params, blocks) = to.split_at_mut(B_OBJECT_BYTES);
            let of_head = |rows| head_rows(rows, self.heads, head);
            let scales = channel_scales(of_head(values));
            self.params(grid, 0, &scales).write(head_params);
            for (frame, (key, value)) in of_head(keys).zip(of_head(values)).enumerate() {
                let (block, row) = (frame / KEYS_PER_STEP, frame % KEYS_PER_STEP);
                let block = &mut blocks[block * OBJECTS_PER_STEP * B_OBJECT_BYTES..];
                let (k, rest) = block.split_at_mut(B_OBJECT_BYTES);
                let (v, k_scales) = rest.split_at_mut(B_OBJECT_BYTES);
                let span = row * HEAD_DIM..(row + 1) * HEAD_DIM;
                let scale = put_row(key, &mut k[span.clone()]);
                let at = b_object_position(4 * row);
                k_scales[at..at + 4].copy_from_slice(&scale.to_le_bytes());
                for ((to, &value), &scale) in v[span].iter_mut().zip(value).zip(&scales) {
                    *to = quantise(value, scale).to_le_bytes()[0];
                }
            }
        }
        Ok(())
    }

    fn check_finite(&self, what: &'static str, rows: &[f32]) -> Result<()> {
        match rows.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::NotFinite { what, row: at / (self.heads * HEAD_DIM) }),
            None => Ok(()),
        }
    }

    fn params<'a>(&self, grid: Grid, flags: u32, column_scale: &'a [f32]) -> Params<'a> {
        let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (steps, valid, columns) = (word(self.steps()), word(self.frames), word(grid.columns));
        let scale = Queries::Plain.scale();
        Params { op: OP, flags, steps, valid, scale, columns, bias: &[], column_scale }
    }
}

/// Queries of a group of heads in a row, and their scales.
fn group_bytes(grid: Grid) -> usize {
    2 * grid.columns * A_ROW_BYTES
}

/// The rows of one head.
fn head_rows(rows: &[f32], heads: usize, head: usize) -> impl Iterator<Item = &[f32]> {
    rows.chunks_exact(heads * HEAD_DIM).map(move |row| &row[head * HEAD_DIM..(head + 1) * HEAD_DIM])
}

/// Writes a row as int8 and answers its scale.
fn put_row(values: &[f32], to: &mut [u8]) -> f32 {
    let mut quantised = [0i8; HEAD_DIM];
    let scale = quantise_row(values, &mut quantised);
    to.iter_mut().zip(quantised).for_each(|(to, value)| *to = value.to_le_bytes()[0]);
    scale
}

/// The scale of each channel of V: NaN where a value is not finite, so that the output shows it.
fn channel_scales<'a>(rows: impl Iterator<Item = &'a [f32]>) -> [f32; HEAD_DIM] {
    let mut largest = [0.0f32; HEAD_DIM];
    for row in rows {
        for (largest, value) in largest.iter_mut().zip(row) {
            *largest = largest.max(value.abs());
        }
    }
    largest.map(|largest| largest / 127.0)
}

fn quantise(value: f32, scale: f32) -> i8 {
    let steps = if scale > 0.0 { (value / scale).round_ties_even() } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, reason = "saturates; within ±127 by the scale")]
    {
        steps as i8
    }
}

/// The program of `problem`.
///
/// # Errors
/// [`Error::Shape`] if there is nothing to do, or sizes do not fit words.
pub fn plan(grid: Grid, problem: &Int8AttentionProblem) -> Result<Program> {
    if problem.heads == 0 || problem.frames == 0 {
        return Err(Error::Shape {
            why: format!("attention of {} heads over {} frames", problem.heads, problem.frames),
        });
    }
    let mut program = Program { columns: word(grid.columns)?, rows: word(grid.rows)?, ..Program::default() };
    for group in 0..problem.groups(grid) {
        for block in 0..problem.padded_frames(grid) / grid.block_rows() {
            fill_queries(grid, problem, &mut program, group, block)?;
            for column in 0..grid.columns {
                let head = group * grid.columns + column;
                fill_keys(problem, &mut program, column, head)?;
                drain(grid, problem.out, &mut program, column, head, block)?;
            }
        }
    }
    Ok(program)
}

/// Queries and scales of a group of heads, for each row of cores.
fn fill_queries(
    grid: Grid,
    problem: &Int8AttentionProblem,
    program: &mut Program,
    group: usize,
    block: usize,
) -> Result<()> {
    let stride = problem.query_row_bytes(grid);
    for row in 0..grid.rows {
        let first = (block * grid.rows + row) * TILE_ROWS;
        let tap = Tap::nested(
            argument::QUERIES,
            word(first * stride + group * group_bytes(grid))?,
            word(A_L2_ROW_BYTES)?,
            &[
                (word(group_bytes(grid) / A_L2_ROW_BYTES)?, word(A_L2_ROW_BYTES)?),
                (word(TILE_ROWS)?, word(stride)?),
            ],
        );
        program.segments.push(Segment { channel: Channel::A(word(row)?), tap, replay: 1 });
    }
    Ok(())
}

/// Parameters, then block after block of 64 keys; an idle column takes the last head's.
fn fill_keys(
    problem: &Int8AttentionProblem,
    program: &mut Program,
    column: usize,
    head: usize,
) -> Result<()> {
    let channel = Channel::B(word(column)?);
    let begin = B_OBJECT_BYTES + head.min(problem.heads - 1) * problem.head_bytes();
    let params = if head < problem.heads { begin } else { 0 };
    let blocks = problem.head_bytes() - B_OBJECT_BYTES;
    for (offset, len) in [(params, B_OBJECT_BYTES), (begin + B_OBJECT_BYTES, blocks)] {
        let tap = Tap::linear(argument::KEYS, word(offset)?, word(len)?);
        program.segments.push(Segment { channel, tap, replay: 1 });
    }
    Ok(())
}
