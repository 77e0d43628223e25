//! Temperature by temperature until a window passes (OpenAI transcribe.py, `decode_with_fallback`).

use super::TranscribeOptions;
use crate::decoding::{DecodingOptions, DecodingResult, seed_of_attempt};
use crate::{Error, ErrorKind, Result};

impl TranscribeOptions {
    /// The options of a window's attempt at `temperature`: beams and patience only at 0, best-of only above.
    pub(crate) fn at_temperature(&self, temperature: f64, prompt: Vec<u32>) -> DecodingOptions {
        let mut options = DecodingOptions { temperature, prompt, ..self.decoding.clone() };
        if temperature > 0.0 {
            options.beam_size = None;
            options.patience = None;
        } else {
            options.best_of = None;
        }
        options
    }

    /// Whether a result asks for the next temperature: too repetitive or too unlikely, unless it is silence.
    pub(crate) fn needs_fallback(&self, result: &DecodingResult) -> bool {
        let unlikely = self.logprob_threshold.is_some_and(|threshold| result.avg_logprob < threshold);
        let repetitive =
            self.compression_ratio_threshold.is_some_and(|threshold| result.compression_ratio > threshold);
        let no_speech = self.no_speech_threshold.is_some_and(|threshold| result.no_speech_prob > threshold);
        (repetitive || unlikely) && !(no_speech && unlikely)
    }

    /// Whether a window is passed over as silence.
    pub(crate) fn is_silence(&self, result: &DecodingResult) -> bool {
        let no_speech = self.no_speech_threshold.is_some_and(|threshold| result.no_speech_prob > threshold);
        let likely = self.logprob_threshold.is_some_and(|threshold| result.avg_logprob > threshold);
        no_speech && !likely
    }

    /// Refuses what no window can be decoded with, before the first one is encoded.
    pub(crate) fn verify(&self) -> Result<()> {
        if self.temperatures.is_empty() {
            let (why, hint) = ("there is no temperature to decode at", "give at least one, for example 0");
            return Err(Error::new(ErrorKind::Usage, "cannot transcribe with these options", why, hint));
        }
        self.temperatures.iter().try_for_each(|&t| self.at_temperature(t, Vec::new()).verify())
    }
}

/// Decodes at each temperature in turn; the last result stands if none passes.
pub(crate) fn decode_with_fallback(
    options: &TranscribeOptions,
    seek: usize,
    prompt: &[u32],
    mut decode: impl FnMut(&DecodingOptions) -> Result<DecodingResult>,
) -> Result<DecodingResult> {
    let mut result = DecodingResult::default();
    for (attempt, &temperature) in options.temperatures.iter().enumerate() {
        let mut window = options.at_temperature(temperature, prompt.to_vec());
        window.seed = seed_of_attempt(options.decoding.seed, seek, attempt);
        result = decode(&window)?;
        if !options.needs_fallback(&result) {
            break;
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn result(compression_ratio: f64, avg_logprob: f64, no_speech_prob: f64) -> DecodingResult {
        DecodingResult { compression_ratio, avg_logprob, no_speech_prob, ..Default::default() }
    }

    #[test]
    fn thresholds_decide() {
        let options = TranscribeOptions::default();
        // (compression ratio, log-probability, no speech), falls back, is silence
        for (given, fallback, silence) in [
            ((1.0, -0.5, 0.1), false, false),
            ((2.5, -0.5, 0.1), true, false),
            ((2.4, -1.0, 0.6), false, false),
            ((1.0, -1.1, 0.1), true, false),
            ((1.0, -1.1, 0.7), false, true),
            ((2.5, -1.1, 0.7), false, true),
            ((2.5, -0.5, 0.7), true, false),
            ((1.0, -0.5, 0.7), false, false),
            ((1.0, -1.0, 0.7), false, true),
            ((1.0, -1.1, f64::NAN), true, false),
        ] {
            let result = result(given.0, given.1, given.2);
            assert_eq!(options.needs_fallback(&result), fallback, "{given:?}");
            assert_eq!(options.is_silence(&result), silence, "{given:?}");
        }
        let no_logprob = TranscribeOptions { logprob_threshold: None, ..options.clone() };
        assert!(no_logprob.is_silence(&result(1.0, -0.1, 0.7)), "nothing speaks against silence");
        assert!(!no_logprob.needs_fallback(&result(1.0, -9.0, 0.7)));
        let no_speech = TranscribeOptions { no_speech_threshold: None, ..options };
        assert!(
            no_speech.needs_fallback(&result(1.0, -9.0, 0.9))
                && !no_speech.is_silence(&result(1.0, -9.0, 0.9))
        );
    }

    #[test]
    fn search_follows_the_temperature() {
        let mut options = TranscribeOptions::default();
        options.decoding.beam_size = Some(5);
        options.decoding.patience = Some(2.0);
        options.decoding.best_of = Some(3);
        let mut seen = Vec::new();
        let last = decode_with_fallback(&options, 0, &[7], |window| {
            assert!(window.verify().is_ok());
            seen.push((window.temperature, window.beam_size, window.patience, window.best_of, window.seed));
            Ok(DecodingResult { temperature: window.temperature, ..result(9.0, -0.1, 0.0) })
        });
        assert_eq!(last.unwrap().temperature, 1.0, "the last stands");
        assert_eq!((seen.len(), seen[0].1, seen[0].2, seen[0].3), (6, Some(5), Some(2.0), None));
        assert!(seen[1..].iter().all(|s| (s.1, s.2, s.3) == (None, None, Some(3))), "{seen:?}");
        assert!(seen.windows(2).all(|two| two[0].4 != two[1].4), "each attempt draws anew");
    }

    #[test]
    fn no_temperature_is_an_error() {
        let options = TranscribeOptions { temperatures: Vec::new(), ..Default::default() };
        assert_eq!(options.verify().unwrap_err().kind(), ErrorKind::Usage);
    }
}
