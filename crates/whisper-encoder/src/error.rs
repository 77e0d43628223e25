//! One error type for the crate: what failed and why; the command adds what to do.

use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why an encoder could not be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the checkpoint cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not a Whisper configuration.
    #[error("{path} is not a usable Whisper configuration: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights are damaged or do not belong to the configuration.
    #[error("the checkpoint {path} does not fit: {reason}")]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An input has a shape that the encoder does not take.
    #[error("wrong shape: {0}")]
    Shape(String),
    /// A requested device is not there.
    #[error("{device} is not available: {reason}")]
    Device {
        /// The device asked for.
        device: String,
        /// Why it cannot be opened.
        reason: String,
    },
    /// The caller's [`crate::CancelToken`] was set.
    #[error("cancelled")]
    Cancelled,
    /// candle refused an operation; `at` is the layer, e.g. `encoder.blocks.3.attn`.
    #[error("{at}: {source}")]
    Tensor {
        /// The layer.
        at: String,
        /// candle's own error.
        source: candle_core::Error,
    },
}

impl From<candle_core::Error> for Error {
    fn from(source: candle_core::Error) -> Self {
        Self::Tensor { at: "encoder".into(), source }
    }
}
