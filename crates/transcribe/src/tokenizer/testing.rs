//! Small tokenizers for tests: the first 512 tokens of OpenAI's vocabularies and all special tokens.

use super::Tokenizer;
use crate::Result;

/// Which of the three generations of special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `tiny.en` … `medium.en`: no language in the SOT sequence; 2120 tokens.
    English,
    /// `tiny` … `large-v2`: 99 languages; 2121 tokens.
    Multilingual,
    /// From `large-v3` on: 100 languages; 2122 tokens.
    MultilingualYue,
}

impl Layout {
    /// Size of the small vocabulary.
    #[must_use]
    pub fn n_vocab(self) -> usize {
        match self {
            Self::English => 2120,
            Self::Multilingual => 2121,
            Self::MultilingualYue => 2122,
        }
    }

    /// Its `tokenizer.json`.
    #[must_use]
    pub fn json(self) -> &'static [u8] {
        match self {
            Self::English => include_bytes!("../../tests/data/tokenizer/small-english.json"),
            Self::Multilingual => include_bytes!("../../tests/data/tokenizer/small-multilingual.json"),
            Self::MultilingualYue => include_bytes!("../../tests/data/tokenizer/small-multilingual-yue.json"),
        }
    }
}

/// A tokenizer with real byte-level merges, whose special tokens follow 512 (English) or 513 others.
///
/// # Errors
/// If the stored file does not load.
pub fn small(layout: Layout) -> Result<Tokenizer> {
    from_json(layout.json(), layout.n_vocab(), layout != Layout::English)
}

/// A tokenizer of any size, for which no [`whisper_encoder::Config`] need exist.
///
/// # Errors
/// As [`Tokenizer::from_bytes`].
pub fn from_json(json: &[u8], n_vocab: usize, multilingual: bool) -> Result<Tokenizer> {
    Tokenizer::from_json(json, n_vocab, multilingual)
}
