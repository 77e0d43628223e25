//! 100 files of scripted windows through OpenAI's `transcribe()` and through ours.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use serde_json::Value;
use whisper_encoder::CancelToken;

use super::script::{Call, Script, TimeWords, facts};
use crate::decoding::testing::{cases, tokens};
use crate::decoding::{DecodingOptions, DecodingResult};
use crate::pipeline::TranscribeOptions;
use crate::pipeline::sequential::transcribe_windows;
use crate::{Segment, Word};

/// Times pass through JSON, whose parser may be an ulp off; decisions in the cases are never that close.
const NEAR: f64 = 1e-9;

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().map(|n| usize::try_from(n).unwrap())
}

fn options(given: &Value) -> TranscribeOptions {
    let mut options = TranscribeOptions::default();
    for (name, value) in given.as_object().unwrap() {
        match name.as_str() {
            "temperature" => options.temperatures = serde_json::from_value(value.clone()).unwrap(),
            "compression_ratio_threshold" => options.compression_ratio_threshold = value.as_f64(),
            "logprob_threshold" => options.logprob_threshold = value.as_f64(),
            "no_speech_threshold" => options.no_speech_threshold = value.as_f64(),
            "condition_on_previous_text" => options.condition_on_previous_text = value.as_bool().unwrap(),
            "initial_prompt" => options.initial_prompt = value.as_str().map(Into::into),
            "carry_initial_prompt" => options.carry_initial_prompt = value.as_bool().unwrap(),
            "clip_timestamps" => options.clip_timestamps = serde_json::from_value(value.clone()).unwrap(),
            "word_timestamps" => options.word_timestamps = value.as_bool().unwrap(),
            "hallucination_silence_threshold" => options.hallucination_silence_threshold = value.as_f64(),
            "beam_size" => options.decoding.beam_size = number(value),
            "best_of" => options.decoding.best_of = number(value),
            "patience" => options.decoding.patience = value.as_f64(),
            other => panic!("unknown option {other}"),
        }
    }
    options
}

/// Checks what the loop asks for against the recorded call, and gives the recorded result.
fn replay(calls: &Value) -> (Call, Rc<RefCell<VecDeque<Value>>>) {
    let calls: Rc<RefCell<VecDeque<Value>>> = Rc::new(RefCell::new(calls.as_array().unwrap().clone().into()));
    let left = Rc::clone(&calls);
    let decode = move |seek: usize, frames: usize, options: &DecodingOptions| {
        let call = calls.borrow_mut().pop_front().expect("a decoding that OpenAI does not make");
        let weights: u64 = (1..).zip(&options.prompt).map(|(i, &token)| i * u64::from(token)).sum();
        let search =
            serde_json::json!([options.temperature, options.beam_size, options.patience, options.best_of]);
        assert_eq!(
            serde_json::json!([seek, frames]),
            serde_json::json!([call[0], call[1]]),
            "window: {call}"
        );
        assert_eq!(search, call[2], "temperature, beams, patience, best of: {call}");
        assert_eq!(serde_json::json!([options.prompt.len(), weights]), call[3], "prompt: {call}");
        DecodingResult {
            language: "en".into(),
            tokens: tokens(&call[4]),
            text: String::new(),
            avg_logprob: float(&call[5][0]),
            no_speech_prob: float(&call[5][1]),
            temperature: options.temperature,
            compression_ratio: float(&call[5][2]),
        }
    };
    (Box::new(decode), left)
}

fn replay_words(words: &Value) -> TimeWords {
    let mut calls: VecDeque<Value> = words.as_array().unwrap().clone().into();
    Box::new(move |segments: &mut [Segment], frames, last_speech: f64| {
        let call = calls.pop_front().expect("word times that OpenAI does not ask for");
        assert_eq!(Some(frames), number(&call[0]), "{call}");
        assert!((last_speech - float(&call[1])).abs() < NEAR, "got {last_speech}: {call}");
        let made = call[2].as_array().unwrap();
        assert_eq!(segments.len(), made.len(), "segments: {call}");
        for (segment, made) in segments.iter_mut().zip(made) {
            (segment.start, segment.end) = (float(&made[0]), float(&made[1]));
            let words = made[2].as_array().unwrap().iter().map(|word| Word {
                word: word[0].as_str().unwrap().into(),
                start: float(&word[1]),
                end: float(&word[2]),
                probability: float(&word[3]),
            });
            segment.words = Some(words.collect());
        }
    })
}

#[test]
fn files_are_openais() {
    for (index, case) in cases(include_str!("../../../tests/data/decoding/pipeline.json")).iter().enumerate()
    {
        let options = options(&case["options"]);
        let (decode, left) = replay(&case["calls"]);
        let mut script = Script::new(decode, replay_words(&case["words"]));
        let initial =
            if options.initial_prompt.is_some() { tokens(&case["initial_prompt"]) } else { Vec::new() };
        let facts = facts(number(&case["frames"]).unwrap(), initial);
        let got = transcribe_windows(&mut script, facts, &options, &CancelToken::new(), &mut |_| {}).unwrap();
        assert!(left.borrow().is_empty(), "case {index}: OpenAI decodes on: {:?}", left.borrow());
        let want = case["segments"].as_array().unwrap();
        assert_eq!(got.segments.len(), want.len(), "case {index}: {:?}", got.segments);
        for (id, (got, want)) in got.segments.iter().zip(want).enumerate() {
            let about = format!("case {index}: got {got:?}, want {want}");
            assert_eq!((got.id, Some(got.seek)), (id, number(&want[0])), "{about}");
            assert!((got.start - float(&want[1])).abs() < NEAR, "{about}");
            assert!((got.end - float(&want[2])).abs() < NEAR, "{about}");
            assert_eq!(Some(got.text.as_str()), want[3].as_str(), "{about}");
            assert_eq!(got.tokens, tokens(&want[4]), "{about}");
            assert!((got.temperature - float(&want[5])).abs() < NEAR, "{about}");
            assert_eq!(got.words.as_ref().map(Vec::len), number(&want[6]), "{about}");
        }
        assert_eq!(Some(got.text.as_str()), case["text"].as_str(), "case {index}");
    }
}
