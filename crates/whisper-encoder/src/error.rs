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
    /// A device did not do what was asked of it, and nothing may stand in for it.
    #[error("{device} failed: {reason}")]
    Fault {
        /// The device.
        device: String,
        /// What it did not do, and why.
        reason: String,
    },
    /// The caller's [`crate::CancelToken`] was set.
    #[error("cancelled")]
    Cancelled,
    /// The builder's options are missing or contradict each other.
    #[error("the encoder cannot be built: {0}")]
    Options(String),
    /// candle refused an operation.
    #[error("candle refused an operation of the encoder: {0}")]
    Tensor(#[from] candle_core::Error),
}
