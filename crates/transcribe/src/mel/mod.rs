//! Log-mel spectrogram exactly as OpenAI's `audio.py`: `torch.stft` with a periodic Hann window and reflect padding,
//! the last frame dropped, slaney mel filters, `log10`, 8 decades of range below the loudest value of the whole input.
//!
//! Values, window and filters are f32 as there; the Fourier transform is f64, so what differs from PyTorch (at most 5e-5,
//! in a few bins near the floor) is the rounding inside PyTorch's own f32 transform.

mod filter_bank;
mod spectrogram;
#[cfg(test)]
mod tests;

use whisper_encoder::LogMel;

use crate::audio::SAMPLE_RATE;
use crate::{Error, ErrorKind, Result};

use filter_bank::FilterBank;

/// Samples of one Fourier transform: 25 ms.
pub const N_FFT: usize = 400;
/// Samples between frames: 10 ms.
pub const HOP_LENGTH: usize = 160;
/// Length of a window, seconds.
pub const CHUNK_LENGTH: usize = 30;
/// Samples in a window of [`CHUNK_LENGTH`].
pub const N_SAMPLES: usize = CHUNK_LENGTH * SAMPLE_RATE as usize;
/// Mel frames in a window of [`CHUNK_LENGTH`].
pub const N_FRAMES: usize = N_SAMPLES / HOP_LENGTH;
/// Samples of one encoder position: two frames, because the encoder's second convolution has stride 2.
pub const N_SAMPLES_PER_TOKEN: usize = HOP_LENGTH * 2;
/// Mel frames in a second.
pub const FRAMES_PER_SECOND: usize = SAMPLE_RATE as usize / HOP_LENGTH;
/// Encoder positions, which are also timestamp steps, in a second.
pub const TOKENS_PER_SECOND: usize = SAMPLE_RATE as usize / N_SAMPLES_PER_TOKEN;

const _: () = assert!(N_FRAMES == whisper_encoder::log_mel::WINDOW_FRAMES);
const _: () = assert!((SAMPLE_RATE as usize).is_multiple_of(N_SAMPLES_PER_TOKEN));

/// Log-mel `[n_mels, (samples.len() + padding) / 160]` of 16 kHz samples with `padding` zero samples appended.
///
/// The loudest value of the whole result sets the floor (`max − 8`), as OpenAI's `log_mel_spectrogram` does: give it
/// the whole file, with `padding` = [`N_SAMPLES`], for what `transcribe()` sees.
///
/// # Errors
/// [`ErrorKind::Model`] if `n_mels` is neither 80 nor 128; [`ErrorKind::Input`] if there are at most 200 samples
/// with the padding (the reflection at the edges needs more; PyTorch refuses it too).
pub fn log_mel(samples: &[f32], padding: usize, n_mels: usize) -> Result<LogMel> {
    if n_mels != 80 && n_mels != 128 {
        return Err(Error::new(
            ErrorKind::Model,
            format!("cannot make a spectrogram of {n_mels} mel bins"),
            "Whisper models hear 80 mel bins, or 128 from large-v3 on",
            "check num_mel_bins in the model's config.json",
        ));
    }
    let len = samples.len() + padding;
    if len <= N_FFT / 2 {
        return Err(Error::new(
            ErrorKind::Input,
            "cannot make a spectrogram of this audio",
            format!("it has {len} samples, and at least {} (13 ms) are needed", N_FFT / 2 + 1),
            "append silence to it",
        ));
    }
    let data = spectrogram::log_mel_rows(samples, len, &FilterBank::slaney(n_mels));
    Ok(LogMel::new(n_mels, data)?)
}

/// The first `len` samples, with zeros appended if there are fewer (OpenAI's `pad_or_trim` of audio).
#[must_use]
pub fn pad_or_trim(samples: &[f32], len: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&samples[..samples.len().min(len)]);
    out.resize(len, 0.0);
    out
}
