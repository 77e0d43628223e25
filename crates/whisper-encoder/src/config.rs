//! Dimensions of a Whisper model, read from the hub's `config.json`, named as OpenAI's `ModelDimensions`.

use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result};

/// Width of an attention head in every published Whisper.
pub const HEAD_DIM: usize = 64;

/// Dimensions of a checkpoint. Encoder and decoder counts are separate (turbo is 32/4, distil-large 32/2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// Mel bins: 80, or 128 from large-v3 on.
    #[serde(rename = "num_mel_bins")]
    pub n_mels: usize,
    /// Encoder positions of 20 ms: 1500.
    #[serde(rename = "max_source_positions")]
    pub n_audio_ctx: usize,
    /// Width of both halves (`n_audio_state` = `n_text_state`).
    pub d_model: usize,
    /// Encoder attention heads.
    #[serde(rename = "encoder_attention_heads")]
    pub n_audio_head: usize,
    /// Encoder blocks.
    #[serde(rename = "encoder_layers")]
    pub n_audio_layer: usize,
    /// Width of the encoder's MLP.
    #[serde(rename = "encoder_ffn_dim")]
    pub audio_ffn: usize,
    /// Tokens: 51864 (English only), 51865 (multilingual), 51866 (from large-v3 on).
    #[serde(rename = "vocab_size")]
    pub n_vocab: usize,
    /// Decoder positions: 448.
    #[serde(rename = "max_target_positions")]
    pub n_text_ctx: usize,
    /// Decoder attention heads.
    #[serde(rename = "decoder_attention_heads")]
    pub n_text_head: usize,
    /// Decoder blocks.
    #[serde(rename = "decoder_layers")]
    pub n_text_layer: usize,
    /// Width of the decoder's MLP.
    #[serde(rename = "decoder_ffn_dim")]
    pub text_ffn: usize,
}

impl Config {
    /// Reads `config.json` in the hub's layout and checks that the numbers make a Whisper.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Config`].
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        Self::from_json(&text).map_err(|reason| Error::Config { path: path.into(), reason })
    }

    /// Parses and checks the text of a `config.json`; the error says what is wrong.
    ///
    /// # Errors
    /// A sentence: what is wrong with it.
    pub fn from_json(text: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Kind {
            model_type: Option<String>,
            activation_function: Option<String>,
            #[serde(default)]
            scale_embedding: bool,
        }
        let kind: Kind = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match kind.model_type.as_deref() {
            Some("whisper") | None => {}
            Some(other) => return Err(format!("its model_type is `{other}`, not `whisper`")),
        }
        if kind.activation_function.as_deref().is_some_and(|name| name != "gelu") || kind.scale_embedding {
            return Err("only GELU activations and unscaled embeddings are known of Whisper".into());
        }
        let config: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Whether the numbers can be a Whisper: bounded, non-zero, heads dividing the width.
    fn check(&self) -> std::result::Result<(), String> {
        // Far above any published size (large: 1280 wide, 32 layers), small enough that no product overflows.
        let bounds = [
            ("num_mel_bins", self.n_mels, 1024),
            ("max_source_positions", self.n_audio_ctx, 1 << 16),
            ("d_model", self.d_model, 1 << 14),
            ("encoder_attention_heads", self.n_audio_head, 1 << 10),
            ("encoder_layers", self.n_audio_layer, 1 << 10),
            ("encoder_ffn_dim", self.audio_ffn, 1 << 16),
            ("vocab_size", self.n_vocab, 1 << 20),
            ("max_target_positions", self.n_text_ctx, 1 << 16),
            ("decoder_attention_heads", self.n_text_head, 1 << 10),
            ("decoder_layers", self.n_text_layer, 1 << 10),
            ("decoder_ffn_dim", self.text_ffn, 1 << 16),
        ];
        for (name, value, most) in bounds {
            if value == 0 || value > most {
                return Err(format!("{name} is {value}, which no Whisper has"));
            }
        }
        for (name, heads) in [("encoder", self.n_audio_head), ("decoder", self.n_text_head)] {
            // No tensor's shape tells the number of heads: a wrong one would load, and give fluent nonsense.
            if self.d_model != heads * HEAD_DIM {
                return Err(format!(
                    "d_model {} and {heads} {name} heads do not make heads of {HEAD_DIM}, as every Whisper has",
                    self.d_model
                ));
            }
        }
        Ok(())
    }

    /// Whether the vocabulary has language tokens (`n_vocab ≥ 51865`, OpenAI's `is_multilingual`).
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.n_vocab >= 51865
    }

    /// Languages of the vocabulary: 99, or 100 from large-v3 on (OpenAI's `num_languages`).
    #[must_use]
    pub fn num_languages(&self) -> usize {
        self.n_vocab.saturating_sub(51765 + usize::from(self.is_multilingual()))
    }
}
