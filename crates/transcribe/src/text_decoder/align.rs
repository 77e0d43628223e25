//! One teacher-forced pass that keeps the alignment heads' cross-attention scores.

use cpu_backend::{Level, largest, sum_exp};
use whisper_encoder::{CancelToken, Result};

use super::network::Watch;
use super::{CrossCache, Scratch, TextDecoder};
use crate::speech_model::Alignment;

/// Rows of logits computed together.
const LOGIT_ROWS: usize = 8;

impl TextDecoder {
    /// Runs `tokens` and keeps the scores of `heads`, `(layer, head)`; `text` is where the text tokens stand in `tokens`.
    ///
    /// Each text token's probability is that of the softmax over the tokens below `eot` at the position before it
    /// (OpenAI `timing.py`, `find_alignment`).
    ///
    /// # Errors
    /// [`whisper_encoder::Error::Cancelled`], or `Shape` if the tokens do not fit.
    pub fn align(
        &self,
        tokens: &[u32],
        text: std::ops::Range<usize>,
        eot: u32,
        heads: &[(usize, usize)],
        cross: &CrossCache,
        cancel: &CancelToken,
    ) -> Result<Alignment> {
        cancel.check()?;
        let mut cache = self.new_cache();
        let config = self.config();
        let fits = tokens.len() <= cache.capacity() && text.start > 0 && text.end <= tokens.len();
        let known =
            tokens.iter().all(|&token| (token as usize) < config.n_vocab) && eot as usize <= config.n_vocab;
        if !fits || !known {
            let reason = format!(
                "{} tokens do not fit {} positions or the vocabulary",
                tokens.len(),
                cache.capacity()
            );
            return Err(whisper_encoder::Error::Shape(reason));
        }
        if let Some(head) =
            heads.iter().find(|head| head.0 >= config.n_text_layer || head.1 >= config.n_text_head)
        {
            return Err(whisper_encoder::Error::Shape(format!("the decoder has no head {head:?}")));
        }
        let (n, frames) = (tokens.len(), cross.frames);
        let mut watched = vec![Vec::new(); self.config().n_text_layer];
        for &(layer, head) in heads {
            watched[layer].push(head);
        }
        let mut qk = vec![0.0; heads.len() * n * frames];
        let mut keep = |layer: usize, scores: &[f32]| {
            // A layer's watched heads stand in the order of `heads`.
            let slots = heads.iter().enumerate().filter(|(_, (of, _))| *of == layer).map(|(slot, _)| slot);
            let of_layer = watched[layer].len();
            for (nth, slot) in slots.enumerate() {
                for token in 0..n {
                    let from = (token * of_layer + nth) * frames;
                    qk[(slot * n + token) * frames..][..frames].copy_from_slice(&scores[from..from + frames]);
                }
            }
        };
        let mut scratch = Scratch::default();
        let watch = Watch { heads: &watched, visit: &mut keep };
        self.forward(tokens, &mut cache, cross, &mut scratch, None, Some(watch));

        let (d, n_vocab) = (config.d_model, config.n_vocab);
        // The position before a token tells it. A few rows at a time read the vocabulary's weights once for all.
        let hidden = &scratch.h[(text.start - 1) * d..(text.end - 1) * d];
        let level = self.context.level();
        let mut logits = vec![0.0; LOGIT_ROWS * n_vocab];
        let mut token_probs = Vec::with_capacity(text.len());
        for (hidden, tokens) in hidden.chunks(LOGIT_ROWS * d).zip(tokens[text].chunks(LOGIT_ROWS)) {
            cancel.check()?;
            let logits = &mut logits[..tokens.len() * n_vocab];
            self.logits(hidden, logits);
            let rows = logits.chunks_exact(n_vocab).zip(tokens);
            token_probs
                .extend(rows.map(|(row, &token)| probability(level, &row[..eot as usize], token as usize)));
        }
        Ok(Alignment { heads: heads.len(), tokens: tokens.len(), frames, qk, token_probs })
    }
}

/// Softmax of `logits` at `token`; 0 for a token beyond them.
fn probability(level: Level, logits: &[f32], token: usize) -> f32 {
    let Some(&logit) = logits.get(token) else { return 0.0 };
    let most = largest(level, logits);
    #[allow(clippy::cast_possible_truncation, reason = "a probability")]
    let probability = (f64::from(logit - most).exp() / sum_exp(level, logits, most)) as f32;
    probability
}
