//! The encoder through the NPU back-end on the emulator, against the CPU in f32, on real speech.
//!
//! What is emulated runs the kernels' own C++; a C++ compiler is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "tables of differences are printed for the reader of a test log")]

use std::sync::OnceLock;

use transcribe::mel::{N_SAMPLES, log_mel, pad_or_trim};
use transcribe::model::OpenOptions;
use whisper_encoder::accelerator::NpuOptions;
use whisper_encoder::{Device, LogMel, Precision};
use workspace_tests::engine::{self, Accelerator, Model};
use workspace_tests::golden::repository;
use workspace_tests::likeness::Likeness;

fn mel() -> LogMel {
    let path = repository().join("samples/SS-0890.wav");
    let samples = transcribe::audio::load_file(&path, None).unwrap().samples;
    log_mel(&pad_or_trim(samples.as_slice(), N_SAMPLES), 0, 80).unwrap()
}

fn cpu() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| engine::load_model(Accelerator::Cpu).unwrap())
}

fn emulated(precision: Precision) -> Model {
    // Whatever the emulator will not do is an error, not a fallback that hides it.
    let npu = NpuOptions { require: true, shadow_every: 1 };
    let options = OpenOptions { device: Device::Emulator, precision, npu, ..OpenOptions::default() };
    engine::load_model_with(&options).unwrap()
}

/// Every product and every attention by itself, so that each layer shows its own error on top of those before it.
#[test]
fn layer_by_layer() {
    let mel = mel();
    let want = engine::encode_with_probe(cpu(), &mel).unwrap();
    let got = engine::encode_with_probe(&emulated(Precision::Bf16), &mel).unwrap();
    assert_eq!(got.len(), want.len());
    for ((name, got), (_, want)) in got.iter().zip(&want) {
        let likeness = Likeness::of(got, want);
        println!("{name:32} {likeness}");
        // Single sub-layers late in the net have outliers of −470; what counts is the end of each block.
        let (cosine, rms) = if name == "encoder.ln_post" { (0.9995, 0.02) } else { (0.999, 0.05) };
        assert!(likeness.cosine >= cosine && likeness.relative_rms <= rms, "{name}: {likeness}");
    }
}

/// Whole blocks as chains, as users get them.
#[test]
fn whole_blocks_on_the_device() {
    let mel = mel();
    let want = engine::encode(cpu(), &mel).unwrap();
    // Twice the error that was measured, 1.0e-2 and 4.7e-2.
    for (precision, cosine, rms) in [(Precision::Bf16, 0.9998, 0.02), (Precision::Int8, 0.9955, 0.094)] {
        let model = emulated(precision);
        let likeness = Likeness::of(&engine::encode(&model, &mel).unwrap(), &want);
        let receipt = model.encoder().receipt().unwrap();
        println!("{precision:?} at ln_post: {likeness}\n  {receipt:?}");
        assert!(likeness.cosine >= cosine && likeness.relative_rms <= rms, "{precision:?}: {likeness}");
        assert_eq!(receipt.device_share(), Some(1.0), "{receipt:?}");
        assert!(receipt.fallbacks.is_empty() && receipt.modelled && receipt.shadow_checks > 0, "{receipt:?}");
        // Two for the stem, five for each part of each of six blocks.
        assert_eq!(receipt.counters.launches, 2 + 6 * 2 * 5, "{receipt:?}");
    }
}
