//! The slaney mel filters of OpenAI's `mel_filters.npz`, made in code.
//!
//! Source of the rule: `librosa.filters.mel(sr=16000, n_fft=400, n_mels=…)` with its defaults (`htk=False`,
//! `norm="slaney"`), which is what the file was saved from.

use super::N_FFT;
use crate::audio::SAMPLE_RATE;

/// Bins of a real transform of [`N_FFT`] samples: 0 … 8000 Hz in steps of 40 Hz.
pub(super) const N_BINS: usize = N_FFT / 2 + 1;

/// Triangular filters, each kept as its non-zero stretch: 80 × 201 values hold only about 400 that are not 0.
pub(super) struct FilterBank {
    filters: Vec<Filter>,
}

struct Filter {
    first_bin: usize,
    weights: Vec<f32>,
}

impl FilterBank {
    /// `n_mels` filters from 0 to 8000 Hz, evenly spaced on the slaney mel scale, each of unit area.
    pub(super) fn slaney(n_mels: usize) -> Self {
        let nyquist = f64::from(SAMPLE_RATE) / 2.0;
        let top = mel_of_hz(nyquist);
        // `n_mels` triangles stand on `n_mels + 2` points: each begins at its left neighbour's top.
        let points: Vec<f64> =
            (0..n_mels + 2).map(|i| hz_of_mel(top * i as f64 / (n_mels + 1) as f64)).collect();
        let filters = points
            .windows(3)
            .map(|edges| {
                let area = 2.0 / (edges[2] - edges[0]);
                let dense: Vec<f32> = (0..N_BINS)
                    .map(|bin| {
                        let hz = bin as f64 * f64::from(SAMPLE_RATE) / N_FFT as f64;
                        let rising = (hz - edges[0]) / (edges[1] - edges[0]);
                        let falling = (edges[2] - hz) / (edges[2] - edges[1]);
                        // Rounded to f32 before and after the scaling, as librosa's in-place arithmetic does.
                        let triangle = rising.min(falling).max(0.0) as f32;
                        (f64::from(triangle) * area) as f32
                    })
                    .collect();
                Filter::from_dense(&dense)
            })
            .collect();
        Self { filters }
    }

    /// Filters in the bank.
    pub(super) fn len(&self) -> usize {
        self.filters.len()
    }

    /// Filtered energy of one frame's power spectrum (`[N_BINS]`), filter by filter.
    pub(super) fn energies(&self, power: &[f32]) -> impl Iterator<Item = f32> {
        self.filters.iter().map(move |filter| {
            let bins = &power[filter.first_bin..filter.first_bin + filter.weights.len()];
            filter.weights.iter().zip(bins).map(|(weight, bin)| weight * bin).sum()
        })
    }

    /// Filter `index` with its zeros, `[N_BINS]`.
    #[cfg(test)]
    pub(super) fn dense(&self, index: usize) -> Vec<f32> {
        let filter = &self.filters[index];
        let mut row = vec![0.0; N_BINS];
        row[filter.first_bin..filter.first_bin + filter.weights.len()].copy_from_slice(&filter.weights);
        row
    }
}

impl Filter {
    fn from_dense(dense: &[f32]) -> Self {
        let first_bin = dense.iter().position(|&w| w != 0.0).unwrap_or(0);
        let end = dense.iter().rposition(|&w| w != 0.0).map_or(first_bin, |last| last + 1);
        Self { first_bin, weights: dense[first_bin..end].to_vec() }
    }
}

/// Where the slaney scale turns from linear to logarithmic, Hz.
const KNEE_HZ: f64 = 1000.0;
/// Mels per Hz below the knee.
const MELS_PER_HZ: f64 = 3.0 / 200.0;

/// Growth of frequency per mel above the knee: 27 mels make a factor of 6.4.
fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn mel_of_hz(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz * MELS_PER_HZ } else { KNEE_HZ * MELS_PER_HZ + (hz / KNEE_HZ).ln() / log_step() }
}

fn hz_of_mel(mel: f64) -> f64 {
    let knee = KNEE_HZ * MELS_PER_HZ;
    if mel < knee { mel / MELS_PER_HZ } else { KNEE_HZ * ((mel - knee) * log_step()).exp() }
}
