//! The loop over one window's tokens (OpenAI decoding.py, `_main_loop` and `run`), in token ids alone.

use cpu_backend::Level;

use super::filters::{LogitsFilter, SuppressBlank, SuppressTokens, TimestampRules, suppressed_tokens};
use super::{
    BeamSearch, DecodingOptions, Greedy, Hypotheses, Inference, InitialTokens, Likely, Search, TokenIds,
    most_likely,
};
use super::{hypotheses::no_distribution, logits};
use crate::{Error, ErrorKind, Result};

/// The ids of a vocabulary and the length of a timestamp step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Special tokens.
    pub ids: TokenIds,
    /// Encoder positions of 30 s: 1500, so that a timestamp step is 20 ms.
    pub n_audio_ctx: usize,
}

/// What sampling a window gave, before it is text.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Sampled tokens without the end of text.
    pub tokens: Vec<u32>,
    /// Sum of log-probabilities over `tokens.len() + 1`.
    pub avg_logprob: f64,
    /// Probability of the no-speech token at the SOT position, from raw logits; NaN if the vocabulary has none.
    pub no_speech_prob: f64,
}

/// Samples one window after `sot_sequence` (`[sot]` or `[sot, language, task]`).
///
/// # Errors
/// [`ErrorKind::Usage`] on options that contradict each other or the decoder's size, [`ErrorKind::Model`] if the
/// vocabulary does not fit the decoder, [`ErrorKind::Internal`] on logits that are not numbers; those of `inference`.
pub fn sample_window<I: Inference + ?Sized>(
    inference: &mut I,
    vocabulary: &Vocabulary,
    sot_sequence: &[u32],
    options: &DecodingOptions,
) -> Result<Sampled> {
    options.verify()?;
    let ids = &vocabulary.ids;
    let (n_vocab, n_text_ctx) = (inference.n_vocab(), inference.n_text_ctx());
    check_sizes(ids, n_vocab, options)?;
    let initial = InitialTokens::new(options, ids, sot_sequence, n_text_ctx)?;
    let level = inference.level();
    let never = suppressed_tokens(&options.suppress_tokens, ids, n_vocab)?;
    let filters = filters(vocabulary, options, never.clone(), level);
    // Who draws or searches wants all of the distribution.
    let takes_best = options.temperature == 0.0 && options.beam_size.is_none();
    let likely = Likely { text: ids.eot as usize, never: never.as_deref().unwrap_or_default() };
    let mut search = search(options, ids.eot, level);

    let mut hypotheses = Hypotheses::new(search.initial_rows());
    let (first, no_speech_prob) = first_logits(inference, &initial, ids)?;
    let mut logits = first.repeat(hypotheses.rows());
    if hypotheses.rows() > 1 {
        inference.rearrange(&vec![0; hypotheses.rows()])?;
    }
    let mut last_tokens = Vec::new();
    for i in 1..=options.sample_len(n_text_ctx) {
        for (row, sampled) in logits.chunks_exact_mut(n_vocab).zip(&hypotheses.tokens) {
            filters.iter().for_each(|filter| filter.apply(row, sampled));
        }
        let completed = search.update(&mut hypotheses, &logits)?;
        // The token that passes the last position is kept, though it could not be fed (OpenAI tests after adding).
        if completed || initial.tokens.len() + i > n_text_ctx || i == options.sample_len(n_text_ctx) {
            break;
        }
        if let Some(sources) = search.sources() {
            inference.rearrange(sources)?;
        }
        last_tokens.clear();
        last_tokens.extend(hypotheses.tokens.iter().filter_map(|row| row.last()));
        logits.resize(hypotheses.rows() * n_vocab, 0.0);
        match last_tokens[..] {
            [token] if takes_best => inference.step_likely(token, likely, &mut logits)?,
            _ => inference.step(&last_tokens, &mut logits)?,
        }
    }

    let mut candidates = search.finalize(hypotheses);
    let best = most_likely(&candidates, options.length_penalty).ok_or_else(no_distribution)?;
    let best = candidates.swap_remove(best);
    #[allow(clippy::cast_precision_loss)]
    let avg_logprob = best.sum_logprob / (best.tokens.len() + 1) as f64;
    Ok(Sampled { tokens: best.tokens, avg_logprob, no_speech_prob })
}

/// The logits after the initial tokens, and the no-speech probability: at the SOT position, before any filter.
fn first_logits<I: Inference + ?Sized>(
    inference: &mut I,
    initial: &InitialTokens,
    ids: &TokenIds,
) -> Result<(Vec<f32>, f64)> {
    let last = initial.tokens.len() - 1;
    let at = if initial.sot_index == last { vec![last] } else { vec![initial.sot_index, last] };
    let mut rows = inference.prefill(&initial.tokens, &at)?;
    let no_speech_prob = match (ids.no_speech, rows.first()) {
        (Some(token), Some(row)) => logits::probability(inference.level(), row, token as usize),
        _ => f64::NAN,
    };
    Ok((rows.pop().ok_or_else(no_distribution)?, no_speech_prob))
}

fn check_sizes(ids: &TokenIds, n_vocab: usize, options: &DecodingOptions) -> Result<()> {
    let specials = [ids.eot, ids.sot, ids.no_timestamps, ids.timestamp_begin, ids.no_speech.unwrap_or(0)];
    if let Some(token) = specials.into_iter().find(|&token| token as usize >= n_vocab) {
        return Err(Error::new(
            ErrorKind::Model,
            "cannot decode with this model",
            format!("its tokenizer has the token {token}, its decoder only {n_vocab} tokens"),
            "tokenizer.json and the weights must come from the same checkpoint; download the model again",
        ));
    }
    if options.beam_size.is_some_and(|beams| beams >= n_vocab) {
        let why = format!("the vocabulary has only {n_vocab} tokens");
        return Err(Error::new(
            ErrorKind::Usage,
            "cannot search with so many beams",
            why,
            "give fewer beams",
        ));
    }
    Ok(())
}

/// The filters in OpenAI's order: blank, tokens, timestamps.
fn filters(
    vocabulary: &Vocabulary,
    options: &DecodingOptions,
    never: Option<Vec<u32>>,
    level: Level,
) -> Vec<Box<dyn LogitsFilter>> {
    let ids = &vocabulary.ids;
    let mut filters: Vec<Box<dyn LogitsFilter>> = Vec::new();
    if options.suppress_blank {
        filters.push(Box::new(SuppressBlank::new(ids)));
    }
    if let Some(tokens) = never {
        filters.push(Box::new(SuppressTokens::new(tokens)));
    }
    if !options.without_timestamps {
        let most = options.max_initial_timestamp_index(vocabulary.n_audio_ctx);
        filters.push(Box::new(TimestampRules::new(ids, most, level)));
    }
    filters
}

/// Beam search if beams are asked for (at any temperature, as OpenAI), else independent rows.
fn search(options: &DecodingOptions, eot: u32, level: Level) -> Box<dyn Search> {
    match options.beam_size {
        Some(beams) => Box::new(BeamSearch::new(beams, options.max_candidates(beams), eot, level)),
        None => {
            let rows = options.best_of.filter(|&n| n > 0).unwrap_or(1);
            Box::new(Greedy::new(options.temperature, rows, eot, options.seed, level))
        }
    }
}
