//! OpenAI's `SuppressBlank` and `SuppressTokens`.

use super::{LogitsFilter, mask};
use crate::decoding::TokenIds;
use crate::{Error, ErrorKind, Result};

/// No space and no end of text as the first token (OpenAI decoding.py, `SuppressBlank`).
#[derive(Clone, Debug)]
pub struct SuppressBlank {
    tokens: Vec<u32>,
}

impl SuppressBlank {
    /// Masks the tokens of `" "` and the end of text.
    #[must_use]
    pub fn new(ids: &TokenIds) -> Self {
        Self { tokens: ids.blank.iter().copied().chain([ids.eot]).collect() }
    }
}

impl LogitsFilter for SuppressBlank {
    fn apply(&self, logits: &mut [f32], sampled: &[u32]) {
        if sampled.is_empty() {
            mask(logits, &self.tokens);
        }
    }
}

/// Never these tokens (OpenAI decoding.py, `SuppressTokens`).
#[derive(Clone, Debug)]
pub struct SuppressTokens {
    tokens: Vec<u32>,
}

impl SuppressTokens {
    /// Masks `tokens` at every step.
    #[must_use]
    pub fn new(tokens: Vec<u32>) -> Self {
        Self { tokens }
    }
}

impl LogitsFilter for SuppressTokens {
    fn apply(&self, logits: &mut [f32], _sampled: &[u32]) {
        mask(logits, &self.tokens);
    }
}

/// The tokens that `asked` stands for (OpenAI decoding.py, `_get_suppress_tokens`), sorted.
///
/// −1 stands for the non-speech tokens; task, start and no-speech tokens always come along; languages never do.
/// An empty `asked` gives `None`: OpenAI then leaves the whole filter out, start tokens and all.
///
/// # Errors
/// [`ErrorKind::Usage`] on an id outside the vocabulary of `n_vocab` tokens (Python takes other negative ids as
/// indices from the end, which nobody means).
pub fn suppressed_tokens(asked: &[i64], ids: &TokenIds, n_vocab: usize) -> Result<Option<Vec<u32>>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let mut tokens = Vec::new();
    for &id in asked {
        match u32::try_from(id) {
            Ok(token) if (token as usize) < n_vocab => tokens.push(token),
            _ if id == -1 => tokens.extend(&ids.non_speech),
            _ => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("cannot suppress the token {id}"),
                    format!("the model's tokens are 0 to {}", n_vocab.saturating_sub(1)),
                    "give ids in that range, or -1 for the non-speech tokens",
                ));
            }
        }
    }
    tokens.extend([ids.transcribe, ids.translate, ids.sot, ids.sot_prev, ids.sot_lm]);
    tokens.extend(ids.no_speech);
    tokens.sort_unstable();
    tokens.dedup();
    Ok(Some(tokens))
}
