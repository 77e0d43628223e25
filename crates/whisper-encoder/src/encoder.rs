//! The encoder: stem ▸ blocks ▸ norm, `LogMel [n_mels, 3000]` ▸ `AudioFeatures [1500, d_model]`.

use std::sync::Arc;

use candle_core::Tensor;

use crate::accelerator::{Accelerator, EncoderParts, Receipt};
use crate::builder::EncoderBuilder;
use crate::checkpoint::Checkpoint;
use crate::layers::block::Block;
use crate::layers::norm::LayerNorm;
use crate::layers::stem::Stem;
use crate::probe::{Probe, Visit};
use crate::{AudioFeatures, CancelToken, Config, Error, LogMel, Result};

/// A Whisper encoder, ready to run; clones share the weights.
#[derive(Clone)]
pub struct WhisperEncoder(Arc<Network>);

struct Network {
    config: Config,
    accelerator: Box<dyn Accelerator>,
    stem: Stem,
    blocks: Vec<Block>,
    ln_post: LayerNorm,
}

impl WhisperEncoder {
    /// Chooses model, device, precision and threads.
    #[must_use]
    pub fn builder() -> EncoderBuilder {
        EncoderBuilder::default()
    }

    /// Loads the encoder's half of `checkpoint` for `accelerator`.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] for missing or misshapen tensors; the accelerator's if it has no room.
    pub fn load(checkpoint: &Checkpoint, accelerator: Box<dyn Accelerator>) -> Result<Self> {
        let config = checkpoint.config().clone();
        let stem = Stem::load(checkpoint, &*accelerator)?;
        let blocks = (0..config.n_audio_layer).map(|index| Block::load(checkpoint, &*accelerator, index));
        let blocks = blocks.collect::<Result<_>>()?;
        let ln_post = LayerNorm::load(checkpoint, "encoder.layer_norm", config.d_model)?;
        Ok(Self(Arc::new(Network { config, accelerator, stem, blocks, ln_post })))
    }

    /// Dimensions of the model.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Name of the accelerator that computes: `candle`, `cpu`, `npu`.
    #[must_use]
    pub fn device(&self) -> &'static str {
        self.0.accelerator.name()
    }

    /// What ran where since the encoder was made, if its accelerator keeps an account.
    #[must_use]
    pub fn receipt(&self) -> Option<Receipt> {
        self.0.accelerator.receipt()
    }

    /// Encodes one window.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if `mel` is not `[n_mels, 2 × n_audio_ctx]`; a device's fault.
    pub fn encode(&self, mel: &LogMel) -> Result<AudioFeatures> {
        self.encode_with(mel, &CancelToken::new())
    }

    /// As [`Self::encode`], but stops between layers once `cancel` is set.
    ///
    /// # Errors
    /// As [`Self::encode`], and [`crate::Error::Cancelled`].
    pub fn encode_with(&self, mel: &LogMel, cancel: &CancelToken) -> Result<AudioFeatures> {
        let features = self.0.forward(mel, cancel, &mut Probe::new(None))?;
        AudioFeatures::new(self.0.config.d_model, features.flatten_all()?.to_vec1()?)
    }

    /// As [`Self::encode`], with the output left as a candle tensor `[frames, d_model]`.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_tensor(&self, mel: &LogMel) -> Result<Tensor> {
        self.0.forward(mel, &CancelToken::new(), &mut Probe::new(None))
    }

    /// Encodes one window and shows `visit` the output of every sub-layer, unfused:
    /// `encoder.conv1`, `encoder.conv2`, for each block `attn_ln`, `attn.query`, `attn.key`, `attn.value`, `attn`,
    /// `mlp_ln`, `mlp` and `encoder.blocks.N` itself, then `encoder.ln_post`.
    ///
    /// # Errors
    /// As [`Self::encode`], or what `visit` returns.
    pub fn encode_probed(&self, mel: &LogMel, visit: &mut Visit<'_>) -> Result<Tensor> {
        self.0.forward(mel, &CancelToken::new(), &mut Probe::new(Some(visit)))
    }
}

impl Network {
    /// Encodes a window, again if the accelerator found what it had computed wrong.
    fn forward(&self, mel: &LogMel, cancel: &CancelToken, probe: &mut Probe<'_, '_>) -> Result<Tensor> {
        let (done, again) = match self.pass(mel, cancel, probe) {
            Err(Error::Distrusted { .. }) => (self.pass(mel, cancel, probe), true),
            done => (done, false),
        };
        done.inspect(|_| self.accelerator.window_done(again))
    }

    fn pass(&self, mel: &LogMel, cancel: &CancelToken, probe: &mut Probe<'_, '_>) -> Result<Tensor> {
        let accelerator = &*self.accelerator;
        cancel.check()?;
        self.stem.check(mel)?;
        let parts: Vec<_> = self.blocks.iter().map(Block::parts).collect();
        if !probe.is_watched() {
            let (convolutions, positions) = self.stem.parts();
            let last_norm = self.ln_post.parts();
            let whole = EncoderParts { convolutions, positions, blocks: &parts, last_norm };
            if let Some(features) = accelerator.encode(mel, &whole, cancel)? {
                return Ok(features);
            }
        }
        let mut x = self.stem.forward(accelerator, mel, probe)?;
        let whole = if probe.is_watched() { None } else { accelerator.blocks(&x, &parts, cancel)? };
        match whole {
            Some(end) => x = end,
            None => {
                for block in &self.blocks {
                    cancel.check()?;
                    x = block.forward(accelerator, &x, probe)?;
                }
            }
        }
        let x = self.ln_post.forward(accelerator, &x)?;
        probe.show(|| "encoder.ln_post".into(), &x)?;
        Ok(x)
    }
}
