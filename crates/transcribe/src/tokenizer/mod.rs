//! Whisper's tokenizer: text, special tokens, timestamps, languages (OpenAI tokenizer.py).
//!
//! Read from the hub's `tokenizer.json`. Loading parses only what decoding needs; the index for encoding is built when
//! text is first encoded.

mod bpe;
mod file;
mod languages;
mod non_speech;
mod special;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod whitespace;
mod words;

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use whisper_encoder::Config;

pub use self::languages::{LANGUAGES, language_code, language_name};

use self::bpe::Bpe;
use self::file::{HubFile, TokenBytes};
use self::special::Special;
use crate::decoding::Task;
use crate::{Error, ErrorKind, Result};

/// Byte-level BPE with Whisper's special tokens, whose ids are read from the file, never assumed.
pub struct Tokenizer {
    tokens: TokenBytes,
    special: Special,
    multilingual: bool,
    bpe: OnceLock<Bpe>,
    non_speech: OnceLock<Vec<u32>>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Tokenizer");
        f.field("n_vocab", &self.special.end())
            .field("multilingual", &self.multilingual)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a model's folder.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] if the file is missing, damaged, or belongs to another model than `config`.
    pub fn open(folder: &Path, config: &Config) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let json = std::fs::read(&path).map_err(|error| {
            Error::new(
                ErrorKind::Model,
                format!("cannot read {}", path.display()),
                error.to_string(),
                "a model's folder needs tokenizer.json beside its weights; download the model again",
            )
            .with_source(error)
        })?;
        Self::build(&json, config.n_vocab, config.is_multilingual())
            .map_err(|reason| damaged(format!("cannot use {}", path.display()), reason))
    }

    /// Takes the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] if it is damaged or belongs to another model than `config`.
    pub fn from_bytes(json: &[u8], config: &Config) -> Result<Self> {
        Self::from_json(json, config.n_vocab, config.is_multilingual())
    }

    fn from_json(json: &[u8], n_vocab: usize, multilingual: bool) -> Result<Self> {
        Self::build(json, n_vocab, multilingual)
            .map_err(|reason| damaged("cannot use the tokenizer.json".into(), reason))
    }

    /// The error is a sentence: what is wrong with the file.
    fn build(json: &[u8], n_vocab: usize, multilingual: bool) -> std::result::Result<Self, String> {
        let file: HubFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let tokens = TokenBytes::new(file.model.vocab)?;
        let special = Special::find(file.added_tokens, &tokens)?;
        if let Some(hole) = (0..special.eot).find(|id| tokens.get(*id).is_none()) {
            return Err(format!(
                "its vocabulary has no token {hole}, though text goes up to {}",
                special.eot
            ));
        }
        let mut bytes = [false; 256];
        for id in 0..special.eot {
            if let Some(&[byte]) = tokens.get(id) {
                bytes[usize::from(byte)] = true;
            }
        }
        if let Some(byte) = bytes.iter().position(|known| !known) {
            return Err(format!("its vocabulary has no token for the byte 0x{byte:02x}"));
        }
        if special.end() != n_vocab {
            return Err(format!(
                "it has {} tokens, but config.json says vocab_size {n_vocab}: they belong to different models",
                special.end()
            ));
        }
        if let Some(code) = special.missing_language().filter(|_| multilingual) {
            return Err(format!("it has no language token <|{code}|>, but the model is multilingual"));
        }
        Ok(Self { tokens, special, multilingual, bpe: OnceLock::new(), non_speech: OnceLock::new() })
    }

    /// Tokens of plain text. Special tokens cannot be written as text: where one is spelled out, this is an error, as it
    /// is in OpenAI's (tiktoken's `disallowed_special`).
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if `text` spells a special token such as `<|endoftext|>` or `<|0.00|>`, or if the splitter
    /// gives up on it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let failed =
            |why: String, hint| Error::new(ErrorKind::Usage, "cannot turn the text into tokens", why, hint);
        if let Some(name) = self.special.spelled_in(text) {
            return Err(failed(format!("it contains the special token {name}"), "take it out of the text"));
        }
        self.bpe().encode(text).map_err(|why| failed(why, "shorten the text"))
    }

    fn bpe(&self) -> &Bpe {
        self.bpe.get_or_init(|| Bpe::new(&self.tokens, self.special.eot))
    }

    /// Text of the tokens below the first timestamp (OpenAI's `decode`); special tokens below it appear by name.
    ///
    /// Broken UTF-8 becomes U+FFFD. Ids that the vocabulary lacks are left out.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.join(tokens.iter().copied().filter(|token| *token < self.special.timestamp_begin))
    }

    /// Text with timestamps as `<|1.08|>` (OpenAI's `decode_with_timestamps`).
    #[must_use]
    pub fn decode_with_timestamps(&self, tokens: &[u32]) -> String {
        self.join(tokens.iter().copied())
    }

    fn join(&self, tokens: impl Iterator<Item = u32>) -> String {
        let mut bytes = Vec::new();
        for token in tokens {
            if token >= self.special.eot {
                bytes.extend(self.special.name(token).unwrap_or_default().into_bytes());
            } else if let Some(text) = self.tokens.get(token) {
                bytes.extend_from_slice(text);
            }
        }
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Whether the model knows languages other than English.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    /// `<|endoftext|>`; every text token is below it.
    #[must_use]
    pub fn eot(&self) -> u32 {
        self.special.eot
    }

    /// `<|startoftranscript|>`.
    #[must_use]
    pub fn sot(&self) -> u32 {
        self.special.sot
    }

    /// `<|startoflm|>`.
    #[must_use]
    pub fn sot_lm(&self) -> u32 {
        self.special.sot_lm
    }

    /// `<|startofprev|>`, before a prompt.
    #[must_use]
    pub fn sot_prev(&self) -> u32 {
        self.special.sot_prev
    }

    /// `<|translate|>`.
    #[must_use]
    pub fn translate(&self) -> u32 {
        self.special.translate
    }

    /// `<|transcribe|>`.
    #[must_use]
    pub fn transcribe(&self) -> u32 {
        self.special.transcribe
    }

    /// `<|nospeech|>`, called `<|nocaptions|>` in older files; none if the file has neither.
    #[must_use]
    pub fn no_speech(&self) -> Option<u32> {
        self.special.no_speech
    }

    /// `<|notimestamps|>`.
    #[must_use]
    pub fn no_timestamps(&self) -> u32 {
        self.special.no_timestamps
    }

    /// `<|0.00|>`: from here on tokens are times in steps of 0.02 s.
    #[must_use]
    pub fn timestamp_begin(&self) -> u32 {
        self.special.timestamp_begin
    }

    /// `(code, token)` of every language of the checkpoint, in token order; empty for English-only models.
    #[must_use]
    pub fn languages(&self) -> &[(&'static str, u32)] {
        if self.multilingual { &self.special.languages } else { &[] }
    }

    /// The token of a language code; none for English-only models.
    #[must_use]
    pub fn language_token(&self, code: &str) -> Option<u32> {
        self.languages().iter().find(|(known, _)| *known == code).map(|(_, token)| *token)
    }

    /// `[sot]`, or `[sot, language, task]` for multilingual models. `language` is a code or a name.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the model is multilingual and does not know the language.
    pub fn sot_sequence(&self, language: &str, task: Task) -> Result<Vec<u32>> {
        if !self.multilingual {
            return Ok(vec![self.sot()]);
        }
        let token = language_code(language).and_then(|code| self.language_token(code)).ok_or_else(|| {
            let why = match language_code(language) {
                Some("yue") => "Cantonese is known to large-v3 and newer models only",
                Some(_) => "this model has no token for it",
                None => "Whisper does not know a language of that code or name",
            };
            let hint = "give a code such as en, or leave the language out to detect it";
            Error::new(ErrorKind::Usage, format!("cannot use the language `{language}`"), why, hint)
        })?;
        let task = match task {
            Task::Transcribe => self.transcribe(),
            Task::Translate => self.translate(),
        };
        Ok(vec![self.sot(), token, task])
    }

    /// OpenAI's `non_speech_tokens`: tags and notes that nobody speaks; sorted.
    #[must_use]
    pub fn non_speech_tokens(&self) -> &[u32] {
        self.non_speech
            .get_or_init(|| non_speech::tokens(|symbol| self.bpe().encode(symbol).unwrap_or_default()))
    }

    /// OpenAI's `split_to_word_tokens`: words and their tokens. `language` is a code.
    #[must_use]
    pub fn split_to_word_tokens(&self, tokens: &[u32], language: &str) -> (Vec<String>, Vec<Vec<u32>>) {
        words::split(self, tokens, language)
    }
}

fn damaged(what: String, reason: String) -> Error {
    Error::new(ErrorKind::Model, what, reason, "download the model again, with all its files from one place")
}
