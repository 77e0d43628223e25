//! How long does one window of 30 s take from its mel to what the decoder needs, on each accelerator?

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use transcribe::speech_model::SpeechModel;
use whisper_encoder::CancelToken;
use workspace_benches::{model, window};
use workspace_tests::engine::Accelerator;

fn encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode 30 s");
    let cancel = CancelToken::new();
    group.sample_size(10);
    for accelerator in Accelerator::ALL {
        let model = model(accelerator);
        let mel = window(&model);
        group.bench_function(format!("{accelerator:?}"), |bencher| {
            bencher.iter(|| model.encode(black_box(&mel), &cancel).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, encoder);
criterion_main!(benches);
