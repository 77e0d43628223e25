//! What the figures of a machine suggest.

use super::limits::Limits;
use super::whisper::Whisper;
use crate::model::Precision;

/// Below this share of the threads' count, more threads help little.
const SCALES: f64 = 0.7;
/// A gain smaller than this is noise.
const GAIN: f64 = 1.1;
/// Tokens of a window of fluent speech.
const TOKENS: f64 = 90.0;

/// Seconds that a window of fluent speech takes, greedy.
fn window(whisper: &Whisper) -> f64 {
    whisper.window.as_secs_f64() + TOKENS * whisper.token.as_secs_f64()
}

/// Sentences, the weightiest first; none if all is well. `cores` is what the machine has.
#[allow(clippy::cast_precision_loss, reason = "threads are few")]
pub(super) fn advice(limits: &Limits, whispers: &[Whisper], cores: usize) -> Vec<String> {
    let mut sentences = Vec::new();
    if limits.threads < cores {
        sentences.push(format!("{} of {cores} cores are used: leave --threads away", limits.threads));
    }
    let scaling = limits.products[0].1 / limits.single_thread;
    if limits.threads > 1 && scaling < SCALES * limits.threads as f64 {
        sentences.push(format!(
            "{} threads are only {scaling:.1} times as fast as one: cores share their arithmetic, or something else runs; try --threads {}",
            limits.threads,
            limits.threads.div_ceil(2)
        ));
    }
    let auto = whispers.iter().find(|whisper| whisper.precision == Precision::Auto);
    let fastest = whispers.iter().min_by(|a, b| window(a).total_cmp(&window(b)));
    if let (Some(auto), Some(fastest)) = (auto, fastest)
        && window(auto) > GAIN * window(fastest)
    {
        sentences.push(format!(
            "--precision {} is {:.1} times as fast as auto here, and not token for token as OpenAI's",
            fastest.precision.name(),
            window(auto) / window(fastest)
        ));
    }
    if let Some(auto) = auto
        && auto.token_of_five.as_secs_f64() > GAIN * auto.token.as_secs_f64()
    {
        sentences.push(format!(
            "--beam-size None decodes a token in {:.1} ms, five beams in {:.1} ms",
            1e3 * auto.token.as_secs_f64(),
            1e3 * auto.token_of_five.as_secs_f64()
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(threads: usize, product: f64) -> Limits {
        Limits {
            level: "portable".into(),
            threads,
            products: [("f32", product), ("bf16", product), ("int8", product)],
            single_thread: 100.0,
            read: 10.0,
        }
    }

    fn whisper(precision: Precision, window: u64, token: u64, token_of_five: u64) -> Whisper {
        let ms = Duration::from_millis;
        Whisper {
            precision,
            load: ms(1),
            window: ms(window),
            token: ms(token),
            token_of_five: ms(token_of_five),
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_machine_that_is_well_used_gets_none() {
        let whispers = [whisper(Precision::Auto, 100, 2, 2), whisper(Precision::F32, 400, 4, 4)];
        assert_eq!(advice(&limits(2, 190.0), &whispers, 2), Vec::<String>::new());
    }

    #[test]
    fn each_figure_that_is_off_gets_its_sentence() {
        let whispers = [whisper(Precision::Auto, 400, 4, 8), whisper(Precision::Bf16, 200, 2, 8)];
        let sentences = advice(&limits(2, 110.0), &whispers, 4);
        for part in
            ["2 of 4 cores", "only 1.1 times", "--precision bf16 is 2.0 times", "five beams in 8.0 ms"]
        {
            assert!(sentences.iter().any(|sentence| sentence.contains(part)), "no `{part}` in {sentences:?}");
        }
    }

    #[test]
    fn without_a_model_only_the_limits_speak() {
        assert_eq!(advice(&limits(4, 390.0), &[], 4), Vec::<String>::new());
    }
}
