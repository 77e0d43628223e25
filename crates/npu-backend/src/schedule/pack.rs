//! Packing: matrices of numbers to the bytes that the array's streams carry, and back.
//!
//! Activations and outputs stay row-major: the memtiles reorder them. Weights are packed once: for each tile of 64
//! columns a parameter object, then the tiles of K in order. Edges are filled with zeros.

use half::bf16;

use super::gemm::{GemmKind, GemmProblem};
use super::geometry::{B_OBJECT_BYTES, B_ROW_BYTES, Grid, TILE_COLUMNS};
use super::params::{GELU, Params, RESIDUAL, b_object_position};
use crate::device::Arch;

/// What packed weights are for; they are wrong for anything else, silently, so it is compared before each use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackTag {
    /// Generation.
    pub arch: Arch,
    /// Types.
    pub kind: GemmKind,
    /// Block of one multiply: rows of A, inner, columns of B.
    pub r_s_t: [usize; 3],
    /// Tile of one core.
    pub m_k_n: [usize; 3],
}

impl PackTag {
    /// The tag of the overlay's weights of `kind`.
    #[must_use]
    pub fn new(arch: Arch, kind: GemmKind) -> Self {
        let r_s_t = if kind == GemmKind::Bf16 { [4, 8, 4] } else { [4, 16, 8] };
        Self { arch, kind, r_s_t, m_k_n: [64, kind.step(), TILE_COLUMNS] }
    }
}

/// Weights `[n, k]` with what the epilogue needs.
pub struct Weights<'a> {
    /// The numbers.
    pub values: WeightValues<'a>,
    /// `[n]`.
    pub bias: Option<&'a [f32]>,
    /// GELU after the bias.
    pub gelu: bool,
    /// Scale of a static int8 output: `y = round(value · output_scale)`.
    pub output_scale: f32,
}

/// The numbers of weights `[n, k]`, row by row.
pub enum WeightValues<'a> {
    /// Fills a row of k values.
    F32(&'a dyn Fn(usize, &mut [f32])),
    /// Fills a row of k values and tells its scale.
    Int8(&'a dyn Fn(usize, &mut [i8]) -> f32),
}

/// Packs weights for `problem` (its `n`, `k` and kind; `m` does not matter).
#[must_use]
pub fn weights(grid: Grid, problem: &GemmProblem, weights: &Weights<'_>) -> Vec<u8> {
    let mut packed = vec![0; problem.b_len_bytes(grid)];
    let mut scales = vec![0.0; problem.padded_columns(grid)];
    match &weights.values {
        WeightValues::F32(fill) if problem.kind == GemmKind::Bf16 => {
            let mut row = vec![0.0; problem.k];
            for n in 0..problem.n {
                fill(n, &mut row);
                let bytes = row.iter().map(|&value| bf16::from_f32(value).to_le_bytes());
                bytes.enumerate().for_each(|(k, bytes)| put_bf16(&mut packed, problem, n, k, bytes));
            }
        }
        WeightValues::F32(fill) => {
            let (mut row, mut quantised) = (vec![0.0; problem.k], vec![0; problem.k]);
            for (n, scale) in scales.iter_mut().take(problem.n).enumerate() {
                fill(n, &mut row);
                *scale = quantise_row(&row, &mut quantised);
                quantised
                    .iter()
                    .enumerate()
                    .for_each(|(k, &value)| put_int8(&mut packed, problem, n, k, value));
            }
        }
        WeightValues::Int8(fill) => {
            let mut row = vec![0; problem.k];
            for (n, scale) in scales.iter_mut().take(problem.n).enumerate() {
                *scale = fill(n, &mut row);
                for (k, &value) in row.iter().enumerate() {
                    if problem.kind == GemmKind::Bf16 {
                        let bytes = bf16::from_f32(f32::from(value) * *scale).to_le_bytes();
                        put_bf16(&mut packed, problem, n, k, bytes);
                    } else {
                        put_int8(&mut packed, problem, n, k, value);
                    }
                }
            }
        }
    }
    put_params(grid, problem, weights, &scales, &mut packed);
    packed
}

fn put_params(grid: Grid, problem: &GemmProblem, weights: &Weights<'_>, scales: &[f32], packed: &mut [u8]) {
    let flags = if weights.gelu { GELU } else { 0 } | if problem.residual.is_some() { RESIDUAL } else { 0 };
    for (tile, bytes) in packed.chunks_exact_mut(problem.b_tile_bytes()).enumerate() {
        let columns = tile * TILE_COLUMNS..(tile + 1) * TILE_COLUMNS;
        let bias = weights
            .bias
            .map_or(&[][..], |bias| &bias[columns.start.min(bias.len())..columns.end.min(bias.len())]);
        let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let params = Params {
            op: problem.kind.op(),
            flags,
            steps: word(problem.steps()),
            valid: 0,
            scale: weights.output_scale,
            columns: word(grid.columns),
            bias,
            column_scale: &scales[columns],
        };
        params.write(&mut bytes[..B_OBJECT_BYTES]);
    }
}

/// First byte of the object that holds row `n`, element `k`, and the column and step within it.
fn object_of(problem: &GemmProblem, n: usize, k: usize) -> (usize, usize, usize) {
    let step = problem.kind.step();
    let object = n / TILE_COLUMNS * problem.b_tile_bytes() + (1 + k / step) * B_OBJECT_BYTES;
    (object, n % TILE_COLUMNS, k % step)
}

/// bf16: the object is a row-major tile of 32 k × 64 n.
fn put_bf16(packed: &mut [u8], problem: &GemmProblem, n: usize, k: usize, bytes: [u8; 2]) {
    let (object, column, inner) = object_of(problem, n, k);
    let at = object + inner * B_ROW_BYTES + 2 * column;
    packed[at..at + 2].copy_from_slice(&bytes);
}

/// int8: the core sees blocks `[k/16][n/8][16 k][8 n]`.
fn put_int8(packed: &mut [u8], problem: &GemmProblem, n: usize, k: usize, value: i8) {
    let (object, column, inner) = object_of(problem, n, k);
    let block = inner / 16 * (TILE_COLUMNS / 8) + column / 8;
    packed[object + b_object_position(block * 128 + inner % 16 * 8 + column % 8)] = value.to_le_bytes()[0];
}

/// Rounds a row to int8, symmetric, and returns its scale: `value ≈ quantised · scale`. A row of zeros has scale 0, and
/// one that holds a value that is not finite has scale NaN.
pub fn quantise_row(row: &[f32], quantised: &mut [i8]) -> f32 {
    let (scale, inverse) = row_scale(row);
    quantised.iter_mut().zip(row).for_each(|(to, &value)| *to = to_int8(value, inverse).cast_signed());
    scale
}

/// The scale of a row, and what its values are multiplied by before rounding.
fn row_scale(row: &[f32]) -> (f32, f32) {
    // Without signs, floats are ordered as their bits are, NaN above all.
    let largest = row.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & 0x7FFF_FFFF));
    let largest = f32::from_bits(largest);
    let inverse = 127.0 / largest;
    if !largest.is_finite() {
        (f32::NAN, 0.0)
    } else if inverse.is_finite() {
        (largest / 127.0, inverse)
    } else {
        // Nothing, or next to it: below 4e-37.
        (0.0, 0.0)
    }
}

/// The bits of `value · inverse`, rounded to an int8, ties to even. Added to 1.5 · 2²³, a number has its integer in the
/// lowest bits: no call and no branch, so that the loop over a row becomes vectors.
fn to_int8(value: f32, inverse: f32) -> u8 {
    (value * inverse + 12_582_912.0).to_bits().to_le_bytes()[0]
}

/// Writes rows of f32 as bf16, `row_stride_bytes` apart.
pub fn rows_to_bf16(rows: &[f32], columns: usize, bytes: &mut [u8], row_stride_bytes: usize) {
    for (row, to) in rows.chunks_exact(columns).zip(bytes.chunks_mut(row_stride_bytes)) {
        for (to, &value) in to.chunks_exact_mut(2).zip(row) {
            to.copy_from_slice(&bf16_bits(value).to_le_bytes());
        }
    }
}

/// Writes rows of f32 as int8 with the row's scale (f32) behind the padded row of `k_bytes`.
pub fn rows_to_int8(rows: &[f32], columns: usize, k_bytes: usize, bytes: &mut [u8], row_stride_bytes: usize) {
    for (row, to) in rows.chunks_exact(columns).zip(bytes.chunks_mut(row_stride_bytes)) {
        let (scale, inverse) = row_scale(row);
        to.iter_mut().zip(row).for_each(|(to, &value)| *to = to_int8(value, inverse));
        to[k_bytes..k_bytes + 4].copy_from_slice(&scale.to_le_bytes());
    }
}

/// Writes rows of int8 as they are.
pub fn rows_of_int8(rows: &[i8], columns: usize, bytes: &mut [u8], row_stride_bytes: usize) {
    for (row, to) in rows.chunks_exact(columns).zip(bytes.chunks_mut(row_stride_bytes)) {
        to.iter_mut().zip(row).for_each(|(to, &value)| *to = value.cast_unsigned());
    }
}

/// Reads rows of bf16, `row_stride_bytes` apart.
pub fn rows_from_bf16(bytes: &[u8], row_stride_bytes: usize, columns: usize, rows: &mut [f32]) {
    for (row, from) in rows.chunks_exact_mut(columns).zip(bytes.chunks(row_stride_bytes)) {
        for (value, from) in row.iter_mut().zip(from.chunks_exact(2)) {
            *value = f32::from_bits(u32::from(u16::from_le_bytes([from[0], from[1]])) << 16);
        }
    }
}

/// Reads rows of int32, `row_stride_bytes` apart.
pub fn rows_from_int32(bytes: &[u8], row_stride_bytes: usize, columns: usize, rows: &mut [i32]) {
    for (row, from) in rows.chunks_exact_mut(columns).zip(bytes.chunks(row_stride_bytes)) {
        for (value, from) in row.iter_mut().zip(from.chunks_exact(4)) {
            *value = i32::from_le_bytes([from[0], from[1], from[2], from[3]]);
        }
    }
}

/// f32 to bf16, ties to even, without a branch so that the loop over a row becomes vectors. NaN stays NaN.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let quiet = bits | 0x0040_0000;
    #[allow(clippy::cast_possible_truncation, reason = "the upper half of 32 bits")]
    {
        (if value.is_nan() { quiet } else { rounded } >> 16) as u16
    }
}

/// Adds rows of bf16, `row_stride_bytes` apart, to rows of f32.
pub fn add_rows_from_bf16(bytes: &[u8], row_stride_bytes: usize, columns: usize, rows: &mut [f32]) {
    for (row, from) in rows.chunks_exact_mut(columns).zip(bytes.chunks(row_stride_bytes)) {
        for (value, from) in row.iter_mut().zip(from.chunks_exact(2)) {
            *value += f32::from_bits(u32::from(u16::from_le_bytes([from[0], from[1]])) << 16);
        }
    }
}
