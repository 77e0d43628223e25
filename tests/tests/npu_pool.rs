//! An NPU encoder and its caller's rayon pool: neither waits for the other. On the emulator without its arithmetic, which
//! needs no compiler; a watchdog tells what hangs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::ops::{Engine, ModelledImages};
use rayon::prelude::*;
use whisper_encoder::accelerator::{NpuOptions, Receipt};
use whisper_encoder::{CancelToken, Device, LogMel, WhisperEncoder};
use workspace_tests::random_checkpoint::{Format, SIZES, Size, write};

const SHAPE: Size = Size { n_audio_layer: 1, n_text_layer: 1, n_vocab: 51865, ..SIZES[1] };

fn mel() -> LogMel {
    LogMel::new(80, (0..80 * 3000).map(|at| (at % 1000) as f32 / 500.0 - 1.0).collect()).unwrap()
}

/// Unchecked (`shadow_every` 0), what the device answers is taken; checked, all is done again on the CPU.
fn encoder(folder: &Path, pool: &Arc<rayon::ThreadPool>, shadow_every: u64) -> WhisperEncoder {
    let open = || {
        let device = Emulator::builder().arithmetic(Arithmetic::Off).open()?;
        Engine::new(Box::new(device), Box::new(ModelledImages))
    };
    let options = NpuOptions { shadow_every, ..NpuOptions::default() };
    let builder = WhisperEncoder::builder().model(folder).device(Device::Emulator).npu_options(options);
    builder.npu_engine(open).thread_pool(Arc::clone(pool)).build().unwrap()
}

/// What `work` answers, or a failure if it hangs.
fn watched<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(work()));
    told.recv_timeout(Duration::from_secs(240)).unwrap_or_else(|error| panic!("{what} hangs: {error}"))
}

#[test]
fn windows_side_by_side_in_the_callers_pool_do_not_lock_each_other_out() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &SHAPE, 64, Format::F16, 3).unwrap();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap());
    for shadow_every in [0, 1] {
        let (encoder, windows) = (encoder(folder.path(), &pool, shadow_every), Arc::clone(&pool));
        let receipt: Receipt = watched("a pool of windows", move || {
            let mels = vec![mel(); 8];
            windows.install(|| {
                mels.par_iter().with_max_len(1).for_each(|mel| drop(encoder.encode(mel).unwrap()))
            });
            encoder.receipt().unwrap()
        });
        assert_eq!((receipt.windows, receipt.windows_redone), (8, shadow_every), "{receipt:?}");
    }
}

/// The same without luck: no thread of the pool is ever free.
#[test]
fn a_busy_pool_does_not_keep_a_window_waiting() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &SHAPE, 64, Format::F16, 3).unwrap();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    for shadow_every in [0, 1] {
        let encoder = encoder(folder.path(), &pool, shadow_every);
        let until = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let until = Arc::clone(&until);
            pool.spawn(move || {
                until.wait();
            });
        }
        watched("a window beside a busy pool", move || drop(encoder.encode(&mel()).unwrap()));
        until.wait();
    }
}

#[test]
fn a_window_that_is_wrong_in_the_stem_is_left_there() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &SHAPE, 64, Format::F16, 3).unwrap();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let encoder = encoder(folder.path(), &pool, 1);
    encoder.encode(&mel()).unwrap();
    let first = encoder.receipt().unwrap();
    encoder.encode_with(&mel(), &CancelToken::new()).unwrap();
    let both = encoder.receipt().unwrap();
    assert_eq!((both.windows, both.windows_redone), (2, 1), "the second window is innocent: {both:?}");
    // The first was begun twice and finished once.
    assert!((both.cpu_flop - 2.0 * first.cpu_flop).abs() < 1.0, "{first:?} {both:?}");
    let count = |receipt: &Receipt| receipt.fallbacks.values().sum::<u64>();
    assert_eq!(count(&both), 2 * count(&first) - 1, "but for the mismatch itself: {both:?}");
}
