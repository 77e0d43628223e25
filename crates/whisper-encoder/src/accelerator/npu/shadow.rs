//! The shadow check: now and then one tile of a launch is computed again on the CPU, in f64 from the very operands
//! that the device had, and compared within a bound that the types give.
//!
//! A device can answer COMPLETED with wrong numbers: a mispacked weight, a stale cache line, a fault. Text made of them
//! may look like text.

use std::ops::Range;

use half::bf16;
use npu_backend::ops::Engine;
use npu_backend::schedule::{GemmKind, GemmProblem, Region, pack};
use npu_backend::{BufferId, Result};

use super::buffers::{BlockDims, Part};
use super::linear::NpuLinear;
use super::session::BlockLayers;
use crate::checkpoint::Values;

/// Rows and columns of the tile that is compared.
const SIDE: usize = 16;

/// When to check, and what was found.
pub(super) struct Shadow {
    /// Every so many chains; 0 for never.
    every: u64,
    chains: u64,
    pub(super) checks: u64,
    /// The first mismatch since it was last taken.
    pub(super) mismatch: Option<String>,
}

/// A product with what its tile needs.
struct Watched<'a> {
    name: &'static str,
    layer: &'a NpuLinear,
    problem: &'a GemmProblem,
    gelu: bool,
    from: BufferId,
    to: BufferId,
}

impl Shadow {
    pub(super) fn new(every: u64) -> Self {
        Self { every, chains: 0, checks: 0, mismatch: None }
    }

    /// After q, k, v, attention and out of a part.
    pub(super) fn after_attend(
        &mut self,
        engine: &mut Engine,
        qkv: BufferId,
        part: &Part,
        dims: BlockDims,
        layers: &BlockLayers<'_>,
    ) -> Result<()> {
        let Some(turn) = self.due() else { return Ok(()) };
        let project = |name, index: usize| Watched {
            name,
            layer: layers.project[index],
            problem: &part.project[index],
            gelu: false,
            from: part.input.id(),
            to: qkv,
        };
        let watched = match turn % 5 {
            0 => project("query", 0),
            1 => project("key", 1),
            2 => project("value", 2),
            3 => Watched {
                name: "out",
                layer: layers.out,
                problem: &part.out,
                gelu: false,
                from: part.mixed.id(),
                to: part.delta.id(),
            },
            _ => return self.attention(engine, qkv, part, dims, turn),
        };
        self.product(engine, &watched, turn)
    }

    /// After fc1 and fc2 of a part.
    pub(super) fn after_feed(
        &mut self,
        engine: &mut Engine,
        part: &Part,
        layers: &BlockLayers<'_>,
    ) -> Result<()> {
        let Some(turn) = self.due() else { return Ok(()) };
        let (input, hidden) = (part.input.id(), part.hidden.id());
        let watched = if turn % 2 == 0 {
            Watched {
                name: "fc1",
                layer: layers.fc1,
                problem: &part.fc1,
                gelu: true,
                from: input,
                to: hidden,
            }
        } else {
            let to = part.delta.id();
            Watched { name: "fc2", layer: layers.fc2, problem: &part.fc2, gelu: false, from: hidden, to }
        };
        self.product(engine, &watched, turn)
    }

    /// The number of this check, if it is time for one.
    fn due(&mut self) -> Option<u64> {
        self.chains += 1;
        if self.every == 0 || !self.chains.is_multiple_of(self.every) {
            return None;
        }
        self.checks += 1;
        Some(self.checks - 1)
    }

    fn product(&mut self, engine: &mut Engine, watched: &Watched<'_>, turn: u64) -> Result<()> {
        let problem = watched.problem;
        // A different tile each time, over the whole of the output.
        let step = usize::try_from(turn.wrapping_mul(0x9E37_79B9) >> 8).unwrap_or(0);
        let (row0, column0) =
            (step % problem.m.saturating_sub(SIDE).max(1), step / 7 % problem.n.saturating_sub(SIDE).max(1));
        let rows = row0..(row0 + SIDE).min(problem.m);
        let columns = column0..(column0 + SIDE).min(problem.n);
        let (mut weights, mut weight) = (Vec::new(), vec![0.0; problem.k]);
        for n in columns.clone() {
            watched.layer.row(n, &mut weight);
            weights.push(as_device_has(&weight, problem.kind, watched.layer));
        }
        let a = read_rows(engine, watched.from, problem.a, rows.clone(), problem.a_row_bytes())?;
        let c = read_rows(engine, watched.to, problem.c, rows.clone(), 2 * columns.end)?;
        for (m, (a, c)) in rows.zip(a.iter().zip(&c)) {
            let a = activations(a, problem);
            for (n, weight) in columns.clone().zip(&weights) {
                let (mut sum, mut mass) = (0.0, 0.0);
                for (a, w) in a.iter().zip(weight) {
                    sum += a * w;
                    mass += (a * w).abs();
                }
                sum += watched.layer.bias.as_ref().map_or(0.0, |bias| f64::from(bias[n]));
                let want = if watched.gelu { gelu(sum) } else { sum };
                let got = bf16_at(c, n);
                // Products are exact; K sums in f32 or the device's own steps, then one rounding to bf16. GELU's slope
                // is below 1.13.
                #[allow(clippy::cast_precision_loss, reason = "K is a few thousand")]
                let bound = want.abs() / 256.0
                    + 1.13 * mass * (problem.k as f64 + 8.0) * f64::from(f32::EPSILON)
                    + 1e-6;
                self.compare(watched.name, (m, n), got, want, bound);
            }
        }
        Ok(())
    }

    fn attention(
        &mut self,
        engine: &mut Engine,
        qkv: BufferId,
        part: &Part,
        dims: BlockDims,
        turn: u64,
    ) -> Result<()> {
        let problem = &part.attention;
        let step = usize::try_from(turn.wrapping_mul(0x9E37_79B9) >> 8).unwrap_or(0);
        let (m, head) = (step % part.frames, step / 7 % dims.heads);
        let width = 128;
        let head_of = |region: Region| Region { offset_bytes: region.offset_bytes + head * width, ..region };
        let q = &read_rows(engine, qkv, head_of(problem.q), m..m + 1, width)?[0];
        let keys = read_rows(engine, qkv, head_of(problem.k), 0..dims.frames, width)?;
        let values = read_rows(engine, qkv, head_of(problem.v), 0..dims.frames, width)?;
        let scores: Vec<f64> =
            keys.iter().map(|k| (0..64).map(|d| bf16_at(q, d) * bf16_at(k, d)).sum::<f64>() / 8.0).collect();
        let largest = scores.iter().fold(f64::NEG_INFINITY, |largest, &score| largest.max(score));
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let got = &read_rows(engine, part.mixed.id(), head_of(problem.out), m..m + 1, width)?[0];
        for d in 0..64 {
            let (mut want, mut mass) = (0.0, 0.0);
            for (weight, value) in weights.iter().zip(&values) {
                let part = weight / total * bf16_at(value, d);
                want += part;
                mass += part.abs();
            }
            // Weights are rounded to bf16 before they meet the values, their sum is not; then one rounding to bf16.
            let bound = want.abs() / 256.0 + mass / 128.0 + 1e-6;
            self.compare("attention", (m, head * 64 + d), bf16_at(got, d), want, bound);
        }
        Ok(())
    }

    fn compare(&mut self, name: &str, (row, column): (usize, usize), got: f64, want: f64, bound: f64) {
        let close = (got - want).abs() <= bound;
        if !close && self.mismatch.is_none() {
            self.mismatch = Some(format!(
                "{name} [{row}, {column}]: the device says {got:e}, the CPU {want:e} ± {bound:e}"
            ));
        }
    }
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
    let z = x / std::f64::consts::SQRT_2;
    0.5 * x * (1.0 + erf(z))
}

fn erf(z: f64) -> f64 {
    // The series loses e^(z²) ulps; beyond 4, erf is ±1 within 1.6e-8.
    if z.abs() > 4.0 {
        return z.signum();
    }
    let (mut term, mut sum, mut n) = (z, z, 0.0);
    while f64::abs(term) > 1e-17 * f64::abs(sum) {
        n += 1.0;
        term *= -z * z / n;
        sum += term / (2.0 * n + 1.0);
        if n > 200.0 {
            break;
        }
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}
