//! How long do 30 s of samples take to become a log-mel spectrogram, with 80 and with 128 bins?

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use transcribe::mel::{N_SAMPLES, log_mel};

fn mel(criterion: &mut Criterion) {
    // Two tones that beat: no sample is silent, none repeats within the window of an FFT.
    let tone = |index: usize, hertz: f32| (index as f32 * hertz * std::f32::consts::TAU / 16_000.0).sin();
    let samples: Vec<f32> = (0..N_SAMPLES).map(|i| 0.3 * tone(i, 220.0) + 0.2 * tone(i, 1733.1)).collect();
    for n_mels in [80, 128] {
        criterion.bench_function(&format!("mel of 30 s, {n_mels} bins"), |bencher| {
            bencher.iter(|| log_mel(black_box(&samples), 0, n_mels).unwrap());
        });
    }
}

criterion_group!(benches, mel);
criterion_main!(benches);
