//! The pieces against OpenAI's timing.py (`tests/data/timing/generate.py`), and odd shapes.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use serde::Deserialize;

use super::attention::{matrix, median_filter};
use super::{WordTiming, dtw, merge_punctuations, numpy};
use crate::speech_model::Alignment;

#[derive(Deserialize)]
#[allow(clippy::type_complexity, reason = "as the JSON is")]
struct Pieces {
    dtw: Vec<(Vec<Vec<String>>, Vec<(isize, isize)>)>,
    median_filter: Vec<(Vec<String>, Vec<String>)>,
    merge_punctuations: Vec<(Vec<String>, Vec<(String, Vec<u32>)>)>,
    mean_and_median: Vec<(Vec<String>, String, String)>,
    round2: Vec<(String, String)>,
}

fn pieces() -> Pieces {
    serde_json::from_str(include_str!("../../tests/data/timing/expected-pieces.json")).unwrap()
}

fn numbers(texts: &[String]) -> Vec<f64> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn paths_equal_openai_on_ties_and_holes() {
    for (rows, want) in pieces().dtw {
        let costs: Vec<Vec<f64>> = rows.iter().map(|row| numbers(row)).collect();
        let columns = costs.first().map_or(0, Vec::len);
        let got = dtw::path(|i, j| costs[i][j], costs.len(), columns);
        assert_eq!(got, want, "{costs:?}");
    }
}

#[test]
fn median_filter_equals_openai() {
    for (row, want) in pieces().median_filter {
        let row: Vec<f32> = numbers(&row).into_iter().map(|x| x as f32).collect();
        let got: Vec<String> = median_filter(&row).iter().map(|x| format!("{x:?}").to_lowercase()).collect();
        assert_eq!(got, want, "{row:?}");
    }
}

#[test]
fn punctuation_merges_as_openai() {
    for (words, want) in pieces().merge_punctuations {
        let timing = |(token, word): (u32, &String)| WordTiming {
            word: word.clone(),
            tokens: vec![token],
            start: 0.0,
            end: 0.0,
            probability: 0.0,
        };
        let mut alignment: Vec<WordTiming> = (0..).zip(&words).map(timing).collect();
        merge_punctuations(&mut alignment, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、");
        let got: Vec<_> = alignment.into_iter().map(|word| (word.word, word.tokens)).collect();
        assert_eq!(got, want, "{words:?}");
    }
}

#[test]
fn numbers_equal_numpy_to_the_last_digit() {
    for (values, mean, median) in pieces().mean_and_median {
        let values = numbers(&values);
        assert_eq!(format!("{:?}", numpy::mean(&values)), mean, "{} values", values.len());
        assert_eq!(format!("{:?}", numpy::median(values)), median);
    }
    for (value, want) in pieces().round2 {
        assert_eq!(numpy::round2(value.parse().unwrap()), want.parse::<f64>().unwrap(), "{value}");
    }
    assert_eq!((numpy::mean(&[]), numpy::median(vec![])), (0.0, 0.0));
}

#[test]
fn a_matrix_has_the_rows_between_the_sot_sequence_and_the_end() {
    // 1 head, 4 tokens, 5 positions of which 4 are audio; worked out by hand: a softmax over equal scores is 1/4, and
    // over (0, 0, ln 3, 0) it is 1/6, 1/6, 1/2, 1/6.
    let ln3 = 3.0_f32.ln();
    let mut qk = vec![0.0; 20];
    qk[7] = ln3;
    let alignment = Alignment { heads: 1, tokens: 4, frames: 5, qk, token_probs: vec![] };
    let got = matrix(&alignment, 1, 4);
    assert_eq!((got.rows, got.frames, got.data.len()), (2, 4, 8));
    // Three tokens of 1/4 and one of 1/2 in column 2: mean 5/16, deviation √3/16; the odd one stands √3 above, the
    // others 1/√3 below. In the other columns the signs turn round. Mirrored to (3 2 1 | 0 1 2 3 | 2 1 0), each window
    // of seven has 1, 2 or 3 times column 2, so that its median is another column's.
    for (column, value) in got.data.iter().enumerate() {
        let want = if column < 4 { -(3.0_f32.sqrt()) } else { 1.0 / 3.0_f32.sqrt() };
        // Rounding of 1/6 in f32 against a deviation of about 0.036: 1e-8 / 0.036.
        assert!((value - want).abs() < 1e-5, "column {column}: got {value}, want {want}");
    }
}

#[test]
fn no_frames_give_an_empty_matrix() {
    let alignment = Alignment { heads: 2, tokens: 5, frames: 3, qk: vec![0.0; 30], token_probs: vec![] };
    let got = matrix(&alignment, 2, 0);
    assert_eq!((got.rows, got.frames, got.data.len()), (2, 0, 0));
}
