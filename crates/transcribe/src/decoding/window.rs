//! Decoding one window from a tokenizer and a decoder to a [`DecodingResult`].

use whisper_encoder::Config;

use super::python::strip;
use super::{
    DecodingOptions, DecodingResult, Inference, Sampled, TokenIds, Vocabulary, compression_ratio,
    detect_language, resolve_language, sample_window,
};
use crate::Result;
use crate::tokenizer::Tokenizer;

/// OpenAI's `DecodingTask`: what does not change from window to window.
pub struct WindowDecoder<'a> {
    tokenizer: &'a Tokenizer,
    vocabulary: Vocabulary,
}

impl<'a> WindowDecoder<'a> {
    /// Reads the ids of `tokenizer`.
    ///
    /// # Errors
    /// Those of [`TokenIds::of`].
    pub fn new(tokenizer: &'a Tokenizer, config: &Config) -> Result<Self> {
        let vocabulary = Vocabulary { ids: TokenIds::of(tokenizer)?, n_audio_ctx: config.n_audio_ctx };
        Ok(Self { tokenizer, vocabulary })
    }

    /// The special tokens.
    #[must_use]
    pub fn ids(&self) -> &TokenIds {
        &self.vocabulary.ids
    }

    /// Decodes the window behind `inference`. Without `options.language` a multilingual model detects it.
    ///
    /// # Errors
    /// Those of [`sample_window`], and [`crate::ErrorKind::Usage`] on an unknown language.
    pub fn decode<I: Inference + ?Sized>(
        &self,
        inference: &mut I,
        options: &DecodingOptions,
    ) -> Result<DecodingResult> {
        options.verify()?;
        let language = match &options.language {
            Some(name) => resolve_language(self.tokenizer, name)?,
            None if self.tokenizer.is_multilingual() => detect_language(inference, self.tokenizer)?.0.code,
            None => "en",
        };
        let sot_sequence = self.tokenizer.sot_sequence(language, options.task)?;
        let sampled = sample_window(inference, &self.vocabulary, &sot_sequence, options)?;
        let Sampled { tokens, avg_logprob, no_speech_prob } = sampled;
        let text = strip(&self.tokenizer.decode(&tokens)).to_owned();
        Ok(DecodingResult {
            language: language.to_owned(),
            tokens,
            avg_logprob,
            no_speech_prob,
            temperature: options.temperature,
            compression_ratio: compression_ratio(&text),
            text,
        })
    }
}
