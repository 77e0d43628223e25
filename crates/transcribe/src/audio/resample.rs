//! Any rate to 16 kHz, block by block.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

use super::SAMPLE_RATE;

/// Output samples of one transform. The longer, the closer the cutoff comes to 8 kHz: 1024 put it at about 7.9 kHz, where
/// ffmpeg's default (0.97 of the half rate) is at 7.76.
const BLOCK: usize = 1024;

/// Rates that are believed, Hz; others are taken for damage.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Resamples one stream of mono samples; what comes out is `round(samples × 16000 / rate)` long and not delayed.
pub(super) struct Resampler {
    fft: Fft<f32>,
    rate: u64,
    /// Input that does not fill a block yet.
    waiting: Vec<f32>,
    block: Vec<f32>,
    /// Output samples still to be dropped: the filter's delay.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// From `rate` to [`SAMPLE_RATE`].
    ///
    /// # Errors
    /// A sentence, if `rate` is not within [`RATES`].
    pub(super) fn new(rate: u32) -> Result<Self, String> {
        if !RATES.contains(&rate) {
            return Err(format!("it claims {rate} samples a second"));
        }
        let (from, to) = (rate as usize, SAMPLE_RATE as usize);
        // An even number of the smallest blocks there are for these rates: the filter's middle must fall on a sample, or
        // everything would be half a sample late.
        let least = from / greatest_common_divisor(from, to);
        let block = (BLOCK * from).div_ceil(to * least).next_multiple_of(2) * least;
        let fft = Fft::new(from, to, block, 1, FixedSync::Both).map_err(|error| error.to_string())?;
        Ok(Self {
            rate: rate.into(),
            waiting: Vec::with_capacity(fft.input_frames_next()),
            block: vec![0.0; fft.output_frames_max()],
            delay: fft.output_delay(),
            taken: 0,
            given: 0,
            fft,
        })
    }

    /// Takes `mono` and appends what is ready to `out`.
    pub(super) fn push(&mut self, mut mono: &[f32], out: &mut Vec<f32>) -> Result<(), String> {
        self.taken += mono.len() as u64;
        while !mono.is_empty() {
            let (now, later) =
                mono.split_at(mono.len().min(self.fft.input_frames_next() - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            mono = later;
            if self.waiting.len() == self.fft.input_frames_next() {
                self.transform(out)?;
            }
        }
        Ok(())
    }

    /// Appends the rest to `out`.
    pub(super) fn finish(mut self, out: &mut Vec<f32>) -> Result<(), String> {
        let to = u64::from(SAMPLE_RATE);
        let all = (self.taken * to + self.rate / 2) / self.rate;
        while self.given < all {
            self.transform(out)?;
        }
        let surplus = usize::try_from(self.given - all).unwrap_or(usize::MAX);
        out.truncate(out.len().saturating_sub(surplus));
        Ok(())
    }

    /// Puts what waits, with silence after it if it is less than a block, through the filter.
    fn transform(&mut self, out: &mut Vec<f32>) -> Result<(), String> {
        let said = |error: &dyn std::error::Error| format!("it cannot be resampled: {error}");
        let filled = self.waiting.len();
        self.waiting.resize(self.fft.input_frames_next(), 0.0);
        let input = InterleavedSlice::new(&self.waiting, 1, self.waiting.len()).map_err(|e| said(&e))?;
        let frames = self.block.len();
        let mut output = InterleavedSlice::new_mut(&mut self.block, 1, frames).map_err(|e| said(&e))?;
        let indexing = Indexing::new().partial_len(filled);
        let (_, made) =
            self.fft.process_into_buffer(&input, &mut output, Some(&indexing)).map_err(|e| said(&e))?;
        self.waiting.clear();
        let skipped = made.min(self.delay);
        self.delay -= skipped;
        out.extend_from_slice(&self.block[skipped..made]);
        self.given += (made - skipped) as u64;
        Ok(())
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
