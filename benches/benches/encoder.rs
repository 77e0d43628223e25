//! How long does the encoder take for one window of 30 s, at each precision of the CPU?

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use transcribe::model::OpenOptions;
use whisper_encoder::{Device, Precision};
use workspace_benches::window;
use workspace_tests::engine::load_model_with;

fn encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode 30 s");
    group.sample_size(10);
    let cpu = [Precision::F32, Precision::Bf16, Precision::Int8, Precision::Auto];
    for (device, precision) in
        cpu.map(|p| (Device::Cpu, p)).into_iter().chain([(Device::Candle, Precision::F32)])
    {
        let options = OpenOptions { device, precision, ..OpenOptions::default() };
        let model = load_model_with(&options).unwrap();
        let mel = window(&model);
        group.bench_function(format!("{} {}", device.name(), precision.name()), |bencher| {
            bencher.iter(|| model.encoder().encode(black_box(&mel)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, encoder);
criterion_main!(benches);
