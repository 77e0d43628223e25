//! Text to tokens as tiktoken does it, which OpenAI uses: split by GPT-2's pattern, then merge by rank.
//!
//! The rank of a merge is the id of the token that it makes, and any two neighbours may merge whose bytes together are
//! a token. The hub's merge list allows only one pair per token, so its encoder can differ on odd text.

use std::collections::HashMap;

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::file::TokenBytes;

/// Byte-level BPE over the tokens below `<|endoftext|>`.
pub(super) struct Bpe {
    ranks: HashMap<Box<[u8]>, u32>,
}

impl Bpe {
    /// Indexes the tokens with ids below `eot`.
    pub(super) fn new(tokens: &TokenBytes, eot: u32) -> Self {
        let ranks = (0..eot).filter_map(|id| tokens.get(id).map(|bytes| (bytes.into(), id))).collect();
        Self { ranks }
    }

    /// Tokens of `text`, in which nothing is special. The error is a sentence: the splitter gave up.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut pieces = PreTokenizedString::from(text);
        let splitter = ByteLevel::new(false, false, true);
        splitter.pre_tokenize(&mut pieces).map_err(|error| error.to_string())?;
        let mut tokens = Vec::with_capacity(text.len() / 3);
        for (_, (start, end), _) in pieces.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            let piece = text.as_bytes().get(start..end).ok_or("the text was cut within a character")?;
            match self.ranks.get(piece) {
                Some(id) => tokens.push(*id),
                None => self.merge(piece, &mut tokens),
            }
        }
        Ok(tokens)
    }

    /// Merges the two neighbours of the lowest rank, the leftmost of equals, until none is a token.
    fn merge(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        // Starts of the parts, and the rank of each part merged with the next.
        let mut starts: Vec<usize> = (0..=piece.len()).collect();
        let rank = |starts: &[usize], i: usize| -> Option<u32> {
            self.ranks.get(piece.get(*starts.get(i)?..*starts.get(i + 2)?)?).copied()
        };
        let mut ranks: Vec<Option<u32>> = (0..piece.len()).map(|i| rank(&starts, i)).collect();
        while let Some((_, i)) = ranks.iter().enumerate().filter_map(|(i, r)| r.map(|r| (r, i))).min() {
            starts.remove(i + 1);
            ranks.remove(i + 1);
            ranks[i] = rank(&starts, i);
            if let Some(before) = i.checked_sub(1) {
                ranks[before] = rank(&starts, before);
            }
        }
        tokens.extend(starts.windows(2).filter_map(|part| self.ranks.get(&piece[part[0]..part[1]])));
    }
}
