//! What goes wrong on a device never reaches the features: it is noticed, and done again on the CPU or told.
//!
//! A random model of whisper-tiny's shape, on the emulator. A C++ compiler is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the outcome of each fault is printed for the reader of a test log")]

use std::path::Path;

use npu_backend::emulator::Emulator;
use npu_backend::emulator::faults::{Fault, FaultPlan};
use npu_backend::ops::{Engine, ModelledImages};
use whisper_encoder::accelerator::{NpuOptions, Receipt};
use whisper_encoder::{Device, Error, LogMel, Precision, WhisperEncoder};
use workspace_tests::likeness::Likeness;
use workspace_tests::random_checkpoint::{Format, SIZES, Size, write};

/// One block less than nothing would be missed; two, so that there is a block after the one that fails.
const SHAPE: Size = Size { n_audio_layer: 2, n_text_layer: 1, n_vocab: 51865, ..SIZES[1] };
/// Launches of a window: two of the stem, five for each of two parts of each block.
const LAUNCHES: u64 = 2 + 2 * 2 * 5;

fn model(folder: &Path) {
    write(folder, &SHAPE, 64, Format::F16, 3).unwrap();
}

fn mel() -> LogMel {
    // Something between silence and noise, like speech in its range.
    let value = |at: usize| ((at * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    LogMel::new(80, (0..80 * 3000).map(value).collect()).unwrap()
}

fn encoder(folder: &Path, faults: FaultPlan, require: bool) -> WhisperEncoder {
    let open = move || {
        let device = Emulator::builder().faults(faults.clone()).open()?;
        Engine::new(Box::new(device), Box::new(ModelledImages))
    };
    let options = NpuOptions { require, ..NpuOptions::default() };
    let builder = WhisperEncoder::builder().model(folder).device(Device::Emulator);
    builder.npu_options(options).npu_engine(open).build().unwrap()
}

/// What the CPU makes of it in f32.
fn on_the_cpu(folder: &Path) -> Vec<f32> {
    let builder = WhisperEncoder::builder().model(folder).device(Device::Cpu).precision(Precision::F32);
    builder.build().unwrap().encode(&mel()).unwrap().data().to_vec()
}

fn features(encoder: &WhisperEncoder) -> Result<(Vec<f32>, Receipt), Error> {
    let features = encoder.encode(&mel())?.data().to_vec();
    Ok((features, encoder.receipt().unwrap()))
}

#[test]
fn every_fault_is_noticed_and_made_good_or_told() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let want = on_the_cpu(folder.path());
    let (clean, receipt) = features(&encoder(folder.path(), FaultPlan::none(), true)).unwrap();
    let usual = Likeness::of(&clean, &want);
    assert!(usual.relative_rms < 0.02 && receipt.counters.launches == LAUNCHES, "{usual} {receipt:?}");

    // In the stem, in the projections, in attention, in the perceptron of the last block.
    for (fault, launch) in
        Fault::ALL.into_iter().flat_map(|fault| [1, 4, 8, LAUNCHES - 1].map(|at| (fault, at)))
    {
        let plan = FaultPlan::none().at(launch, fault);
        let (got, receipt) = features(&encoder(folder.path(), plan.clone(), false)).unwrap();
        let likeness = Likeness::of(&got, &want);
        // What the CPU did again is nearer to the CPU, not farther.
        assert!(likeness.relative_rms < 1.1 * usual.relative_rms, "{fault:?} at {launch}: {likeness}");
        let noticed = !receipt.fallbacks.is_empty();
        assert_eq!(noticed, !fault.is_harmless(), "{fault:?} at {launch}: {receipt:?}");
        assert_eq!(receipt.windows_redone, u64::from(fault.is_silent()), "{fault:?} at {launch}");

        let strict = features(&encoder(folder.path(), plan, true));
        match strict {
            Ok((got, _)) => {
                assert!(fault.is_harmless() && got == clean, "{fault:?} at {launch} went unnoticed")
            }
            Err(error) => {
                assert!(!fault.is_harmless() && matches!(error, Error::Fault { .. }), "{fault:?}: {error}");
                println!("{fault:?} at launch {launch}: {error}");
            }
        }
    }
}

#[test]
fn wrong_numbers_before_an_error_are_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let want = on_the_cpu(folder.path());
    for later in [Fault::Vanish, Fault::Error] {
        let plan = FaultPlan::none().at(3, Fault::CompletedWithZeros).at(LAUNCHES - 1, later);
        let (got, receipt) = features(&encoder(folder.path(), plan, false)).unwrap();
        let likeness = Likeness::of(&got, &want);
        assert!(likeness.relative_rms < 0.02, "{later:?}: {likeness}");
        assert_eq!((receipt.windows, receipt.windows_redone), (1, 1), "{later:?}: {receipt:?}");
    }
}

#[test]
fn a_device_that_fails_again_and_again_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let plan = FaultPlan::none().at(3, Fault::Wedge);
    let encoder = encoder(folder.path(), plan, false);
    let (first, _) = features(&encoder).unwrap();
    let before = encoder.receipt().unwrap();
    let (second, _) = features(&encoder).unwrap();
    let after = encoder.receipt().unwrap();
    // Not touched in the second window: no launch, no two seconds of the driver's patience.
    assert!(after.counters.launches <= before.counters.launches + 3, "{after:?}");
    assert!(Likeness::of(&second, &first).relative_rms < 0.02);
}
