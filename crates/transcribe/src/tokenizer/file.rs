//! Reads what decoding needs of a hub `tokenizer.json`: the bytes of each token and the added tokens.
//!
//! Merge rules are skipped: OpenAI's tiktoken takes the token id as the rank of a merge (see [`super::bpe`]).

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

/// More tokens than any Whisper has; keeps a damaged id from asking for gigabytes.
const MOST_TOKENS: usize = 1 << 20;

/// A token beside the vocabulary: specials, and timestamps where the file lists them.
#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
}

/// The parts of `tokenizer.json` that matter here.
#[derive(Deserialize)]
pub(super) struct HubFile {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) model: Model,
}

/// The `model` entry.
#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) vocab: Vocab,
}

/// Tokens in the order of the file, their bytes one after another.
pub(super) struct Vocab {
    bytes: Vec<u8>,
    /// Id and end within `bytes` of each token.
    tokens: Vec<(u32, u32)>,
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VocabVisitor)
    }
}

struct VocabVisitor;

impl<'de> Visitor<'de> for VocabVisitor {
    type Value = Vocab;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from tokens to ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
        let alphabet = byte_of_char();
        let mut vocab = Vocab { bytes: Vec::with_capacity(1 << 19), tokens: Vec::with_capacity(1 << 16) };
        while map.next_key_seed(KeyBytes { alphabet: &alphabet, bytes: &mut vocab.bytes })?.is_some() {
            let id: u32 = map.next_value()?;
            let end = u32::try_from(vocab.bytes.len()).map_err(serde::de::Error::custom)?;
            vocab.tokens.push((id, end));
        }
        Ok(vocab)
    }
}

/// Appends the bytes that a vocabulary key stands for, without a string in between.
struct KeyBytes<'a> {
    alphabet: &'a [Option<u8>; ALPHABET],
    bytes: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for KeyBytes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyBytes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<(), E> {
        for c in key.chars() {
            let byte = self.alphabet.get(c as usize).copied().flatten();
            let byte = byte.ok_or_else(|| E::custom(format!("the token `{key}` is not written in bytes")))?;
            self.bytes.push(byte);
        }
        Ok(())
    }
}

/// One past the last character of the byte alphabet: 256 + 68 bytes that are not printable.
const ALPHABET: usize = 324;

/// The byte that each character of a byte-level vocabulary stands for (GPT-2's `bytes_to_unicode`, turned round):
/// printable Latin-1 stands for itself, the other 68 bytes follow from U+0100 on.
fn byte_of_char() -> [Option<u8>; ALPHABET] {
    let mut table = [None; ALPHABET];
    let mut next = 256;
    for byte in 0..=255_u8 {
        if matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
            table[usize::from(byte)] = Some(byte);
        } else if let Some(slot) = table.get_mut(next) {
            *slot = Some(byte);
            next += 1;
        }
    }
    table
}

/// The bytes of each token by id.
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    /// Start and end within `bytes` by id; none where the vocabulary has no such id.
    spans: Vec<Option<(u32, u32)>>,
}

impl TokenBytes {
    /// Sorts the vocabulary by id; the error is a sentence.
    pub(super) fn new(vocab: Vocab) -> Result<Self, String> {
        let last = vocab.tokens.iter().map(|(id, _)| *id as usize).max().ok_or("its vocabulary is empty")?;
        if last >= MOST_TOKENS {
            return Err(format!("token id {last} is beyond any Whisper vocabulary"));
        }
        let mut spans = vec![None; last + 1];
        let mut start = 0;
        for (id, end) in vocab.tokens {
            let span = &mut spans[id as usize];
            if span.is_some() {
                return Err(format!("two tokens have the id {id}"));
            }
            *span = Some((start, end));
            start = end;
        }
        Ok(Self { bytes: vocab.bytes, spans })
    }

    /// The bytes of a token.
    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let (start, end) = (*self.spans.get(id as usize)?)?;
        self.bytes.get(start as usize..end as usize)
    }

    /// One past the highest id.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The id of a token, by search through all of them.
    pub(super) fn find(&self, token: &[u8]) -> Option<u32> {
        (0..).take(self.len()).find(|id| self.get(*id) == Some(token))
    }
}
