//! Estimates of logits from the upper halves of int8 weights.
//!
//! A weight q is 16·h + l − 128 with halves h and l of 0 to 15. The sketch keeps h, and takes l for its mean, 7.5. What that
//! leaves out of a logit is a sum of hundreds of small differences, each of either sign: normally distributed, with a
//! deviation that the row's differences and the norm of the hidden state tell. (On whisper-base, of 16 million logits: the
//! deviations were 1.006 times what is computed here, and the largest one 5.1 of them.) A hidden state has a few inputs that
//! outweigh the others, one of them by nearly half of its square norm: they are multiplied whole.

use crate::context::Context;
use crate::kernels::{Disjoint, HALVES_STEP, PANEL};
use crate::level::Level;
use crate::linear::Linear;
use crate::resident::Resident;
use crate::scratch;

/// Inputs that are multiplied whole.
const LOUD: usize = 16;
/// Deviations by which a logit may exceed its estimate: one in 3.5 million exceeds it by more.
const DEVIATIONS: f32 = 5.0;
/// The mean square of a weight over that of what its half leaves out: of whisper-base's. It says how much it counts that
/// hidden states are rounded, which is some hundredth of the whole.
const CONTRAST: f32 = 31.0;
/// The mean of an int8 weight whose upper half is 0.
const LEAST: f32 = -128.0 + 7.5;
/// Four inputs of a panel.
const QUAD: usize = 4 * PANEL;
/// Bytes of a sketch below which a share is not worth another thread.
const LEAST_BYTES: usize = 64 * 1024;

/// Upper halves of a layer's int8 weights.
#[derive(Debug)]
pub(super) struct Sketch {
    /// Panels in the order of `Level::halves`.
    halves: Resident<u8>,
    /// Inputs, padded to a multiple of 8.
    depth: usize,
    /// Which inputs are multiplied whole; fewer of a layer that has fewer.
    loud: Vec<usize>,
    /// Their weights, `[panels][loud][32]`.
    whole: Resident<i8>,
    /// The root of the mean square, over the other inputs, of what the halves leave out, times the scale; per output, padded
    /// to whole panels.
    spread: Vec<f32>,
}

/// A hidden state as a sketch takes it.
pub(super) struct Heard<'a> {
    /// The quiet inputs in 8 bits, zeros for the loud ones and for padding.
    quiet: &'a [i8],
    /// The size of a step of theirs.
    step: f32,
    /// Their sum, in steps.
    sum: f32,
    /// The loud inputs, zeros after them.
    loud: [f32; LOUD],
    /// The deviation of a logit whose spread is 1.
    deviation: f32,
}

impl Sketch {
    /// Of `layer`; `None` unless it is kept as int8.
    pub(super) fn of(layer: &Linear, level: Level, loudness: &[f32]) -> Option<Self> {
        let (inputs, panels) = (layer.inputs(), layer.panels());
        let mut loud: Vec<usize> = (0..inputs).collect();
        loud.sort_by(|&a, &b| loudness[b].total_cmp(&loudness[a]));
        loud.truncate(LOUD);
        let quiet = (inputs - loud.len()).max(1) as f32;

        let depth = inputs.next_multiple_of(HALVES_STEP);
        let mut halves = Resident::zeroed(panels.len() * PANEL * depth / 2);
        let mut whole = Resident::zeroed(panels.len() * PANEL * loud.len());
        let mut spread = vec![0.0_f32; panels.len() * PANEL];
        for panel in panels {
            let quads = layer.panel_quads(panel)?;
            let into = &mut halves[panel * PANEL * depth / 2..(panel + 1) * PANEL * depth / 2];
            let mut squares = level.vectorised(|| {
                halve(quads, into);
                squares_of_rests(quads)
            });
            let padding = (quads.len() / PANEL - inputs) as u32;
            squares.iter_mut().for_each(|sum| *sum -= padding * twice_rest(0).pow(2) as u32);
            for (place, &k) in loud.iter().enumerate() {
                let quad = &quads[k / 4 * 4 * PANEL..];
                let to = &mut whole[(panel * loud.len() + place) * PANEL..];
                for (column, sum) in squares.iter_mut().enumerate() {
                    to[column] = quad[column * 4 + k % 4];
                    *sum -= twice_rest(to[column]).pow(2) as u32;
                }
            }
            let columns = squares.iter().zip(layer.panel_scale(panel));
            for (spread, (sum, scale)) in spread[panel * PANEL..].iter_mut().zip(columns) {
                *spread = (*sum as f32 / 4.0 / quiet).sqrt() * scale;
            }
        }
        Some(Self { halves, depth, loud, whole, spread })
    }

    /// Bytes that estimates of `layer` read.
    pub(super) fn bytes_of(layer: &Linear) -> usize {
        let (inputs, outputs) = (layer.inputs(), layer.panels().len() * PANEL);
        outputs * (inputs.next_multiple_of(HALVES_STEP) / 2 + inputs.min(LOUD) + size_of::<f32>())
    }

    /// Calls `f` with `hidden` rounded; `None` if it is not finite.
    pub(super) fn hear<R>(&self, hidden: &[f32], f: impl FnOnce(&Heard) -> R) -> Option<R> {
        let mut loud = [0.0; LOUD];
        loud.iter_mut().zip(&self.loud).for_each(|(to, &k)| *to = hidden[k]);
        scratch::with(hidden.len(), |rest| {
            rest.copy_from_slice(hidden);
            self.loud.iter().for_each(|&k| rest[k] = 0.0);
            let most = rest.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            let squares: f32 = rest.iter().map(|v| v * v).sum();
            if !squares.is_finite() || !loud.iter().all(|v| v.is_finite()) {
                return None;
            }
            let step = most / 127.0;
            // Of numbers so small that a step has no inverse nothing remains.
            let inverse = if step >= f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
            // Rounding to steps adds a twelfth of a step's square for each.
            let rounding = step * step / 12.0 * rest.len() as f32 * CONTRAST;
            let deviation = (squares + rounding).sqrt();
            Some(scratch::with_i8(self.depth, |quiet| {
                quiet[rest.len()..].fill(0);
                quiet.iter_mut().zip(&*rest).for_each(|(to, v)| *to = (v * inverse).round_ties_even() as i8);
                let sum: i32 = quiet.iter().map(|&v| i32::from(v)).sum();
                f(&Heard { quiet, step, sum: sum as f32, loud, deviation })
            }))
        })
    }

    /// Estimates of the first logits of `layer`, in whole panels.
    pub(super) fn estimate(&self, ctx: &Context, layer: &Linear, heard: &Heard, logits: &mut [f32]) {
        let level = ctx.level();
        let (halves, whole) = (PANEL * self.depth / 2, PANEL * self.loud.len());
        let panels = logits.len() / PANEL;
        let logits = Disjoint::new(logits);
        ctx.split(panels, LEAST_BYTES.div_ceil(halves.max(1)), |share| {
            for panel in share {
                let mut sums = [0; PANEL];
                level.halves(heard.quiet, &self.halves[panel * halves..(panel + 1) * halves], &mut sums);
                // SAFETY: a panel belongs to one share.
                let logits = unsafe { logits.part(panel * PANEL, PANEL) };
                let (bias, scale) = (layer.panel_bias(panel), layer.panel_scale(panel));
                let whole = &self.whole[panel * whole..(panel + 1) * whole];
                level.vectorised(|| {
                    let mut loud = [0.0_f32; PANEL];
                    for (x, row) in heard.loud.iter().zip(whole.as_chunks::<PANEL>().0) {
                        loud.iter_mut().zip(row).for_each(|(sum, &q)| *sum += x * f32::from(q));
                    }
                    for (c, logit) in logits.iter_mut().enumerate() {
                        let quiet = heard.step * (16.0 * sums[c] as f32 + LEAST * heard.sum);
                        *logit = (quiet + loud[c]) * scale[c] + bias[c];
                    }
                });
            }
        });
    }

    /// Of the estimates `logits`, in whole panels: names in `likely` the panels in which one may exceed `floor`, how many of
    /// them it returns, and makes the others right on average when exponentials are taken. `settled` is passed over.
    pub(super) fn settle(
        &self,
        level: Level,
        heard: &Heard,
        floor: f32,
        settled: usize,
        logits: &mut [f32],
        likely: &mut [usize],
    ) -> usize {
        let mut count = 0;
        let panels = logits.as_chunks_mut::<PANEL>().0.iter_mut().zip(self.spread.as_chunks::<PANEL>().0);
        for (panel, (logits, spread)) in panels.enumerate().filter(|&(panel, _)| panel != settled) {
            let exceeds = level.vectorised(|| {
                let reach = DEVIATIONS * heard.deviation;
                let columns = logits.iter().zip(spread);
                columns.fold(false, |exceeds, (logit, spread)| exceeds | (logit + reach * spread >= floor))
            });
            if exceeds {
                likely[count] = panel;
                count += 1;
                continue;
            }
            level.vectorised(|| {
                for (logit, spread) in logits.iter_mut().zip(spread) {
                    // An estimate is a logit and an error that knows nothing of it; of a normal one, e^v has the mean e^(σ²/2).
                    let deviation = heard.deviation * spread;
                    *logit -= deviation * deviation / 2.0;
                }
            });
        }
        count
    }
}

/// Twice what the half of a weight leaves out, whose mean is 7.5: −15 to 15.
fn twice_rest(q: i8) -> i16 {
    2 * i16::from(q & 15) - 15
}

/// Writes the upper halves of a panel's weights, `[depth / 4][32][4]`.
#[inline(always)]
fn halve(quads: &[i8], halves: &mut [u8]) {
    // As a number of 0 to 255, a weight's sign bit is turned over.
    let upper = |q: i8| (q as u8 ^ 0x80) & 0xf0;
    for (pair, to) in quads.chunks(2 * QUAD).zip(halves.as_chunks_mut::<QUAD>().0) {
        let (first, second) = pair.split_at(QUAD);
        to.iter_mut().zip(first).for_each(|(to, &q)| *to = upper(q) >> 4);
        to.iter_mut().zip(second).for_each(|(to, &q)| *to |= upper(q));
    }
}

/// The sum of squares of each column's [`twice_rest`].
#[inline(always)]
fn squares_of_rests(quads: &[i8]) -> [u32; PANEL] {
    let mut sums = [0_u32; PANEL];
    // 256 · 15² is below 2¹⁶.
    for quads in quads.chunks(256 * QUAD) {
        let mut narrow = [0_u16; QUAD];
        for quad in quads.as_chunks::<QUAD>().0 {
            narrow.iter_mut().zip(quad).for_each(|(sum, &q)| *sum += (twice_rest(q) * twice_rest(q)) as u16);
        }
        for (sum, of_column) in sums.iter_mut().zip(narrow.as_chunks::<4>().0) {
            *sum += of_column.iter().map(|&part| u32::from(part)).sum::<u32>();
        }
    }
    sums
}
