//! What the transcription loop needs of a model; implemented by the real one and by scripted ones in tests.

use whisper_encoder::{CancelToken, Config, LogMel};

use crate::Result;
use crate::decoding::Inference;
use crate::tokenizer::Tokenizer;

/// Cross-attention of the alignment heads over one teacher-forced pass, for word times.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// Alignment heads.
    pub heads: usize,
    /// Tokens of the pass: SOT sequence, no-timestamps, text, end of text.
    pub tokens: usize,
    /// Encoder positions: 1500.
    pub frames: usize,
    /// Scores before the softmax, `[heads, tokens, frames]`.
    pub qk: Vec<f32>,
    /// Probability of each text token (softmax over the tokens below end-of-text), `[text tokens]`.
    pub token_probs: Vec<f32>,
}

/// A Whisper: encoder, text decoder and tokenizer. Each call stops between layers and tokens once its token is set.
pub trait SpeechModel: Sync {
    /// One encoded window, ready for the decoder (its cross-attention keys and values computed).
    type Audio: Send;

    /// Dimensions.
    fn config(&self) -> &Config;

    /// Tokenizer of the checkpoint.
    fn tokenizer(&self) -> &Tokenizer;

    /// Encodes one full window `[n_mels, 3000]`.
    ///
    /// # Errors
    /// On a wrong shape, a device fault that may not fall back, or cancellation.
    fn encode(&self, window: &LogMel, cancel: &CancelToken) -> Result<Self::Audio>;

    /// Whether windows are encoded by a device beside the CPU, so that one can be encoded while another is decoded.
    fn encodes_beside_cpu(&self) -> bool {
        false
    }

    /// A fresh decoder over `audio`.
    ///
    /// # Errors
    /// If its buffers cannot be made.
    fn inference<'a>(
        &'a self,
        audio: &'a Self::Audio,
        cancel: &'a CancelToken,
    ) -> Result<Box<dyn Inference + 'a>>;

    /// Runs `[sot_sequence…, no_timestamps, text_tokens…, eot]` through the decoder and keeps the alignment heads' scores.
    ///
    /// # Errors
    /// On cancellation or if the tokens do not fit the decoder.
    fn align(
        &self,
        audio: &Self::Audio,
        sot_sequence: &[u32],
        text_tokens: &[u32],
        cancel: &CancelToken,
    ) -> Result<Alignment>;
}
