//! The end of the chain: decoded blocks in, 16 kHz mono samples out.

use super::downmix::{self, MOST_CHANNELS};
use super::resample::Resampler;
use super::{Loaded, SAMPLE_RATE, Samples, bad_sample, not_sound, unreadable};
use crate::{Error, Result};

/// Decoded audio of one packet.
pub(super) struct Block<'a> {
    /// Frames of `weights.len()` samples.
    pub(super) interleaved: &'a [f32],
    /// Frames a second.
    pub(super) rate: u32,
    /// Each channel's part in the mono sum.
    pub(super) weights: &'a [f32],
}

/// Mixes, resamples and collects blocks; the rate may change between them.
pub(super) struct Collector<'a> {
    name: &'a str,
    samples: Vec<f32>,
    mono: Vec<f32>,
    rate: u32,
    resampler: Option<Resampler>,
    /// Frames taken so far at `rate`, to say where a bad one is.
    frames: u64,
}

impl<'a> Collector<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, samples: Vec::new(), mono: Vec::new(), rate: SAMPLE_RATE, resampler: None, frames: 0 }
    }

    /// Takes a block.
    pub(super) fn push(&mut self, block: &Block<'_>) -> Result<()> {
        let channels = block.weights.len();
        if channels == 0 || channels > MOST_CHANNELS {
            return Err(self.damaged(format!("it claims {channels} channels")));
        }
        self.mono.clear();
        downmix::mix(block.interleaved, block.weights, &mut self.mono);
        self.take_mono(block.rate)
    }

    /// Takes `frames` of silence at `rate`, in place of a packet that cannot be decoded.
    pub(super) fn push_silence(&mut self, frames: usize, rate: u32) -> Result<()> {
        self.mono.clear();
        self.mono.resize(frames, 0.0);
        self.take_mono(rate)
    }

    fn take_mono(&mut self, rate: u32) -> Result<()> {
        if rate != self.rate {
            self.flush()?;
            let resampler = match rate {
                SAMPLE_RATE => None,
                rate => Some(Resampler::new(rate).map_err(|why| self.damaged(why))?),
            };
            (self.rate, self.resampler, self.frames) = (rate, resampler, 0);
        }
        if let Some(at) = bad_sample(&self.mono) {
            return Err(not_sound(self.name, self.frames + at as u64, rate, self.mono[at]));
        }
        self.frames += self.mono.len() as u64;
        match &mut self.resampler {
            None => self.samples.extend_from_slice(&self.mono),
            Some(resampler) => {
                let pushed = resampler.push(&self.mono, &mut self.samples);
                pushed.map_err(|why| self.damaged(why))?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        match self.resampler.take() {
            None => Ok(()),
            Some(resampler) => {
                let flushed = resampler.finish(&mut self.samples);
                flushed.map_err(|why| self.damaged(why))
            }
        }
    }

    /// Length of what is ready, seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE)
    }

    /// All that was taken.
    ///
    /// # Errors
    /// If that is nothing.
    pub(super) fn finish(mut self, warnings: Vec<String>) -> Result<Loaded> {
        self.flush()?;
        if self.samples.is_empty() {
            let hint = "check that the recording or download was finished";
            return Err(unreadable(self.name, "there is no sound in it, 0 samples", hint));
        }
        Ok(Loaded { samples: Samples(self.samples), warnings })
    }

    fn damaged(&self, why: String) -> Error {
        unreadable(
            self.name,
            why,
            "it seems damaged; try to convert it: ffmpeg -i INPUT -ac 1 -ar 16000 out.wav",
        )
    }
}
