//! One error type for the crate: what failed and why as it is printed, what to do in [`Error::hint`].

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
    /// The numbers of a weight cannot be kept as was asked: some are not finite.
    #[error("the weights cannot be used: {0}")]
    Weights(String),
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
        /// What the back-end says to do about it; may be empty.
        hint: String,
    },
    /// A device did not do what was asked of it, and nothing may stand in for it.
    #[error("{device} failed: {reason}")]
    Fault {
        /// The device.
        device: String,
        /// What it did not do, and why.
        reason: String,
    },
    /// A device found that what it had computed of a window is wrong, and computes elsewhere from now on. The encoder
    /// begins the window again; callers of it do not see this.
    #[error("{device} computed a window wrong: {reason}")]
    Distrusted {
        /// The device.
        device: String,
        /// What was found.
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

impl Error {
    /// What to do about it; empty where nothing can be done or nothing needs to be.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Read { .. } => "check the path of the model, or download the model again",
            Self::Config { .. } => "take the config.json that came with the weights, of a Whisper model",
            Self::Checkpoint { .. } => {
                "download the model again; weights and config.json must be of the same Whisper model"
            }
            Self::Weights(_) => "download the model again, or compute in f32",
            Self::Shape(_) => {
                "give a log mel spectrogram [n_mels, 2 × n_audio_ctx] as the model's configuration says"
            }
            Self::Device { hint, .. } if !hint.is_empty() => hint,
            Self::Device { .. } => "choose the CPU device, or let it be chosen",
            Self::Fault { .. } => {
                "let the CPU stand in (do not require the device), or open the device again"
            }
            Self::Options(_) => "leave out the precision or the device, or give others",
            Self::Tensor(_) => "report this with the model and the options used",
            Self::Distrusted { .. } => "encode the window again",
            Self::Cancelled => "",
        }
    }

    /// The CPU's threads could not be started.
    pub(crate) fn no_threads(error: &cpu_backend::Error) -> Self {
        let reason = format!("{}: {}", error.what, error.why);
        Self::Device { device: "cpu".into(), reason, hint: error.hint.clone() }
    }
}
