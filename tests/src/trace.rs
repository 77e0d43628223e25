//! Where two token sequences part, and by how little: a tie of two candidates is no error of ours.

use std::fmt;

use transcribe::Result;
use transcribe::speech_model::SpeechModel;

use crate::compare::first_difference;
use crate::engine::logits_after;

/// Candidates closer than this in log-probability may be chosen either way by correct f32 implementations.
pub const TIE: f64 = 1e-4;

/// The first step at which two sequences part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parting {
    /// Number of the sampled token.
    pub step: usize,
    /// What we took; the end-of-text token at an end.
    pub got: u32,
    /// What the golden took.
    pub want: u32,
    /// Difference of the two tokens' log-probabilities in our logits; what filters leave of both does not change it.
    pub margin: f64,
    /// If one is a timestamp and the other not: |log-sum-exp of later timestamps − best other|, on which the rule
    /// "timestamps outweigh" turns (OpenAI decoding.py, `ApplyTimestampRules`).
    pub timestamp_margin: Option<f64>,
}

impl Parting {
    /// Whether the step was a tie.
    #[must_use]
    pub fn is_tie(&self) -> bool {
        self.margin < TIE || self.timestamp_margin.is_some_and(|margin| margin < TIE)
    }

    /// Judges the parting of two different sequences from our raw logits at that step.
    ///
    /// `got` and `want` are the tokens there; `before` are the tokens sampled before it.
    #[must_use]
    pub fn judge(logits: &[f32], before: &[u32], got: u32, want: u32, timestamp_begin: u32) -> Self {
        let logit = |token: u32| logits.get(token as usize).map_or(f64::NAN, |&value| f64::from(value));
        let begin = timestamp_begin as usize;
        let timestamp_margin =
            ((got >= timestamp_begin) != (want >= timestamp_begin) && begin < logits.len()).then(|| {
                let last = before.iter().rev().find(|&&token| token >= timestamp_begin);
                let from = last.map_or(begin, |&token| token as usize);
                let (text, stamps) = (&logits[..begin], &logits[from.min(logits.len())..]);
                let best = text.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                (log_sum_exp(stamps) - f64::from(best)).abs()
            });
        Self { step: before.len(), got, want, margin: (logit(got) - logit(want)).abs(), timestamp_margin }
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "part at step {}: got {}, want {}, {:.2e} apart in log-probability",
            self.step, self.got, self.want, self.margin
        )?;
        if let Some(margin) = self.timestamp_margin {
            write!(f, ", timestamps and text {margin:.2e} apart")?;
        }
        write!(f, " ({})", if self.is_tie() { "a tie" } else { "not a tie" })
    }
}

fn log_sum_exp(values: &[f32]) -> f64 {
    let most = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + values.iter().map(|&value| (f64::from(value) - most).exp()).sum::<f64>().ln()
}

/// Where `got` and `want` part after `initial`, by the model's own logits; `None` if they are equal.
///
/// # Errors
/// The decoder's.
pub fn parting<M: SpeechModel>(
    model: &M,
    audio: &M::Audio,
    initial: &[u32],
    got: &[u32],
    want: &[u32],
) -> Result<Option<Parting>> {
    let Some(step) = first_difference(got, want) else { return Ok(None) };
    let tokenizer = model.tokenizer();
    let at = |tokens: &[u32]| tokens.get(step).copied().unwrap_or(tokenizer.eot());
    let context = [initial, &want[..step]].concat();
    let logits = logits_after(model, audio, &context)?;
    let last = logits.last().map_or(&[][..], Vec::as_slice);
    Ok(Some(Parting::judge(last, &want[..step], at(got), at(want), tokenizer.timestamp_begin())))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Six tokens, timestamps from 4 on.
    const BEGIN: u32 = 4;

    #[test]
    fn near_candidates_are_a_tie_and_far_ones_are_not() {
        let judge = |a: f32| Parting::judge(&[0.0, 5.0, a, 0.0, 0.0, 0.0], &[0, 0], 1, 2, BEGIN);
        assert!(judge(4.999_95).is_tie() && judge(5.000_05).is_tie());
        assert!(!judge(4.99).is_tie());
        assert_eq!(judge(4.0).step, 2);
        assert!(judge(4.0).to_string().contains("not a tie"));
    }

    #[test]
    fn a_timestamp_against_text_may_tie_by_the_weight_of_all_timestamps() {
        // ln(e^3 + e^3) = 3.6931: as much as the best text token, though each timestamp has far less.
        let logits = [0.0, 3.0 + 2f32.ln(), 0.0, 0.0, 3.0, 3.0];
        assert!(Parting::judge(&logits, &[], 4, 1, BEGIN).is_tie());
        // After timestamp 5 only that one counts.
        assert!(!Parting::judge(&logits, &[5, 1], 5, 1, BEGIN).is_tie());
        // Two text tokens never tie by the timestamps' weight.
        assert!(!Parting::judge(&logits, &[], 1, 2, BEGIN).is_tie());
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_no_tie() {
        assert!(!Parting::judge(&[0.0; 6], &[], 1, 99, BEGIN).is_tie());
    }
}
