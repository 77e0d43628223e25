//! Steps that ask for the likeliest token, on real speech and the bundled model, against steps that ask for all logits.

#![allow(clippy::unwrap_used, reason = "tests")]

use transcribe::audio::load_file;
use transcribe::decoding::Likely;
use transcribe::mel::{N_SAMPLES, log_mel, pad_or_trim};
use transcribe::model::{Device, LevelKind, OpenOptions, Precision};
use transcribe::speech_model::SpeechModel;
use whisper_encoder::CancelToken;
use workspace_tests::engine::{Model, load_model_with};
use workspace_tests::golden::repository;

const TOKENS: usize = 25;

fn argmax(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

fn log_sum(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln()
}

/// Decodes the sample greedily, asking both ways for every token; how many logits differed, and at which level.
fn compare(model: &Model, sample: &str) -> (usize, LevelKind) {
    let path = repository().join("samples").join(sample);
    let samples = load_file(&path, None).unwrap().samples.as_slice().to_vec();
    let mel = log_mel(&pad_or_trim(&samples, N_SAMPLES), 0, model.config().n_mels).unwrap();
    let cancel = CancelToken::new();
    let audio = model.encode(&mel, &cancel).unwrap();
    let tokenizer = model.tokenizer();
    let text = tokenizer.eot() as usize;
    // A comma, say, that someone suppresses.
    let never = [11];
    let likely = Likely { text, never: &never };

    let mut all = model.inference(&audio, &cancel).unwrap();
    let mut best = model.inference(&audio, &cancel).unwrap();
    let start = [tokenizer.sot(), tokenizer.sot() + 1, tokenizer.transcribe(), tokenizer.timestamp_begin()];
    let first = all.prefill(&start, &[3]).unwrap();
    assert!(best.prefill(&start, &[3]).unwrap() == first, "{sample}: the same prompt");
    let mut token = argmax(&first[0][..text]);
    let (mut want, mut got) = (vec![0.0; all.n_vocab()], vec![0.0; all.n_vocab()]);
    let mut estimated = 0;
    for step in 0..TOKENS {
        let what = format!("{sample}, step {step}");
        let id = u32::try_from(token).unwrap();
        all.step(&[id], &mut want).unwrap();
        best.step_likely(id, likely, &mut got).unwrap();
        assert!(got[text..] == want[text..], "{what}: special tokens and timestamps");
        assert_eq!(got[11], f32::NEG_INFINITY, "{what}");
        want[11] = f32::NEG_INFINITY;
        let found = argmax(&got[..text]);
        assert_eq!((found, got[found]), (argmax(&want[..text]), want[argmax(&want[..text])]), "{what}");
        // What estimates add to the largest logits: 0.1 at the most of 300 states of whisper-base.
        let off = log_sum(&got) - log_sum(&want);
        assert!(off.abs() < 0.2, "{what}: the sum of exponentials is off by {off} in logarithms");
        estimated += got.iter().zip(&want).filter(|(got, want)| got != want).count();
        token = found;
    }
    (estimated, all.level().kind())
}

#[test]
fn the_likeliest_token_is_that_of_all_logits() {
    for precision in [Precision::Auto, Precision::Int8, Precision::Bf16, Precision::F32] {
        let options = OpenOptions { device: Device::Cpu, precision, ..OpenOptions::default() };
        let model = load_model_with(&options).unwrap();
        let (estimated, level) = compare(&model, "SS-0890.wav");
        if matches!(precision, Precision::Auto | Precision::Int8) && level >= LevelKind::Avx2 {
            assert!(estimated > TOKENS * 30_000, "{precision:?}: only {estimated} estimates");
        } else {
            assert_eq!(estimated, 0, "{precision:?}: estimates");
        }
    }
}

#[test]
fn a_vocabulary_is_not_exceeded() {
    let options = OpenOptions { device: Device::Cpu, ..OpenOptions::default() };
    let model = load_model_with(&options).unwrap();
    let cancel = CancelToken::new();
    let mel = log_mel(&vec![0.0; N_SAMPLES], 0, model.config().n_mels).unwrap();
    let audio = model.encode(&mel, &cancel).unwrap();
    let mut inference = model.inference(&audio, &cancel).unwrap();
    inference.prefill(&[model.tokenizer().sot()], &[0]).unwrap();
    let n_vocab = inference.n_vocab();
    let mut logits = vec![0.0; n_vocab];
    let beyond = u32::try_from(n_vocab).unwrap();
    for likely in [Likely { text: n_vocab + 1, never: &[] }, Likely { text: 0, never: &[beyond] }] {
        let error = inference.step_likely(0, likely, &mut logits).unwrap_err();
        assert!(error.to_string().contains("vocabulary"), "{error}");
    }
    inference.step_likely(0, Likely { text: n_vocab, never: &[beyond - 1] }, &mut logits).unwrap();
}
