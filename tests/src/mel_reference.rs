//! The log-mel spectrogram by its definition, in f64, and the judgement of a golden by it.
//!
//! Why a golden is not enough: PyTorch's transform runs in f32, whose rounding noise spreads over all bins of a frame. In
//! a cell some 80 dB below the loudest one of its frame that noise is no longer small beside the cell's own energy: the
//! stored goldens are up to 4.4e-5 off the exact value there, and another machine's PyTorch, with other vector
//! instructions, differs from them by as much. An implementation that follows a golden in these cells follows one
//! machine's noise. So here each cell must be near the exact value, and near the golden wherever the golden is.
//!
//! Shares no code with `transcribe::mel`: filters, window, reflection and transform are written again from OpenAI's
//! `audio.py` and librosa's `filters.mel`.

use std::f64::consts::PI;
use std::fmt;

/// Samples of a transform.
const N_FFT: usize = 400;
/// Samples between frames.
const HOP: usize = 160;
/// Samples in a second.
const RATE: f64 = 16_000.0;
/// Bins of a real transform.
const BINS: usize = N_FFT / 2 + 1;

/// Largest |got − exact|. Half an ulp in f32 is 4.8e-7 for log10 in −10 … −8 (ulp 9.5e-7) and 2.4e-7 for log10 + 4 in
/// 4 … 8; `log10f` may be off by another half ulp; power and the sum of at most 24 weighted bins are off by 26 u =
/// 1.5e-6 relatively, 6.7e-7 in log10. All together, divided by 4: 4.7e-7 in the cell, and as much in the maximum
/// that sets the floor.
pub const EXACT: f64 = 1e-6;
/// Largest |got − golden|, where the golden is right.
pub const GOLDEN: f64 = 1e-5;
/// A golden's cell further than this from the exact value is wrong. The two bounds make up [`GOLDEN`], so what keeps to
/// both keeps to that.
pub const GOLDEN_RIGHT: f64 = GOLDEN - EXACT;
/// One cell of a golden may be wrong in each (started) ten thousand; a slip in the reference would make more of them.
pub const ONE_WRONG_IN: usize = 10_000;
/// How far below the loudest cell of its frame a wrong one lies at least, in mel units of 40 dB: 1.25 are 50 dB. In louder
/// cells the noise of f32 is small, and there is no excuse.
pub const QUIET: f64 = 1.25;

/// Log-mel `[n_mels, len / 160]` of `samples` continued with zeros up to `len`, which is above 200.
#[must_use]
pub fn log_mel(samples: &[f32], len: usize, n_mels: usize) -> Vec<f64> {
    let frames = len / HOP;
    let (window, filters, transform) = (hann(), filters(n_mels), Transform::new());
    let mut rows = vec![1e-10f64.log10(); n_mels * frames];
    for frame in 0..frames {
        // Frame 0 is centred on sample 0; the signal is mirrored at its first and its last sample.
        let sample = |n: usize| {
            let mut at = (frame * HOP + n).abs_diff(N_FFT / 2);
            if at >= len {
                at = 2 * (len - 1) - at;
            }
            samples.get(at).copied().unwrap_or(0.0)
        };
        // The product is rounded to f32, as PyTorch's is.
        let windowed: [f64; N_FFT] = std::array::from_fn(|n| f64::from(sample(n) * window[n]));
        if windowed.iter().all(|&value| value == 0.0) {
            continue;
        }
        let power = transform.power(&windowed);
        for (mel, filter) in filters.iter().enumerate() {
            let energy: f64 = filter.iter().zip(&power).map(|(weight, power)| weight * power).sum();
            rows[mel * frames + frame] = energy.max(1e-10).log10();
        }
    }
    let floor = rows.iter().copied().fold(f64::NEG_INFINITY, f64::max) - 8.0;
    rows.iter().map(|&value| (value.max(floor) + 4.0) / 4.0).collect()
}

/// `torch.hann_window(400)`, whose angles, cosines and values are f32.
fn hann() -> [f32; N_FFT] {
    let step = (2.0 * PI / N_FFT as f64) as f32;
    std::array::from_fn(|n| {
        let cosine = f64::from(n as f32 * step).cos() as f32;
        cosine * -0.5 + 0.5
    })
}

/// librosa's `filters.mel(sr=16000, n_fft=400)`, `[n_mels][BINS]`: triangles of unit area on the slaney scale, which is
/// linear below 1 kHz (15 mels) and logarithmic above (27 mels to a factor of 6.4).
fn filters(n_mels: usize) -> Vec<Vec<f64>> {
    let top = 15.0 + (RATE / 2.0 / 1000.0).ln() * 27.0 / 6.4f64.ln();
    let hz = |point: usize| {
        let mel = top * point as f64 / (n_mels + 1) as f64;
        if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * 6.4f64.powf((mel - 15.0) / 27.0) }
    };
    let filter = |mel: usize| {
        let (left, peak, right) = (hz(mel), hz(mel + 1), hz(mel + 2));
        let weight = |bin: usize| {
            let at = bin as f64 * RATE / N_FFT as f64;
            let height = ((at - left) / (peak - left)).min((right - at) / (right - peak));
            height.max(0.0) * 2.0 / (right - left)
        };
        (0..BINS).map(weight).collect()
    };
    (0..n_mels).map(filter).collect()
}

/// The discrete Fourier transform by its sum. Cosines and sines of bin k are even and odd about sample 200, so samples
/// are folded there first, which halves the work.
struct Transform {
    /// cos and sin of 2π k n / 400 at `[n][k]`.
    cosines: Vec<[f64; BINS]>,
    sines: Vec<[f64; BINS]>,
}

impl Transform {
    fn new() -> Self {
        let angle = |n: usize, k: usize| 2.0 * PI * (n * k % N_FFT) as f64 / N_FFT as f64;
        Self {
            cosines: (0..BINS).map(|n| std::array::from_fn(|k| angle(n, k).cos())).collect(),
            sines: (0..BINS).map(|n| std::array::from_fn(|k| angle(n, k).sin())).collect(),
        }
    }

    fn power(&self, windowed: &[f64; N_FFT]) -> [f64; BINS] {
        let (mut real, mut imaginary) = ([0.0; BINS], [0.0; BINS]);
        for n in 0..BINS {
            let (even, odd) = match n {
                0 | 200 => (windowed[n], 0.0),
                _ => (windowed[n] + windowed[N_FFT - n], windowed[n] - windowed[N_FFT - n]),
            };
            for (sum, cosine) in real.iter_mut().zip(&self.cosines[n]) {
                *sum += even * cosine;
            }
            for (sum, sine) in imaginary.iter_mut().zip(&self.sines[n]) {
                *sum += odd * sine;
            }
        }
        std::array::from_fn(|k| real[k] * real[k] + imaginary[k] * imaginary[k])
    }
}

/// What [`judge`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Cells compared.
    pub cells: usize,
    /// Largest |got − exact|.
    pub from_exact: f64,
    /// Largest |got − golden| where the golden is right.
    pub from_golden: f64,
    /// Cells in which the golden is wrong.
    pub wrong: usize,
    /// Largest |golden − exact|.
    pub golden_from_exact: f64,
    /// Least distance of a wrong cell from the loudest of its frame, mel units; infinite if there is none.
    pub least_quiet: f64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cells, max |got − exact| {:.2e}, max |got − golden| {:.2e}; golden up to {:.2e} off, wrong in {} cells",
            self.cells, self.from_exact, self.from_golden, self.golden_from_exact, self.wrong
        )?;
        if self.wrong > 0 {
            write!(f, " at least {:.0} dB below their frame's loudest", 40.0 * self.least_quiet)?;
        }
        Ok(())
    }
}

/// Whether `value` is above `bound`, or one of them is not a number.
fn beyond(value: f64, bound: f64) -> bool {
    value.is_nan() || bound.is_nan() || value > bound
}

/// Judges `got` by `golden` and `exact`, all `[n_mels, frames]`.
///
/// # Errors
/// A sentence with the first cell that breaks a rule: got, golden, exact and the bound.
pub fn judge(got: &[f32], golden: &[f32], exact: &[f64], frames: usize) -> Result<Verdict, String> {
    if got.len() != golden.len()
        || got.len() != exact.len()
        || got.is_empty()
        || !got.len().is_multiple_of(frames)
    {
        return Err(format!("{} values got, {} golden, {} exact", got.len(), golden.len(), exact.len()));
    }
    let mut loudest = vec![f64::NEG_INFINITY; frames];
    for (cell, &value) in exact.iter().enumerate() {
        loudest[cell % frames] = loudest[cell % frames].max(value);
    }
    let mut verdict = Verdict { cells: got.len(), least_quiet: f64::INFINITY, ..Verdict::default() };
    for cell in 0..got.len() {
        let (ours, theirs, exact) = (f64::from(got[cell]), f64::from(golden[cell]), exact[cell]);
        let wrong = |what: &str, bound: f64| {
            let place = format!("mel {}, frame {}", cell / frames, cell % frames);
            Err(format!("{place}: {what}: got {ours}, golden {theirs}, exact {exact}, bound {bound:e}"))
        };
        let [from_exact, from_golden, golden_from_exact] =
            [ours - exact, ours - theirs, theirs - exact].map(f64::abs);
        if beyond(from_exact, EXACT) {
            return wrong("far from the exact value", EXACT);
        }
        verdict.from_exact = verdict.from_exact.max(from_exact);
        verdict.golden_from_exact = verdict.golden_from_exact.max(golden_from_exact);
        if golden_from_exact <= GOLDEN_RIGHT {
            if beyond(from_golden, GOLDEN) {
                return wrong("far from the golden", GOLDEN);
            }
            verdict.from_golden = verdict.from_golden.max(from_golden);
        } else {
            let quiet = loudest[cell % frames] - exact;
            if beyond(QUIET, quiet) {
                return wrong("the golden is far from the exact value of a loud cell", QUIET);
            }
            verdict.wrong += 1;
            verdict.least_quiet = verdict.least_quiet.min(quiet);
        }
    }
    if verdict.wrong > verdict.cells.div_ceil(ONE_WRONG_IN) {
        return Err(format!("{verdict}: more than 1 in {ONE_WRONG_IN}"));
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_in_its_bin_with_its_power() {
        // 1 kHz is bin 25: a cosine of amplitude 1 under a Hann window of sum 200 gives |X| = 100.
        let samples: Vec<f64> = (0..N_FFT).map(|n| (2.0 * PI * 25.0 * n as f64 / 400.0).cos()).collect();
        let window = hann();
        let power = Transform::new().power(&std::array::from_fn(|n| samples[n] * f64::from(window[n])));
        assert!((power[25] - 1e4).abs() < 1e-2, "{}", power[25]);
        assert!((power[24] - 2.5e3).abs() < 1e-2 && power[30] < 1e-6, "{} {}", power[24], power[30]);
        // A sine is the same tone, by the other table.
        let shifted =
            std::array::from_fn(|n| (2.0 * PI * 25.0 * n as f64 / 400.0).sin() * f64::from(window[n]));
        assert!((Transform::new().power(&shifted)[25] - 1e4).abs() < 1e-2);
    }

    #[test]
    fn filters_have_unit_area_and_few_bins() {
        for n_mels in [80, 128] {
            for (mel, filter) in filters(n_mels).iter().enumerate() {
                let bins = filter.iter().filter(|&&weight| weight > 0.0).count();
                assert!((1..=24).contains(&bins), "{n_mels} {mel}: {bins} bins");
                // Narrow triangles are sampled too coarsely to have their area; wide ones have it.
                let area: f64 = filter.iter().sum::<f64>() * RATE / N_FFT as f64;
                assert!(bins < 10 || (area - 1.0).abs() < 0.02, "{n_mels} {mel}: area {area}");
            }
        }
    }

    /// One loud row and one quiet row, 20,000 frames: four wrong cells are few, five are many.
    fn cells() -> (Vec<f32>, Vec<f64>) {
        let exact: Vec<f64> = [vec![1.0; 20_000], vec![-0.5; 20_000]].concat();
        (exact.iter().map(|&value| value as f32).collect(), exact)
    }

    #[test]
    fn a_wrong_golden_is_excused_where_it_is_quiet_and_rare() {
        let (got, exact) = cells();
        let mut golden = got.clone();
        golden[30_000] += 4e-5;
        let verdict = judge(&got, &golden, &exact, 20_000).unwrap();
        assert_eq!((verdict.wrong, verdict.least_quiet), (1, 1.5));
        // In the loud row there is no excuse.
        golden[7] += 4e-5;
        assert!(judge(&got, &golden, &exact, 20_000).unwrap_err().contains("mel 0, frame 7"));
        golden[7] = got[7];
        golden[30_001..30_005].iter_mut().for_each(|value| *value += 4e-5);
        assert!(judge(&got, &golden, &exact, 20_000).unwrap_err().contains("more than 1 in 10000"));
    }

    #[test]
    fn ours_has_no_excuse() {
        let (mut got, exact) = cells();
        let golden = got.clone();
        for wrong in [4e-5, f32::NAN] {
            got[30_000] = -0.5 + wrong;
            assert!(judge(&got, &golden, &exact, 20_000).unwrap_err().contains("mel 1, frame 10000"));
            // Not even where the golden has the same error.
            assert!(judge(&got, &got, &exact, 20_000).is_err());
        }
        assert!(judge(&got[1..], &golden, &exact, 20_000).is_err());
    }
}
