//! Audio files and pipes to 16 kHz mono samples.
//!
//! Packet by packet: container ▸ codec ▸ mono (`downmix`) ▸ 16 kHz (`resample`), so that the whole of the sound exists
//! once, as the final samples. Where OpenAI pipes the file through `ffmpeg -ac 1 -ar 16000 -f s16le`:
//!
//! - 16-bit mono at 16 kHz comes out exactly as there, `i16 / 32768`;
//! - all else stays f32 from the decoder on, neither rounded to 16 bits nor clipped at ±1;
//! - the resampler is another one, so those samples agree with ffmpeg's to the ear, not to the bit.
//!
//! Damage never stops what can be heard: what had to be left out is said in [`Loaded::warnings`].

mod codec;
mod collect;
mod container;
mod downmix;
mod mp4_edits;
mod opus;
mod raw;
mod resample;
mod source;
#[cfg(test)]
mod tests;
mod wav_speakers;

use std::io::Read;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

pub use raw::RawFormat;
pub use source::check_file;

/// Whisper's sample rate, Hz.
pub const SAMPLE_RATE: u32 = 16_000;

/// Beyond this a sample is taken for damage: far above any integer scale that float files are written in by mistake (2³¹),
/// and far below where energies overflow f32.
const LOUDEST: f32 = 1e12;

/// 16 kHz mono f32 samples, finite, nominally within −1 … 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<f32>);

impl Samples {
    /// Takes 16 kHz mono samples from elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if one of them is NaN, infinite or beyond 10¹²; it is named by its index.
    pub fn new(samples: Vec<f32>) -> Result<Self> {
        match bad_sample(&samples) {
            None => Ok(Self(samples)),
            Some(index) => Err(not_sound("these samples", index as u64, SAMPLE_RATE, samples[index])),
        }
    }

    /// The samples.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The samples, given away.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.0
    }

    /// Length, seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn seconds(&self) -> f64 {
        self.0.len() as f64 / f64::from(SAMPLE_RATE)
    }
}

/// What was read: the samples, and what the user should know about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The sound.
    pub samples: Samples,
    /// Sentences on what was damaged or missing, without the name of the input; mostly none.
    pub warnings: Vec<String>,
}

/// Reads a file: any container and codec that is known, or with `raw` headerless PCM.
///
/// Pipes and devices are read to their end, as [`load_stream`] does.
///
/// # Errors
/// [`ErrorKind::Input`], in three parts: missing, a folder, empty, unreadable; not audio, or in a codec that is not known;
/// no samples; samples that are not finite; nothing that can be decoded.
pub fn load_file(path: &Path, raw: Option<&RawFormat>) -> Result<Loaded> {
    let name = source::name_of(path);
    match (source::open(path)?, raw) {
        (source::Opened::Seekable(file), Some(raw)) => raw::decode(file, &name, raw),
        (source::Opened::Seekable(file), None) => container::decode(Box::new(file), &name),
        (source::Opened::Pipe(pipe), _) => load_stream(Box::new(pipe), &name, raw),
    }
}

/// Reads a pipe to its end; `name` stands for it in messages.
///
/// Headerless PCM is decoded as it comes. All else is kept first (beyond 64 MiB in a temporary file), because some
/// containers can only be read from both ends.
///
/// # Errors
/// As [`load_file`]; and what the pipe itself reports.
pub fn load_stream(
    stream: Box<dyn Read + Send + Sync>,
    name: &str,
    raw: Option<&RawFormat>,
) -> Result<Loaded> {
    match raw {
        Some(raw) => raw::decode(stream, name, raw),
        None => container::decode(source::keep(stream, name)?, name),
    }
}

/// An [`ErrorKind::Input`] error about `name`.
fn unreadable(name: &str, why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, format!("cannot read {name}"), why, hint)
}

/// Index of the first sample that is NaN, infinite or beyond [`LOUDEST`].
fn bad_sample(samples: &[f32]) -> Option<usize> {
    // Written so that NaN, which compares false with everything, is found too.
    samples.iter().position(|sample| !matches!(sample.abs(), 0.0..=LOUDEST))
}

/// The error of a sample that [`bad_sample`] found.
fn not_sound(name: &str, index: u64, rate: u32, value: f32) -> Error {
    let what = match value {
        value if value.is_nan() => "not a number".into(),
        value if value.is_infinite() => "infinite".into(),
        value => format!("{value:e}, where full scale is 1"),
    };
    let seconds = index as f64 / f64::from(rate);
    unreadable(
        name,
        format!("sample {index} (at {seconds:.3} s) is {what}"),
        "the program that wrote it has a fault there; cut that part out or write it as 16-bit audio",
    )
}
