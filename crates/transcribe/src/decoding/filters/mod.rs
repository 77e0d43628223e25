//! What may not be sampled: pure functions on one row of logits, applied in OpenAI's order.

mod suppress;
#[cfg(test)]
mod tests;
mod timestamps;

pub use suppress::{SuppressBlank, SuppressTokens, suppressed_tokens};
pub use timestamps::TimestampRules;

/// A rule on the logits of one hypothesis.
pub trait LogitsFilter: Send + Sync {
    /// Sets to −∞ what may not follow `sampled` in `logits` `[n_vocab]`.
    ///
    /// `sampled` are the tokens since the initial ones: empty at the first step.
    fn apply(&self, logits: &mut [f32], sampled: &[u32]);
}

/// Sets every id of `ids` to −∞; ids beyond the row are passed over.
fn mask(logits: &mut [f32], ids: &[u32]) {
    for &id in ids {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}
