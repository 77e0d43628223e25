//! The filters against OpenAI's on random sequences, and the rules one by one.

#![allow(clippy::unwrap_used)]

use cpu_backend::Level;

use super::*;
use crate::decoding::TokenIds;
use crate::decoding::testing::{N_VOCAB, cases, hashed_logits, ids, tokens};

const TIMESTAMPS: std::ops::Range<u32> = 30..61;

fn stay(logits: &[f32]) -> Vec<u32> {
    (0..).zip(logits).filter(|(_, x)| **x > f32::NEG_INFINITY).map(|(id, _)| id).collect()
}

#[test]
fn masks_are_openais() {
    for case in cases(include_str!("../../../tests/data/decoding/filters.json")) {
        let seed: u64 = case["seed"].as_str().unwrap().parse().unwrap();
        let mut logits = vec![0.0; N_VOCAB];
        hashed_logits(seed, &mut logits);
        if case["lowered"].as_bool().unwrap() {
            logits[30..].iter_mut().for_each(|x| *x -= 6.0);
        }
        let max_initial = case["max_initial"].as_u64().map(|most| usize::try_from(most).unwrap());
        let filters: [&dyn LogitsFilter; 3] = [
            &SuppressBlank::new(&ids()),
            &SuppressTokens::new(vec![2, 4, 5, 20]),
            &TimestampRules::new(&ids(), max_initial, Level::detect()),
        ];
        for (filter, want) in filters.iter().zip(case["stay"].as_array().unwrap()) {
            let mut row = logits.clone();
            filter.apply(&mut row, &tokens(&case["sampled"]));
            let want = u64::from_str_radix(want.as_str().unwrap(), 16).unwrap();
            let want: Vec<u32> = (0..61).filter(|id| want >> id & 1 == 1).collect();
            assert_eq!(stay(&row), want, "{case}");
        }
    }
}

/// What may follow `sampled` when all tokens are equally likely but text outweighs the sum of timestamps.
fn after(sampled: &[u32], max_initial: Option<usize>) -> Vec<u32> {
    let mut logits = vec![0.0; N_VOCAB];
    logits[..30].fill(9.0);
    TimestampRules::new(&ids(), max_initial, Level::detect()).apply(&mut logits, sampled);
    stay(&logits)
}

#[test]
fn timestamps_come_in_pairs() {
    let text: Vec<u32> = (0..30).filter(|&id| id != 29).collect();
    let from = |first: u32| (first..61).collect::<Vec<u32>>();
    assert_eq!(after(&[], Some(5)), (30..36).collect::<Vec<_>>(), "first: a timestamp, not too late");
    assert_eq!(after(&[], None), from(30));
    assert_eq!(after(&[32], None), text, "one timestamp counts as a pair");
    assert_eq!(
        after(&[32, 7], None),
        [text.clone(), from(33)].concat(),
        "text goes on, or a later timestamp"
    );
    let end_or_next = [(19..29).collect(), from(40)].concat();
    assert_eq!(after(&[32, 7, 40], None), end_or_next, "the next segment may open where the last closed");
    assert_eq!(after(&[32, 7, 40, 40], None), text);
    assert_eq!(after(&[32, 7, 40, 40, 8], None), [text, from(41)].concat(), "no empty segment");
}

#[test]
fn timestamps_win_when_they_outweigh_text() {
    // 30 timestamps at 0 weigh ln 30 = 3.40: the sum counts, against the best single other token.
    for (text, wins) in [(3.39, true), (3.41, false)] {
        let mut logits = vec![0.0; N_VOCAB];
        logits[..30].fill(-9.0);
        logits[7] = text;
        TimestampRules::new(&ids(), None, Level::detect()).apply(&mut logits, &[30, 7]);
        assert_eq!(stay(&logits).first() == Some(&31), wins, "text at {text}");
    }
    assert_eq!(TIMESTAMPS.len() - 1, 30, "timestamps after <|0.00|>");
}

#[test]
fn minus_one_stands_for_non_speech() {
    let list = |asked: &[i64]| suppressed_tokens(asked, &ids(), N_VOCAB).unwrap();
    assert_eq!(list(&[]), None, "no list, no filter");
    assert_eq!(list(&[-1]).unwrap(), [4, 5, 20, 23, 24, 25, 26, 27]);
    assert_eq!(list(&[7, -1, 4]).unwrap(), [4, 5, 7, 20, 23, 24, 25, 26, 27]);
    assert_eq!(list(&[7]).unwrap(), [7, 20, 23, 24, 25, 26, 27], "languages stay possible");
    let without = TokenIds { no_speech: None, ..ids() };
    assert_eq!(suppressed_tokens(&[7], &without, N_VOCAB).unwrap().unwrap(), [7, 20, 23, 24, 25, 26]);
    for bad in [-2, 61, i64::MAX] {
        let error = suppressed_tokens(&[-1, bad], &ids(), N_VOCAB).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Usage, "{bad}");
    }
}

#[test]
fn small_rows_do_no_harm() {
    for n_vocab in [0, 1, 19, 30, 31] {
        let mut logits = vec![0.0; n_vocab];
        SuppressBlank::new(&ids()).apply(&mut logits, &[]);
        SuppressTokens::new(vec![99]).apply(&mut logits, &[]);
        TimestampRules::new(&ids(), Some(usize::MAX), Level::detect()).apply(&mut logits, &[7, 60]);
        TimestampRules::new(&ids(), Some(usize::MAX), Level::detect()).apply(&mut logits, &[]);
    }
}
