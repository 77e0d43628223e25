//! Short-time Fourier transform, mel energies, logarithm: in parallel over blocks of frames.
//!
//! Samples and window are multiplied in f32 as PyTorch does; the transform itself runs in f64, because an f32 one leaves
//! noise of up to 5e-5 in the quietest bins, and different noise on each machine's instruction set.

use std::f64::consts::PI;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::filter_bank::{FilterBank, N_BINS};
use super::{HOP_LENGTH, N_FFT};

/// Frames that one task computes: big enough that its buffers cost nothing, small enough to spread 30 s on 16 cores.
const FRAMES_PER_TASK: usize = 128;
/// Energies below this are taken for this, so that the logarithm is finite (OpenAI audio.py, `clamp(min=1e-10)`).
const LEAST_ENERGY: f32 = 1e-10;

/// Log-mel rows `[bank.len(), len / 160]` of `samples` continued with zeros up to `len`, which is above `N_FFT / 2`.
pub(super) fn log_mel_rows(samples: &[f32], len: usize, bank: &FilterBank) -> Vec<f32> {
    // A transform centred on every multiple of the hop, 0 and the end included, less the last one.
    let frames = len / HOP_LENGTH;
    let mut data = vec![0.0f32; bank.len() * frames];
    if frames == 0 {
        return data;
    }
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(N_FFT);
    let window = periodic_hann();
    let loudest = blocks_of_frames(&mut data, frames)
        .into_par_iter()
        .enumerate()
        .map(|(index, mut rows)| {
            let mut task = Task::new(&transform);
            let mut loudest = f32::NEG_INFINITY;
            let count = rows.first().map_or(0, |row| row.len());
            for column in 0..count {
                let frame = index * FRAMES_PER_TASK + column;
                if task.power(samples, len, frame, &window) {
                    for (row, energy) in rows.iter_mut().zip(bank.energies(&task.power)) {
                        row[column] = energy.max(LEAST_ENERGY).log10();
                        loudest = loudest.max(row[column]);
                    }
                } else {
                    rows.iter_mut().for_each(|row| row[column] = LEAST_ENERGY.log10());
                    loudest = loudest.max(LEAST_ENERGY.log10());
                }
            }
            loudest
        })
        .reduce(|| f32::NEG_INFINITY, f32::max);
    data.par_iter_mut().for_each(|value| *value = (value.max(loudest - 8.0) + 4.0) / 4.0);
    data
}

/// Cuts the row-major `[rows, frames]` into blocks of columns, each a list of row pieces that one task may write.
fn blocks_of_frames(data: &mut [f32], frames: usize) -> Vec<Vec<&mut [f32]>> {
    let mut blocks: Vec<Vec<&mut [f32]>> =
        (0..frames.div_ceil(FRAMES_PER_TASK)).map(|_| Vec::new()).collect();
    for row in data.chunks_exact_mut(frames) {
        for (block, piece) in blocks.iter_mut().zip(row.chunks_mut(FRAMES_PER_TASK)) {
            block.push(piece);
        }
    }
    blocks
}

/// `torch.hann_window(400)`: periodic, so that its 401st value would be 0 again.
///
/// PyTorch computes it in f32, angle included (which moves values by up to 2e-7); so does this.
pub(super) fn periodic_hann() -> [f32; N_FFT] {
    let step = (2.0 * PI / N_FFT as f64) as f32;
    std::array::from_fn(|n| 0.5 - 0.5 * f64::from(n as f32 * step).cos() as f32)
}

/// One task's transform and its buffers.
struct Task<'a> {
    transform: &'a Arc<dyn RealToComplex<f64>>,
    input: Vec<f64>,
    output: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: [f32; N_BINS],
}

impl<'a> Task<'a> {
    fn new(transform: &'a Arc<dyn RealToComplex<f64>>) -> Self {
        Self {
            transform,
            input: transform.make_input_vec(),
            output: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            power: [0.0; N_BINS],
        }
    }

    /// Leaves the frame's power spectrum in `self.power`; `false` if the frame is digital silence (power 0 throughout).
    fn power(&mut self, samples: &[f32], len: usize, frame: usize, window: &[f32; N_FFT]) -> bool {
        let start = (frame * HOP_LENGTH) as isize - (N_FFT / 2) as isize;
        match usize::try_from(start) {
            Ok(start) if start >= samples.len() && start + N_FFT <= len => return false,
            Ok(start) if start + N_FFT <= samples.len() => {
                for ((value, sample), weight) in self.input.iter_mut().zip(&samples[start..]).zip(window) {
                    *value = f64::from(sample * weight);
                }
            }
            _ => {
                for ((value, index), weight) in self.input.iter_mut().zip(start..).zip(window) {
                    let sample = samples.get(reflect(index, len)).copied().unwrap_or(0.0);
                    *value = f64::from(sample * weight);
                }
            }
        }
        let done = self.transform.process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch);
        // The buffers were made by the transform itself and the input is real: neither complaint it knows can arise.
        debug_assert!(done.is_ok(), "{done:?}");
        for (power, bin) in self.power.iter_mut().zip(&self.output) {
            *power = bin.norm_sqr() as f32;
        }
        true
    }
}

/// Index of the sample that stands at `index` when the signal of `len` samples is mirrored at its first and last one.
fn reflect(index: isize, len: usize) -> usize {
    let folded = index.unsigned_abs();
    if folded < len { folded } else { (2 * (len - 1)).saturating_sub(folded) }
}
