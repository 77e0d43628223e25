//! The encoder's input: a log-mel spectrogram.

use crate::{Error, Result};

/// Frames of one encoder window: 30 s at 100 frames a second.
pub const WINDOW_FRAMES: usize = 3000;

/// Log-mel spectrogram, row-major `[n_mels, frames]`; one frame is 10 ms.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMel {
    n_mels: usize,
    frames: usize,
    data: Vec<f32>,
}

impl LogMel {
    /// Takes `data` as `[n_mels, data.len() / n_mels]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `n_mels` is 0 or does not divide the length.
    pub fn new(n_mels: usize, data: Vec<f32>) -> Result<Self> {
        if n_mels == 0 || !data.len().is_multiple_of(n_mels) {
            return Err(Error::Shape(format!("{} values do not make rows of {n_mels} mel bins", data.len())));
        }
        Ok(Self { n_mels, frames: data.len() / n_mels, data })
    }

    /// Mel bins: 80, or 128 from large-v3 on.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// Frames of 10 ms.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// All values, `[n_mels, frames]`.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Frames `start .. start + len` as a full window `[n_mels, 3000]`, filled up with 0.0 *in mel space*.
    ///
    /// That is what OpenAI's `transcribe()` gives the encoder for the last window (`pad_or_trim` of the mel).
    #[must_use]
    pub fn window(&self, start: usize, len: usize) -> Self {
        let start = start.min(self.frames);
        let len = len.min(self.frames - start).min(WINDOW_FRAMES);
        let mut data = vec![0.0; self.n_mels * WINDOW_FRAMES];
        for (from, to) in self.data.chunks_exact(self.frames.max(1)).zip(data.chunks_exact_mut(WINDOW_FRAMES))
        {
            to[..len].copy_from_slice(&from[start..start + len]);
        }
        Self { n_mels: self.n_mels, frames: WINDOW_FRAMES, data }
    }
}
