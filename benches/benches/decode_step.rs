//! How long does one more token take, for one hypothesis and for five, after 4 tokens and after 200?

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use transcribe::speech_model::SpeechModel;
use whisper_encoder::CancelToken;
use workspace_benches::{model, window};
use workspace_tests::engine::Accelerator;

/// Any text token: what it says does not change the work.
const TOKEN: u32 = 1000;

fn decode_step(criterion: &mut Criterion) {
    let model = model(Accelerator::Cpu);
    let cancel = CancelToken::new();
    let audio = model.encode(&window(&model), &cancel).unwrap();
    for rows in [1, 5] {
        for before in [4, 200] {
            let prepare = || {
                let mut inference = model.inference(&audio, &cancel).unwrap();
                inference.prefill(&vec![TOKEN; before], &[before - 1]).unwrap();
                inference.rearrange(&vec![0; rows]).unwrap();
                let logits = vec![0.0; rows * inference.n_vocab()];
                (inference, logits)
            };
            criterion.bench_function(&format!("step of {rows} after {before} tokens"), |bencher| {
                bencher.iter_batched_ref(
                    prepare,
                    |(inference, logits)| inference.step(&vec![TOKEN; rows], logits).unwrap(),
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

criterion_group!(benches, decode_step);
criterion_main!(benches);
