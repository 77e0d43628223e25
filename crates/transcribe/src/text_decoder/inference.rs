//! The decoder under the decoding policy's hands: one window, some hypotheses.

use cpu_backend::Level;
use whisper_encoder::CancelToken;

use super::{CrossCache, Scratch, SelfCache, TextDecoder};
use crate::decoding::{Inference, Likely};
use crate::{Error, ErrorKind, Result};

/// A [`TextDecoder`] at work on one window.
pub struct WindowInference<'a> {
    decoder: &'a TextDecoder,
    cross: &'a CrossCache,
    cancel: &'a CancelToken,
    cache: SelfCache,
    scratch: Scratch,
    prompt: Option<Prompt>,
}

/// What was last read at once, with which every row of the cache begins: the next attempt at the window begins with it, too.
struct Prompt {
    tokens: Vec<u32>,
    logits_at: Vec<usize>,
    logits: Vec<Vec<f32>>,
}

impl<'a> WindowInference<'a> {
    /// A decoder over one window, with no tokens yet.
    #[must_use]
    pub fn new(decoder: &'a TextDecoder, cross: &'a CrossCache, cancel: &'a CancelToken) -> Self {
        Self { decoder, cross, cancel, cache: decoder.new_cache(), scratch: Scratch::default(), prompt: None }
    }

    /// Appends a token to each row, for `room` logits.
    fn append(&mut self, tokens: &[u32], room: usize) -> Result<()> {
        self.check(tokens, 1)?;
        if tokens.len() != self.cache.rows() || room != tokens.len() * self.n_vocab() {
            return Err(refused(format!("{} tokens for {} rows", tokens.len(), self.cache.rows())));
        }
        self.decoder.forward(tokens, &mut self.cache, self.cross, &mut self.scratch, None, None);
        Ok(())
    }

    fn check(&self, tokens: &[u32], n: usize) -> Result<()> {
        self.cancel.check()?;
        let config = self.decoder.config();
        if self.cache.len() + n > config.n_text_ctx {
            return Err(refused(format!("more than {} tokens", config.n_text_ctx)));
        }
        match tokens.iter().find(|&&token| token as usize >= config.n_vocab) {
            Some(token) => Err(refused(format!("token {token} of a vocabulary of {}", config.n_vocab))),
            None => Ok(()),
        }
    }
}

fn refused(why: String) -> Error {
    Error::new(
        ErrorKind::Internal,
        "the text decoder was misused",
        why,
        "please report this with the command line used",
    )
}

impl Inference for WindowInference<'_> {
    fn n_vocab(&self) -> usize {
        self.decoder.config().n_vocab
    }

    fn n_text_ctx(&self) -> usize {
        self.decoder.config().n_text_ctx
    }

    fn level(&self) -> Level {
        self.decoder.context.level()
    }

    fn prefill(&mut self, tokens: &[u32], logits_at: &[usize]) -> Result<Vec<Vec<f32>>> {
        let read = self.prompt.take().filter(|read| read.tokens == tokens && read.logits_at == logits_at);
        if let Some(read) = read {
            self.cancel.check()?;
            self.cache.truncate(tokens.len());
            return Ok(self.prompt.insert(read).logits.clone());
        }
        self.cache.truncate(0);
        self.check(tokens, tokens.len())?;
        if tokens.is_empty() || logits_at.iter().any(|&at| at >= tokens.len()) {
            return Err(refused("a position beyond the tokens".into()));
        }
        let wanted = Some(logits_at);
        self.decoder.forward(tokens, &mut self.cache, self.cross, &mut self.scratch, wanted, None);
        // All at once: the vocabulary's weights are read once.
        let mut logits = vec![0.0; logits_at.len() * self.n_vocab()];
        self.decoder.logits(&self.scratch.h, &mut logits);
        let logits: Vec<_> = logits.chunks_exact(self.n_vocab()).map(<[f32]>::to_vec).collect();
        let (tokens, logits_at) = (tokens.to_vec(), logits_at.to_vec());
        self.prompt = Some(Prompt { tokens, logits_at, logits: logits.clone() });
        Ok(logits)
    }

    fn rearrange(&mut self, source: &[usize]) -> Result<()> {
        if source.is_empty() || !self.cache.rearrange(source) {
            return Err(refused(format!("rows {source:?} of {}", self.cache.rows())));
        }
        Ok(())
    }

    fn step(&mut self, tokens: &[u32], logits: &mut [f32]) -> Result<()> {
        self.append(tokens, logits.len())?;
        self.decoder.logits(&self.scratch.h, logits);
        Ok(())
    }

    fn step_likely(&mut self, token: u32, likely: Likely, logits: &mut [f32]) -> Result<()> {
        let n_vocab = self.n_vocab();
        if likely.text > n_vocab || likely.never.iter().any(|&id| id as usize >= n_vocab) {
            return Err(refused(format!("{likely:?} of a vocabulary of {n_vocab}")));
        }
        self.append(&[token], logits.len())?;
        self.decoder.likely_logits(&self.scratch.h, likely, logits);
        Ok(())
    }
}
