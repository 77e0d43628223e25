//! Whisper's tokenizer: text, special tokens, timestamps, languages.

use std::path::Path;

use whisper_encoder::Config;

use crate::Result;
use crate::decoding::Task;

/// Byte-level BPE with Whisper's special tokens, whose ids are read from the file, never assumed.
pub struct Tokenizer {}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::unimplemented, unused_variables)]
impl Tokenizer {
    /// Reads `tokenizer.json` from a model's folder.
    pub fn open(folder: &Path, config: &Config) -> Result<Self> {
        unimplemented!()
    }
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        unimplemented!()
    }
    /// Text of the tokens below the first timestamp (OpenAI's `decode`).
    pub fn decode(&self, tokens: &[u32]) -> String {
        unimplemented!()
    }
    /// Text with timestamps as `<|1.08|>` (OpenAI's `decode_with_timestamps`).
    pub fn decode_with_timestamps(&self, tokens: &[u32]) -> String {
        unimplemented!()
    }
    pub fn is_multilingual(&self) -> bool {
        unimplemented!()
    }
    pub fn eot(&self) -> u32 {
        unimplemented!()
    }
    pub fn sot(&self) -> u32 {
        unimplemented!()
    }
    pub fn sot_lm(&self) -> u32 {
        unimplemented!()
    }
    pub fn sot_prev(&self) -> u32 {
        unimplemented!()
    }
    pub fn translate(&self) -> u32 {
        unimplemented!()
    }
    pub fn transcribe(&self) -> u32 {
        unimplemented!()
    }
    pub fn no_speech(&self) -> Option<u32> {
        unimplemented!()
    }
    pub fn no_timestamps(&self) -> u32 {
        unimplemented!()
    }
    pub fn timestamp_begin(&self) -> u32 {
        unimplemented!()
    }
    /// `(code, token)` of every language of the checkpoint, in token order; empty for English-only models.
    pub fn languages(&self) -> &[(&'static str, u32)] {
        unimplemented!()
    }
    pub fn language_token(&self, code: &str) -> Option<u32> {
        unimplemented!()
    }
    /// `[sot]`, or `[sot, language, task]` for multilingual models.
    pub fn sot_sequence(&self, language: &str, task: Task) -> Result<Vec<u32>> {
        unimplemented!()
    }
    /// OpenAI's `non_speech_tokens`.
    pub fn non_speech_tokens(&self) -> &[u32] {
        unimplemented!()
    }
    /// OpenAI's `split_to_word_tokens`: words and their tokens.
    pub fn split_to_word_tokens(&self, tokens: &[u32], language: &str) -> (Vec<String>, Vec<Vec<u32>>) {
        unimplemented!()
    }
}
