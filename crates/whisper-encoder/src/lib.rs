//! The Whisper audio encoder on candle: log-mel in, audio features out.
//!
//! Data goes `LogMel [n_mels, 3000] ▸ stem ▸ blocks ▸ norm ▸ AudioFeatures [frames, d_model]`; matrix products and
//! attention go through the [`accelerator::Accelerator`] seam.

pub mod accelerator;
mod builder;
pub mod cancel;
pub mod checkpoint;
pub mod config;
mod encoder;
mod error;
pub mod features;
mod layers;
pub mod log_mel;
pub mod probe;

pub use accelerator::Accelerator;
pub use builder::{Device, EncoderBuilder, Precision};
pub use cancel::CancelToken;
pub use checkpoint::Checkpoint;
pub use config::Config;
pub use encoder::WhisperEncoder;
pub use error::{Error, Result};
pub use features::AudioFeatures;
pub use log_mel::LogMel;
