//! The Whisper audio encoder on candle: log-mel in, audio features out.
//!
//! Data goes `LogMel [n_mels, 3000] ▸ stem ▸ blocks ▸ norm ▸ AudioFeatures [frames, d_model]`; matrix products and
//! attention go through the [`accelerator::Accelerator`] seam.

pub mod cancel;
pub mod config;
mod error;
pub mod features;
pub mod log_mel;

pub use cancel::CancelToken;
pub use config::Config;
pub use error::{Error, Result};
pub use features::AudioFeatures;
pub use log_mel::LogMel;
