//! The shadow check: a few numbers of a launch's output are computed again on the CPU, in f64 from the very operands that
//! the device had, and compared within a bound that the types give.
//!
//! A device can answer COMPLETED with wrong numbers: zeros, the output of the launch before, NaN, numbers of a mispacked
//! weight (section "Silent" of `npu_backend::emulator::faults`). Text made of them may look like text. Such faults spoil
//! a whole launch, so a few numbers of each launch show them; a check of every nth launch is cheaper and sees less.

use std::ops::Range;

use half::bf16;
use npu_backend::ops::Engine;
use npu_backend::schedule::attention::HEAD_DIM;
use npu_backend::schedule::{AttentionProblem, GemmKind, GemmProblem, Region, pack};
use npu_backend::{BufferId, Result};

use super::linear::{NpuLinear, Packing};
use crate::checkpoint::Values;

/// Rows and columns of the tile that is compared.
const ROWS: usize = 2;
const COLUMNS: usize = 16;

/// When to check, and what was found.
pub(super) struct Shadow {
    /// Every so many launches; 0 for never.
    every: u64,
    launches: u64,
    pub(super) checks: u64,
    /// The first mismatch since it was last taken.
    pub(super) mismatch: Option<String>,
}

/// Where a product's rows of A are.
pub(super) enum Source<'a> {
    /// On the device.
    Buffer(BufferId),
    /// On the host, which overwrote them since: row ▸ bytes as they were pushed.
    Host(&'a dyn Fn(usize) -> Vec<u8>),
}

/// A product with what its tile needs.
pub(super) struct Watched<'a> {
    pub(super) name: &'static str,
    pub(super) layer: &'a NpuLinear,
    pub(super) packing: Packing,
    pub(super) problem: &'a GemmProblem,
    pub(super) from: Source<'a>,
    pub(super) to: BufferId,
}

impl Shadow {
    pub(super) fn new(every: u64) -> Self {
        Self { every, launches: 0, checks: 0, mismatch: None }
    }

    /// The number of this check, if it is time for one.
    fn due(&mut self) -> Option<usize> {
        self.launches += 1;
        if self.every == 0 || !self.launches.is_multiple_of(self.every) {
            return None;
        }
        self.checks += 1;
        Some(place(self.checks))
    }

    /// Compares a tile of a finished product.
    pub(super) fn product(&mut self, engine: &mut Engine, watched: &Watched<'_>) -> Result<()> {
        let Some(place) = self.due() else { return Ok(()) };
        let Watched { problem, layer, packing, .. } = watched;
        let rows = span(place, problem.m, ROWS);
        let columns = span(place / 7, problem.n, COLUMNS);
        let (mut weights, mut weight) = (Vec::new(), vec![0.0; layer.weight.cols()]);
        for n in columns.clone() {
            layer.row(n, packing.factor(), &mut weight);
            let row = as_device_has(&weight, problem.kind, layer);
            let mut spread = vec![0.0; problem.k];
            row.into_iter().enumerate().for_each(|(input, value)| spread[packing.place(input)] = value);
            weights.push(spread);
        }
        let a = match &watched.from {
            Source::Buffer(buffer) => {
                read_rows(engine, *buffer, problem.a, rows.clone(), problem.a_row_bytes())?
            }
            Source::Host(row) => rows.clone().map(row).collect(),
        };
        let c = read_rows(engine, watched.to, problem.c, rows.clone(), 2 * columns.end)?;
        for (m, (a, c)) in rows.zip(a.iter().zip(&c)) {
            let a = activations(a, problem);
            for (n, weight) in columns.clone().zip(&weights) {
                let (mut sum, mut mass) = (0.0, 0.0);
                for (a, w) in a.iter().zip(weight) {
                    sum += a * w;
                    mass += (a * w).abs();
                }
                let bias = layer.bias.as_ref().map_or(0.0, |bias| f64::from(bias[n] * packing.factor()));
                let sum = sum + bias;
                let want = if packing.gelu { gelu(sum) } else { sum };
                self.compare(
                    watched.name,
                    (m, n),
                    bf16_at(c, n),
                    want,
                    product_bound(problem, packing, want, mass),
                );
            }
        }
        Ok(())
    }

    /// Compares a row of one head of a finished attention.
    pub(super) fn attention(
        &mut self,
        engine: &mut Engine,
        problem: &AttentionProblem,
        (qkv, out): (BufferId, BufferId),
    ) -> Result<()> {
        let Some(place) = self.due() else { return Ok(()) };
        let (m, head) = (place % problem.rows, place / 7 % problem.heads);
        let width = 2 * HEAD_DIM;
        let head_of = |region: Region| Region { offset_bytes: region.offset_bytes + head * width, ..region };
        let q = &read_rows(engine, qkv, head_of(problem.q), m..m + 1, width)?[0];
        let (keys, values): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
            if problem.v.offset_bytes - problem.k.offset_bytes < problem.k.row_stride_bytes {
                // Side by side: one pull brings both.
                let apart = problem.v.offset_bytes - problem.k.offset_bytes;
                let both = read_rows(engine, qkv, head_of(problem.k), 0..problem.frames, apart + width)?;
                both.iter().map(|row| (row[..width].to_vec(), row[apart..].to_vec())).unzip()
            } else {
                let rows = |engine: &mut Engine, region| {
                    read_rows(engine, qkv, head_of(region), 0..problem.frames, width)
                };
                (rows(engine, problem.k)?, rows(engine, problem.v)?)
            };
        let dot = |k: &Vec<u8>| (0..HEAD_DIM).map(|d| bf16_at(q, d) * bf16_at(k, d)).sum::<f64>();
        let scale = f64::from(problem.queries.scale());
        let scores: Vec<f64> = keys.iter().map(|k| dot(k) * scale).collect();
        let largest = scores.iter().fold(f64::NEG_INFINITY, |largest, &score| largest.max(score));
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp2()).collect();
        let total: f64 = weights.iter().sum();
        let got = &read_rows(engine, out, head_of(problem.out), m..m + 1, width)?[0];
        for d in 0..HEAD_DIM {
            let (mut want, mut mass) = (0.0, 0.0);
            for (weight, value) in weights.iter().zip(&values) {
                let part = weight / total * bf16_at(value, d);
                want += part;
                mass += part.abs();
            }
            // Each weight is off by 2.6e-3 (its power of two) and 2⁻⁸ (its rounding to bf16) at most, in the sum of
            // the values and in the sum of weights; then one rounding to bf16.
            let bound = want.abs() / 256.0 + 2.0 * (2.6e-3 + 1.0 / 256.0) * mass + 1e-6;
            self.compare("attention", (m, head * HEAD_DIM + d), bf16_at(got, d), want, bound);
        }
        Ok(())
    }

    fn compare(&mut self, name: &str, (row, column): (usize, usize), got: f64, want: f64, bound: f64) {
        // Written so that a NaN fails.
        let close = (got - want).abs() <= bound;
        if !close && self.mismatch.is_none() {
            self.mismatch = Some(format!(
                "{name} [{row}, {column}]: the device says {got:e}, the CPU {want:e} ± {bound:e}"
            ));
        }
    }
}

/// Products are exact; K sums in f32 or the device's own steps, then one rounding to bf16. GELU's slope is below 1.13;
/// its polynomial is off by at most 2⁻¹⁰ of what is larger, the value or 2⁻⁸.
fn product_bound(problem: &GemmProblem, packing: &Packing, want: f64, mass: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "K is a few thousand")]
    let sums = 1.13 * mass * (problem.k as f64 + 8.0) * f64::from(f32::EPSILON);
    let gelu = if packing.gelu { want.abs().max(1.0 / 256.0) / 1024.0 } else { 0.0 };
    want.abs() / 256.0 + sums + gelu + 1e-6
}

/// Where check number `check` looks: elsewhere in the output each time (Fibonacci hashing).
fn place(check: u64) -> usize {
    // 24 bits.
    usize::try_from(check.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).unwrap_or_default()
}

/// `len` of `of` indices, somewhere.
fn span(place: usize, of: usize, len: usize) -> Range<usize> {
    let len = len.min(of);
    let start = place % (of - len + 1);
    start..start + len
}

/// The first `len_bytes` of some rows of a region, in one pull.
fn read_rows(
    engine: &mut Engine,
    buffer: BufferId,
    region: Region,
    rows: Range<usize>,
    len_bytes: usize,
) -> Result<Vec<Vec<u8>>> {
    let at = |row: usize| region.offset_bytes + row * region.row_stride_bytes;
    let (start, count) = (at(rows.start), rows.len());
    engine.read(buffer, start..at(rows.end - 1) + len_bytes, |bytes| {
        let starts = (0..count).map(|row| row * region.row_stride_bytes);
        starts.map(|start| bytes[start..start + len_bytes].to_vec()).collect()
    })
}

/// A row of A as the device multiplies it.
fn activations(row: &[u8], problem: &GemmProblem) -> Vec<f64> {
    if problem.kind == GemmKind::Bf16 {
        return (0..problem.k).map(|k| bf16_at(row, k)).collect();
    }
    let at = row.len() - problem.kind.row_tail_bytes();
    let scale = f32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
    row[..problem.k].iter().map(|&byte| f64::from(byte.cast_signed()) * f64::from(scale)).collect()
}

/// A row of weights as the device multiplies it: rounded to bf16, or int8 values times their scale.
fn as_device_has(row: &[f32], kind: GemmKind, layer: &NpuLinear) -> Vec<f64> {
    match (kind, layer.weight.values()) {
        (GemmKind::Bf16, _) => row.iter().map(|&w| bf16::from_f32(w).to_f64()).collect(),
        (_, Values::Int8 { .. }) => row.iter().map(|&w| f64::from(w)).collect(),
        _ => {
            let mut quantised = vec![0; row.len()];
            let scale = f64::from(pack::quantise_row(row, &mut quantised));
            quantised.iter().map(|&value| f64::from(value) * scale).collect()
        }
    }
}

fn bf16_at(bytes: &[u8], index: usize) -> f64 {
    bf16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f64()
}

/// x·Φ(x), with erf by its series: slow, and good to 2e-8 · |x|.
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

fn erf(z: f64) -> f64 {
    // The series loses e^(z²) ulps; beyond 4, erf is ±1 within 1.6e-8.
    if z.is_nan() || z.abs() > 4.0 {
        return if z.is_nan() { z } else { z.signum() };
    }
    let (mut term, mut sum, mut n) = (z, z, 0.0);
    while f64::abs(term) > 1e-17 * f64::abs(sum) && n < 200.0 {
        n += 1.0;
        term *= -z * z / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "counts of checks")]
mod tests {
    use super::{COLUMNS, erf, gelu, place, span};

    /// What [`NpuOptions::shadow_every`](super::super::NpuOptions) says of products that are wrong in a part.
    #[test]
    fn a_stale_quarter_of_the_columns_is_met_by_one_check_in_four_or_more() {
        // One core column of four: blocks of 64, 48 or 32 columns of every four such blocks.
        for (outputs, block) in [(384, 32), (512, 32), (512, 64), (1536, 48), (1536, 64), (2048, 64)] {
            for column in 0..4 {
                let stale = |n: usize| n / block % 4 == column;
                let checks = 10_000_u32;
                let met = (1..=u64::from(checks))
                    .filter(|&check| span(place(check) / 7, outputs, COLUMNS).any(stale))
                    .count();
                // A span of 16 meets a block of b columns at b + 15 of every 4 b starts: more than 1 in 4.
                let share = met as f64 / f64::from(checks);
                assert!(
                    (0.25..0.5).contains(&share),
                    "{outputs} outputs, column {column} of {block}: {share}"
                );
            }
        }
    }

    #[test]
    fn erf_is_that_of_the_tables() {
        // Abramowitz and Stegun, table 7.1.
        for (z, want) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)]
        {
            assert!((erf(z) - want).abs() < 1e-10 && (erf(-z) + want).abs() < 1e-10, "{z}");
        }
        assert!((erf(3.99) - 1.0).abs() < 2e-8 && gelu(f64::NAN).is_nan());
        assert!((gelu(1.0) - 0.841_344_746_1).abs() < 1e-9);
    }

    #[test]
    fn a_span_lies_within() {
        for (place, of, len) in [(0, 1, 2), (1_000_003, 10, 4), (7, 16, 16), (8, 17, 16)] {
            let span = span(place, of, len);
            assert!(span.end <= of && span.len() == len.min(of), "{span:?}");
        }
    }
}
