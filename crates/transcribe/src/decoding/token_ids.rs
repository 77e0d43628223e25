//! The ids that the policy needs of a tokenizer, gathered in one place so that it runs without one.

use crate::Result;
use crate::tokenizer::Tokenizer;

/// Ids of the special tokens and of the token sets that the filters mask; read from the tokenizer, never assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIds {
    /// `<|endoftext|>`; all text tokens lie below it.
    pub eot: u32,
    /// `<|startoftranscript|>`.
    pub sot: u32,
    /// `<|startofprev|>`, which opens a prompt.
    pub sot_prev: u32,
    /// `<|startoflm|>`.
    pub sot_lm: u32,
    /// `<|transcribe|>`.
    pub transcribe: u32,
    /// `<|translate|>`.
    pub translate: u32,
    /// `<|nospeech|>`, where the vocabulary has it.
    pub no_speech: Option<u32>,
    /// `<|notimestamps|>`.
    pub no_timestamps: u32,
    /// `<|0.00|>`; all tokens from it on are timestamps, 20 ms apart.
    pub timestamp_begin: u32,
    /// Tokens of `" "`.
    pub blank: Vec<u32>,
    /// OpenAI's `non_speech_tokens`, for which −1 stands in [`super::DecodingOptions::suppress_tokens`].
    pub non_speech: Vec<u32>,
}

impl TokenIds {
    /// Reads the ids.
    ///
    /// # Errors
    /// If the tokenizer cannot encode a space.
    pub fn of(tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Self {
            eot: tokenizer.eot(),
            sot: tokenizer.sot(),
            sot_prev: tokenizer.sot_prev(),
            sot_lm: tokenizer.sot_lm(),
            transcribe: tokenizer.transcribe(),
            translate: tokenizer.translate(),
            no_speech: tokenizer.no_speech(),
            no_timestamps: tokenizer.no_timestamps(),
            timestamp_begin: tokenizer.timestamp_begin(),
            blank: tokenizer.encode(" ")?,
            non_speech: tokenizer.non_speech_tokens().to_vec(),
        })
    }
}
