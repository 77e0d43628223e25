//! How long does one more token take, for one hypothesis (the likeliest token, so that logits that cannot be the largest
//! are estimated) and for five, after 4 tokens and after 200; and what share is that
//! of the rate at which the same threads read as many bytes and do nothing with them?
//!
//! Steps follow each other as they do in use, and each length is measured in turn with the memory. `PRECISION` names one of
//! f32, bf16, int8 and auto.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a bench prints figures")]

use std::time::Instant;

use transcribe::decoding::Likely;
use transcribe::model::OpenOptions;
use transcribe::speech_model::SpeechModel;
use whisper_encoder::{CancelToken, Device, Precision};
use workspace_benches::memory::read_rate;
use workspace_benches::window;
use workspace_tests::engine::load_model_with;

/// Any text token: what it says does not change the work.
const TOKEN: u32 = 1000;
/// Steps of one round, and rounds.
const STEPS: usize = 24;
const ROUNDS: usize = 6;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let precision = match std::env::var("PRECISION").as_deref() {
        Ok("f32") => Precision::F32,
        Ok("bf16") => Precision::Bf16,
        Ok("int8") => Precision::Int8,
        _ => Precision::Auto,
    };
    let options = OpenOptions { device: Device::Cpu, precision, ..OpenOptions::default() };
    let model = load_model_with(&options).unwrap();
    let cancel = CancelToken::new();
    let window = window(&model);
    let features = model.features(&window, &cancel).unwrap();
    let begin = Instant::now();
    let audio = model.decoder().cross_cache(&features, &cancel).unwrap();
    println!("{precision:?}: first cross cache {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    drop(audio);
    let begin = Instant::now();
    let audio = model.decoder().cross_cache(&features, &cancel).unwrap();
    println!("{precision:?}: second cross cache {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    let bytes = model.decoder().step_bytes(&audio);
    let likely = Likely { text: model.tokenizer().eot() as usize, never: &[] };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for rows in [1, 5] {
        for before in [4, 200] {
            let (mut times, mut rates) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                rates.push(read_rate(bytes, threads));
                let mut inference = model.inference(&audio, &cancel).unwrap();
                inference.prefill(&vec![TOKEN; before], &[before - 1]).unwrap();
                inference.rearrange(&vec![0; rows]).unwrap();
                let mut logits = vec![0.0; rows * inference.n_vocab()];
                for _ in 0..STEPS {
                    let begin = Instant::now();
                    match rows {
                        1 => inference.step_likely(TOKEN, likely, &mut logits).unwrap(),
                        _ => inference.step(&vec![TOKEN; rows], &mut logits).unwrap(),
                    }
                    times.push(begin.elapsed().as_secs_f64());
                }
            }
            let best = times.iter().copied().fold(f64::INFINITY, f64::min);
            let (time, memory) = (median(times), median(rates));
            let rate = bytes as f64 / time;
            println!(
                "step of {rows} after {before:3} tokens: median {:.2} ms (best {:.2}), {:.1} MB at {:.1} GB/s; memory \
                 gives {:.1} GB/s: {:.0} %",
                time * 1e3,
                best * 1e3,
                bytes as f64 / 1e6,
                rate / 1e9,
                memory / 1e9,
                100.0 * rate / memory
            );
        }
    }
}
