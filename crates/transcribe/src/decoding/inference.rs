//! What the decoding policy needs of a text decoder: logits for rows of hypotheses that share one length.

use cpu_backend::Level;

use crate::Result;

/// Of a row of logits, what a caller who wants the most likely token looks at.
#[derive(Clone, Copy, Debug)]
pub struct Likely<'a> {
    /// Where text ends and special tokens begin.
    pub text: usize,
    /// Tokens that are never taken.
    pub never: &'a [u32],
}

/// A text decoder at work on one window. All rows (hypotheses) have the same number of tokens.
pub trait Inference {
    /// Size of the vocabulary: the length of a row of logits.
    fn n_vocab(&self) -> usize;

    /// Positions of the decoder: 448.
    fn n_text_ctx(&self) -> usize;

    /// Instructions for the arithmetic on rows of logits: those of the decoder, if it runs on this CPU.
    fn level(&self) -> Level {
        Level::detect()
    }

    /// Starts anew with one row of `tokens`; returns raw logits `[n_vocab]` for each position in `logits_at`. To ask for the same
    /// once more, as the attempts at a window do, need not cost any arithmetic.
    ///
    /// # Errors
    /// On cancellation, or if `tokens` is empty or longer than the decoder's positions.
    fn prefill(&mut self, tokens: &[u32], logits_at: &[usize]) -> Result<Vec<Vec<f32>>>;

    /// Makes row `i` continue what was row `source[i]`; rows may be copied, dropped, and grow in number.
    ///
    /// # Errors
    /// If a source row does not exist.
    fn rearrange(&mut self, source: &[usize]) -> Result<()>;

    /// Appends one token to each row and writes the raw logits `[rows, n_vocab]`.
    ///
    /// # Errors
    /// On cancellation, a wrong number of rows, or more tokens than the decoder's positions.
    fn step(&mut self, tokens: &[u32], logits: &mut [f32]) -> Result<()>;

    /// As [`Self::step`] of the only row, for a caller who takes the most likely token: exact are the logits from `likely.text`
    /// on and, before it, those that may be the largest. Others may be estimates, as close as the precision that was asked for
    /// allows, and those of `likely.never` −∞.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn step_likely(&mut self, token: u32, likely: Likely, logits: &mut [f32]) -> Result<()> {
        let _ = likely;
        self.step(&[token], logits)
    }
}
