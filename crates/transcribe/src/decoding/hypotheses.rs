//! What a search works on: rows of sampled tokens, and what it hands back.

use crate::{Error, ErrorKind, Result};

/// The rows of a search, all of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypotheses {
    /// Sampled tokens of each row, without the initial ones.
    pub tokens: Vec<Vec<u32>>,
    /// Sum of log-probabilities of each row; f32, as torch accumulates it.
    pub sums: Vec<f32>,
}

impl Hypotheses {
    /// `rows` rows with nothing sampled.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self { tokens: vec![Vec::new(); rows], sums: vec![0.0; rows] }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }
}

/// One finished token sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Sampled tokens before the first end of text.
    pub tokens: Vec<u32>,
    /// Sum of their log-probabilities and that of the end of text.
    pub sum_logprob: f64,
}

impl Candidate {
    /// Cuts `tokens` at the first end of text.
    pub(crate) fn cut(mut tokens: Vec<u32>, eot: u32, sum_logprob: f64) -> Self {
        let end = tokens.iter().position(|&token| token == eot).unwrap_or(tokens.len());
        tokens.truncate(end);
        Self { tokens, sum_logprob }
    }
}

/// A row of logits from which nothing can be chosen.
pub(crate) fn no_distribution() -> Error {
    Error::new(
        ErrorKind::Internal,
        "cannot choose the next token",
        "the decoder's logits are not numbers, or every token is suppressed",
        "check the suppressed tokens and the model's files",
    )
}

/// How a search picks tokens (OpenAI's `TokenDecoder`).
pub trait Search {
    /// Rows that a search over one window starts with.
    fn initial_rows(&self) -> usize;

    /// Appends a token to each row from its filtered `logits` `[rows, n_vocab]`; returns whether the search is over.
    ///
    /// The number of rows may change; [`Self::sources`] then says which old row each new one continues.
    ///
    /// # Errors
    /// If a row of logits has a NaN or nothing but −∞.
    fn update(&mut self, hypotheses: &mut Hypotheses, logits: &[f32]) -> Result<bool>;

    /// The row that each row continued at the last update, if rows may have moved.
    fn sources(&self) -> Option<&[usize]>;

    /// All candidates, in the order in which the ranker breaks ties.
    fn finalize(&mut self, hypotheses: Hypotheses) -> Vec<Candidate>;
}
