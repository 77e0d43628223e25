//! Whole windows against OpenAI's `DecodingTask.run` on hashed logits, and the edges of the loop.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use cpu_backend::Level;
use serde_json::Value;

use super::testing::{HashedInference, N_VOCAB, cases, ids, tokens};
use super::*;
use crate::ErrorKind;

const SOT_SEQUENCE: [u32; 3] = [20, 21, 24];

fn vocabulary() -> Vocabulary {
    Vocabulary { ids: ids(), n_audio_ctx: 1500 }
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().map(|n| usize::try_from(n).unwrap())
}

fn options(case: &Value) -> DecodingOptions {
    let mut options =
        DecodingOptions { seed: case["draws"].as_str().unwrap().parse().unwrap(), ..Default::default() };
    for (name, value) in case["options"].as_object().unwrap() {
        match name.as_str() {
            "beam_size" => options.beam_size = number(value),
            "best_of" => options.best_of = number(value),
            "sample_len" => options.sample_len = number(value),
            "patience" => options.patience = value.as_f64(),
            "temperature" => options.temperature = value.as_f64().unwrap(),
            "length_penalty" => options.length_penalty = value.as_f64(),
            "max_initial_timestamp" => options.max_initial_timestamp = value.as_f64(),
            "suppress_tokens" => options.suppress_tokens = serde_json::from_value(value.clone()).unwrap(),
            "suppress_blank" => options.suppress_blank = value.as_bool().unwrap(),
            "without_timestamps" => options.without_timestamps = value.as_bool().unwrap(),
            "prompt" => options.prompt = tokens(value),
            "prefix" => options.prefix = tokens(value),
            other => panic!("unknown option {other}"),
        }
    }
    options
}

#[test]
fn windows_are_openais() {
    for case in cases(include_str!("../../tests/data/decoding/search.json")) {
        let seed = case["seed"].as_str().unwrap().parse().unwrap();
        let mut inference = HashedInference::new(seed, case["eot_bias"].as_f64().unwrap() as f32);
        let got = sample_window(&mut inference, &vocabulary(), &SOT_SEQUENCE, &options(&case)).unwrap();
        assert_eq!(got.tokens, tokens(&case["tokens"]), "{case}");
        let (want, no_speech) =
            (case["avg_logprob"].as_f64().unwrap(), case["no_speech_prob"].as_f64().unwrap());
        // The sum of up to 30 f32 log-probabilities of at most 16: half an ulp (2⁻²⁰) each, on both sides.
        assert!((got.avg_logprob - want).abs() < 3e-5, "got {}, want {want}: {case}", got.avg_logprob);
        assert!((got.no_speech_prob - no_speech).abs() < 1e-6, "got {}: {case}", got.no_speech_prob);
    }
}

#[test]
fn compression_ratios_are_zlibs() {
    for row in cases(include_str!("../../tests/data/decoding/compression.json")) {
        let (text, bytes) = (row[0].as_str().unwrap(), row[1].as_f64().unwrap());
        let (got, want) = (compression_ratio(text), text.len() as f64 / bytes);
        assert!((got - want).abs() < 1e-12, "got {got}, want {want} ({bytes} bytes of zlib): {text}");
    }
    // flate2 with miniz_oxide gives 2.29, which would be no reason to decode again.
    let loop_of_eight = ["Thank you."; 8].join(" ");
    assert!((compression_ratio(&loop_of_eight) - 87.0 / 22.0).abs() < 1e-12);
    assert_eq!(compression_ratio(""), 0.0);
}

#[test]
fn long_texts_are_compressed_too() {
    // 20 kB of one phrase: any deflate does better than 1 : 100, none than its limit of 1 : 1032.
    let ratio = compression_ratio(&"Thank you. ".repeat(2000));
    assert!((100.0..1032.0).contains(&ratio), "{ratio}");
}

#[test]
fn the_decoder_is_never_fed_past_its_positions() {
    // HashedInference panics if it is. 3 + 45 positions, then one token that cannot be fed: 46 sampled.
    for beam_size in [None, Some(3)] {
        let options = DecodingOptions { sample_len: Some(100), beam_size, ..Default::default() };
        let mut inference = HashedInference::new(4, -50.0);
        let got = sample_window(&mut inference, &vocabulary(), &SOT_SEQUENCE, &options).unwrap();
        assert_eq!(got.tokens.len(), 46, "beams {beam_size:?}");
    }
}

#[test]
fn an_error_of_the_decoder_ends_the_window() {
    let mut inference = HashedInference::new(4, -50.0);
    inference.cancel_at = Some(5);
    let options = DecodingOptions::default();
    let error = sample_window(&mut inference, &vocabulary(), &SOT_SEQUENCE, &options).unwrap_err();
    assert_eq!((error.kind(), inference.steps), (ErrorKind::Cancelled, 5));
}

#[test]
fn nothing_to_choose_from_is_an_error() {
    let everything: Vec<i64> = (0..61).collect();
    let options =
        DecodingOptions { suppress_tokens: everything, without_timestamps: true, ..Default::default() };
    for options in [options.clone(), DecodingOptions { beam_size: Some(2), ..options }] {
        let mut inference = HashedInference::new(4, 0.0);
        let error = sample_window(&mut inference, &vocabulary(), &SOT_SEQUENCE, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let mut inference = HashedInference::new(4, 0.0);
    let mut other = vocabulary();
    other.ids.timestamp_begin = 61;
    let plain = DecodingOptions::default();
    let error = sample_window(&mut inference, &other, &SOT_SEQUENCE, &plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    let wide = DecodingOptions { beam_size: Some(N_VOCAB), ..plain };
    let error = sample_window(&mut inference, &vocabulary(), &SOT_SEQUENCE, &wide).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn equal_rows_count_once_and_ties_keep_their_order() {
    // Two equal rows: their extensions are the same sequences, of which the last row's score stands.
    let mut search = BeamSearch::new(2, 2, 19, Level::detect());
    let mut rows = Hypotheses { tokens: vec![vec![1], vec![1]], sums: vec![-1.0, -2.0] };
    let logits = [0.0, 0.0, 0.0, -9.0].repeat(2);
    assert!(!search.update(&mut rows, &logits).unwrap());
    assert_eq!(rows.tokens, [[1, 0], [1, 1]], "ties in order of the token");
    assert_eq!(search.sources(), Some(&[1, 1][..]));
    assert!((rows.sums[0] - (-2.0 - 3f32.ln())).abs() < 1e-4, "{:?}", rows.sums);
}

#[test]
fn the_pool_takes_no_more_than_it_holds() {
    // Both rows end at once; the pool has room for one, the likelier.
    let mut search = BeamSearch::new(2, 1, 3, Level::detect());
    let mut rows = Hypotheses { tokens: vec![vec![1], vec![2]], sums: vec![-2.0, -1.0] };
    let logits = [0.0, -9.0, -9.0, 8.0].repeat(2);
    assert!(search.update(&mut rows, &logits).unwrap(), "a full pool ends the search");
    let ended: Vec<Vec<u32>> = search.finalize(rows).into_iter().map(|candidate| candidate.tokens).collect();
    assert_eq!(ended, [vec![2], vec![2, 0]], "the pool's one, then the best that has not ended");
}
