//! Cross-attention keys and values of one audio window, computed once.

use cpu_backend::KvCache;
use whisper_encoder::{AudioFeatures, Config, Error, Result};

/// Keys and values of every block over the frames of one window.
pub struct CrossCache {
    pub(super) frames: usize,
    pub(super) blocks: Vec<KvCache>,
}

impl CrossCache {
    /// An empty cache for `features`, to be filled block by block.
    pub(super) fn new(features: &AudioFeatures, config: &Config) -> Result<Self> {
        if features.d_model() != config.d_model {
            return Err(Error::Shape(format!(
                "the decoder takes features {} wide, not {}",
                config.d_model,
                features.d_model()
            )));
        }
        Ok(Self { frames: features.frames(), blocks: Vec::with_capacity(config.n_text_layer) })
    }
}
