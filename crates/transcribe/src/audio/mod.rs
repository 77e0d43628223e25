//! Audio files and pipes to 16 kHz mono samples.

use std::io::Read;
use std::path::Path;

use crate::Result;

/// Whisper's sample rate, Hz.
pub const SAMPLE_RATE: u32 = 16_000;

/// 16 kHz mono f32 samples, finite, nominally within −1 … 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<f32>);

impl Samples {
    /// The samples.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Length, seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn seconds(&self) -> f64 {
        self.0.len() as f64 / f64::from(SAMPLE_RATE)
    }
}

/// Format of headerless PCM: `s16le:16000:1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFormat {}

#[allow(clippy::missing_errors_doc, clippy::unimplemented, unused_variables, missing_docs)]
pub fn load_file(path: &Path, raw: Option<&RawFormat>) -> Result<Samples> {
    unimplemented!()
}

#[allow(clippy::missing_errors_doc, clippy::unimplemented, unused_variables, missing_docs)]
pub fn load_stream(
    stream: Box<dyn Read + Send + Sync>,
    name: &str,
    raw: Option<&RawFormat>,
) -> Result<Samples> {
    unimplemented!()
}
