//! OpenAI's `ApplyTimestampRules`: timestamps come in pairs, never go back, and win when they outweigh text.

use cpu_backend::Level;

use super::{LogitsFilter, mask};
use crate::decoding::{TokenIds, logits as row};

/// The grammar of timestamps (OpenAI decoding.py, `ApplyTimestampRules`).
#[derive(Clone, Debug)]
pub struct TimestampRules {
    eot: usize,
    no_timestamps: u32,
    begin: usize,
    /// Latest first timestamp, in steps of 20 ms.
    max_initial: Option<usize>,
    level: Level,
}

impl TimestampRules {
    /// Rules over `ids`; the first timestamp may be at most `max_initial` steps of 20 ms.
    #[must_use]
    pub fn new(ids: &TokenIds, max_initial: Option<usize>, level: Level) -> Self {
        Self {
            eot: ids.eot as usize,
            no_timestamps: ids.no_timestamps,
            begin: ids.timestamp_begin as usize,
            max_initial,
            level,
        }
    }

    fn is_timestamp(&self, token: u32) -> bool {
        token as usize >= self.begin
    }
}

impl LogitsFilter for TimestampRules {
    fn apply(&self, logits: &mut [f32], sampled: &[u32]) {
        let never = f32::NEG_INFINITY;
        let n_vocab = logits.len();
        let begin = self.begin.min(n_vocab);
        // `without_timestamps` decides on it before anything is sampled.
        mask(logits, &[self.no_timestamps]);

        let last_is_timestamp = sampled.last().is_some_and(|&token| self.is_timestamp(token));
        // With fewer than two tokens OpenAI counts the missing one as a timestamp.
        let penultimate_is_timestamp = sampled.len() < 2 || self.is_timestamp(sampled[sampled.len() - 2]);
        if last_is_timestamp {
            if penultimate_is_timestamp {
                logits[begin..].fill(never); // a pair is complete: text, or the end
            } else {
                logits[..self.eot.min(n_vocab)].fill(never); // a segment has closed: the next opens, or the end
            }
        }
        if let Some(&last) = sampled.iter().rev().find(|&&token| self.is_timestamp(token)) {
            // Only the timestamp that opens a segment may equal the one that closed the last; all others must be
            // later, so that no segment is empty.
            let opens = last_is_timestamp && !penultimate_is_timestamp;
            let earliest = last as usize + usize::from(!opens);
            logits[begin..earliest.min(n_vocab)].fill(never);
        }
        if sampled.is_empty() {
            logits[..begin].fill(never);
            if let Some(most) = self.max_initial {
                let beyond = begin.saturating_add(most).saturating_add(1);
                logits[beyond.min(n_vocab)..].fill(never);
            }
        }
        // Comparing logits is comparing log-probabilities: both sides lack the same normaliser.
        let (text, timestamps) = logits.split_at_mut(begin);
        if row::log_sum_exp(self.level, timestamps) > row::max(self.level, text) {
            text.fill(never);
        }
    }
}
