//! What the decoding policy needs of a text decoder: logits for rows of hypotheses that share one length.

use cpu_backend::Level;

use crate::Result;

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
}
