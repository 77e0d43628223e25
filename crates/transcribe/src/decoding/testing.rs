//! A vocabulary of 61 tokens and a decoder whose logits are a hash of its tokens, for tests without a model.
//!
//! The Python side of the comparisons is `tests/data/decoding/small_vocabulary.py`.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use super::{Inference, TokenIds};
use crate::{Error, ErrorKind, Result};

pub(crate) const N_VOCAB: usize = 61;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Text 0–18 (3 is a space), specials 19–29, timestamps from 30 on.
pub(crate) fn ids() -> TokenIds {
    TokenIds {
        eot: 19,
        sot: 20,
        translate: 23,
        transcribe: 24,
        sot_lm: 25,
        sot_prev: 26,
        no_speech: Some(27),
        no_timestamps: 29,
        timestamp_begin: 30,
        blank: vec![3],
        non_speech: vec![4, 5],
    }
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Multiples of 2⁻²⁰ in −8 … 8, exact in f32, as Python computes them.
pub(crate) fn hashed_logits(state: u64, row: &mut [f32]) {
    for (v, logit) in (1u64..).zip(row) {
        let bits = mix(state.wrapping_add(v.wrapping_mul(GOLDEN))) >> 40;
        *logit = (bits as f32 / (1u32 << 24) as f32 - 0.5) * 16.0;
    }
}

/// A decoder that hashes the tokens of each row; it refuses whatever the contract of [`Inference`] forbids.
pub(crate) struct HashedInference {
    pub(crate) seed: u64,
    pub(crate) eot_bias: f32,
    pub(crate) n_text_ctx: usize,
    /// Hash and length of each row.
    rows: Vec<(u64, usize)>,
    /// Fails the step with this number, counted from 0.
    pub(crate) cancel_at: Option<usize>,
    pub(crate) steps: usize,
}

impl HashedInference {
    pub(crate) fn new(seed: u64, eot_bias: f32) -> Self {
        Self { seed, eot_bias, n_text_ctx: 48, rows: Vec::new(), cancel_at: None, steps: 0 }
    }

    fn logits(&self, state: u64, row: &mut [f32]) {
        hashed_logits(state, row);
        row[19] += self.eot_bias;
    }
}

fn feed(state: u64, token: u32) -> u64 {
    mix(state ^ (u64::from(token) + 1).wrapping_mul(GOLDEN))
}

impl Inference for HashedInference {
    fn n_vocab(&self) -> usize {
        N_VOCAB
    }

    fn n_text_ctx(&self) -> usize {
        self.n_text_ctx
    }

    fn prefill(&mut self, tokens: &[u32], logits_at: &[usize]) -> Result<Vec<Vec<f32>>> {
        assert!(!tokens.is_empty() && tokens.len() <= self.n_text_ctx, "{} tokens", tokens.len());
        assert!(logits_at.is_sorted_by(|a, b| a < b), "positions {logits_at:?}");
        let mut state = self.seed;
        let mut states = Vec::new();
        for &token in tokens {
            state = feed(state, token);
            states.push(state);
        }
        self.rows = vec![(state, tokens.len())];
        let rows = logits_at.iter().map(|&at| {
            let mut row = vec![0.0; N_VOCAB];
            self.logits(states[at], &mut row);
            row
        });
        Ok(rows.collect())
    }

    fn rearrange(&mut self, source: &[usize]) -> Result<()> {
        self.rows = source.iter().map(|&row| self.rows[row]).collect();
        Ok(())
    }

    fn step(&mut self, tokens: &[u32], logits: &mut [f32]) -> Result<()> {
        assert_eq!((tokens.len(), logits.len()), (self.rows.len(), self.rows.len() * N_VOCAB));
        if self.cancel_at == Some(self.steps) {
            return Err(Error::new(ErrorKind::Cancelled, "stopped", "cancelled", ""));
        }
        self.steps += 1;
        for (index, &token) in tokens.iter().enumerate() {
            let (state, length) = self.rows[index];
            assert!(length < self.n_text_ctx, "no position left for the token {token}");
            self.rows[index] = (feed(state, token), length + 1);
            self.logits(self.rows[index].0, &mut logits[index * N_VOCAB..][..N_VOCAB]);
        }
        Ok(())
    }
}

/// The cases of a fixture file under `tests/data/decoding`.
pub(crate) fn cases(json: &str) -> Vec<serde_json::Value> {
    let file: serde_json::Value = serde_json::from_str(json).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// A list of token ids.
pub(crate) fn tokens(value: &serde_json::Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}
