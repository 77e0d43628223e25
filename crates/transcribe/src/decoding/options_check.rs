//! Which options contradict each other (OpenAI decoding.py, `_verify_options`), and the numbers they stand for.

use super::DecodingOptions;
use crate::{Error, ErrorKind, Result};

/// Most rows of one search. OpenAI has no limit; 1024 rows of logits take 212 MB.
const MAX_ROWS: usize = 1024;

impl DecodingOptions {
    /// Refuses what cannot be done.
    ///
    /// OpenAI's rules, and beyond them: temperatures that are negative or not finite, and more than 1024 rows.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`], naming the options.
    pub fn verify(&self) -> Result<()> {
        let refuse = |why: String, hint: &str| {
            Err(Error::new(ErrorKind::Usage, "cannot decode with these options", why, hint))
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return refuse(format!("the temperature is {}", self.temperature), "give 0 or a positive number");
        }
        if self.beam_size.is_some() && self.best_of.is_some() {
            let hint = "give one of them: beams search at temperature 0, best-of samples above it";
            return refuse("beam_size and best_of are given together".into(), hint);
        }
        if self.temperature == 0.0 && self.best_of.is_some() {
            let why = "best_of needs samples, and temperature 0 takes the most likely token";
            return refuse(why.into(), "leave best_of out or raise the temperature");
        }
        if let Some(patience) = self.patience {
            let Some(beam_size) = self.beam_size else {
                return refuse("patience is given without beam_size".into(), "give beam_size too");
            };
            if !patience.is_finite() || (beam_size > 0 && self.max_candidates(beam_size) == 0) {
                let why = format!("patience {patience} with {beam_size} beams asks for no finished sequence");
                return refuse(why, "give a patience of about 1");
            }
        }
        if self.beam_size == Some(0) {
            return refuse("beam_size is 0".into(), "give at least 1");
        }
        if let Some(alpha) = self.length_penalty.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return refuse(format!("the length penalty is {alpha}"), "give a number between 0 and 1");
        }
        if let Some(rows) = [self.beam_size, self.best_of].into_iter().flatten().find(|&n| n > MAX_ROWS) {
            return refuse(format!("{rows} hypotheses are too many"), "give at most 1024");
        }
        if self.max_initial_timestamp.is_some_and(|seconds| !seconds.is_finite() || seconds < 0.0) {
            return refuse("max_initial_timestamp is not a time".into(), "give seconds, 0 or more");
        }
        Ok(())
    }

    /// Most tokens to sample: OpenAI reads 0 as "not given", half of the decoder's positions.
    pub(crate) fn sample_len(&self, n_text_ctx: usize) -> usize {
        self.sample_len.filter(|&length| length > 0).unwrap_or(n_text_ctx / 2)
    }

    /// Finished sequences that end a beam search: `round(beam_size × patience)`, halves to even as Python rounds.
    /// A patience of 0 is "not given".
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn max_candidates(&self, beam_size: usize) -> usize {
        let patience = self.patience.filter(|&patience| patience != 0.0).unwrap_or(1.0);
        (beam_size as f64 * patience).round_ties_even() as usize
    }

    /// Latest first timestamp in steps of `30 s / n_audio_ctx` (20 ms); `None` for no limit, which 0.0 means too:
    /// OpenAI tests the option for truth.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn max_initial_timestamp_index(&self, n_audio_ctx: usize) -> Option<usize> {
        let precision = 30.0 / n_audio_ctx as f64;
        let seconds = self.max_initial_timestamp.filter(|&seconds| seconds != 0.0)?;
        Some((seconds / precision).round_ties_even() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_refused() {
        let plain = DecodingOptions::default;
        let bad = [
            DecodingOptions { beam_size: Some(5), best_of: Some(5), temperature: 1.0, ..plain() },
            DecodingOptions { best_of: Some(5), ..plain() },
            DecodingOptions { patience: Some(1.0), ..plain() },
            DecodingOptions { patience: Some(-1.0), beam_size: Some(5), ..plain() },
            DecodingOptions { patience: Some(0.05), beam_size: Some(5), ..plain() },
            DecodingOptions { patience: Some(f64::INFINITY), beam_size: Some(5), ..plain() },
            DecodingOptions { length_penalty: Some(1.1), ..plain() },
            DecodingOptions { length_penalty: Some(f64::NAN), ..plain() },
            DecodingOptions { beam_size: Some(0), ..plain() },
            DecodingOptions { beam_size: Some(1025), ..plain() },
            DecodingOptions { temperature: -0.2, ..plain() },
            DecodingOptions { temperature: f64::NAN, ..plain() },
            DecodingOptions { max_initial_timestamp: Some(f64::NAN), ..plain() },
        ];
        for options in bad {
            let kind = options.verify().map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Usage), "{options:?}");
        }
        let good = [
            plain(),
            DecodingOptions { beam_size: Some(5), patience: Some(2.0), length_penalty: Some(1.0), ..plain() },
            DecodingOptions { best_of: Some(5), temperature: 0.2, ..plain() },
            DecodingOptions { patience: Some(0.0), beam_size: Some(5), ..plain() },
        ];
        for options in good {
            assert!(options.verify().is_ok(), "{options:?}");
        }
    }

    #[test]
    fn numbers_round_as_python_rounds() {
        // (beams, patience, Python's round(beams * patience))
        for (beams, patience, want) in [(5, 0.5, 2), (5, 0.7, 4), (3, 1.5, 4), (5, 1.0, 5), (5, 0.0, 5)] {
            let options = DecodingOptions { patience: Some(patience), ..Default::default() };
            assert_eq!(options.max_candidates(beams), want, "{beams} × {patience}");
        }
        for (seconds, want) in
            [(Some(1.0), Some(50)), (Some(0.0), None), (None, None), (Some(0.49), Some(24))]
        {
            let options = DecodingOptions { max_initial_timestamp: seconds, ..Default::default() };
            assert_eq!(options.max_initial_timestamp_index(1500), want, "{seconds:?}");
        }
        let options = DecodingOptions { sample_len: Some(0), ..Default::default() };
        assert_eq!(options.sample_len(448), 224);
    }
}
