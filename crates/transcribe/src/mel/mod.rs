//! Log-mel spectrogram exactly as OpenAI's `audio.py`.

use whisper_encoder::LogMel;

use crate::Result;

/// Samples in a 30 s window.
pub const N_SAMPLES: usize = 480_000;
/// Samples between frames: 10 ms.
pub const HOP_LENGTH: usize = 160;

#[allow(clippy::missing_errors_doc, clippy::unimplemented, unused_variables, missing_docs)]
pub fn log_mel(samples: &[f32], padding: usize, n_mels: usize) -> Result<LogMel> {
    unimplemented!()
}
