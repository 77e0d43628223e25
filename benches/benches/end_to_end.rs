//! How long does a file of 5.3 s take from its bytes to its text, greedy and with five beams, the model being loaded?

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use transcribe::pipeline::TranscribeOptions;
use transcribe::speech_model::SpeechModel;
use workspace_benches::{model, sample};
use workspace_tests::engine::{Accelerator, mel_of_file, transcribe_mel};

fn end_to_end(criterion: &mut Criterion) {
    let model = model(Accelerator::Cpu);
    let mut group = criterion.benchmark_group("SS-0890.wav");
    group.sample_size(10);
    for (name, beam_size) in [("greedy", None), ("five beams", Some(5))] {
        let mut options = TranscribeOptions { temperatures: vec![0.0], ..TranscribeOptions::default() };
        options.decoding.beam_size = beam_size;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mel = mel_of_file(&sample(), model.config().n_mels).unwrap();
                transcribe_mel(&model, &mel, &options).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
