//! How fast this machine reads memory.

use std::sync::Barrier;
use std::time::Instant;

/// Bytes a second at which `threads` threads, each on its own share, read `bytes` over and over: the median of several
/// passes, of the slowest thread.
///
/// # Panics
/// When a thread does.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a rate")]
pub fn read_rate(bytes: usize, threads: usize) -> f64 {
    const PASSES: usize = 7;
    let memory = vec![1u8; bytes];
    let barrier = Barrier::new(threads);
    let mut passes = [0.0_f64; PASSES];
    std::thread::scope(|scope| {
        let readers: Vec<_> = memory
            .chunks(bytes.div_ceil(threads).next_multiple_of(4096))
            .map(|share| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let pass = |_| {
                        barrier.wait();
                        let begin = Instant::now();
                        std::hint::black_box(read(share));
                        begin.elapsed().as_secs_f64()
                    };
                    (0..PASSES).map(pass).collect::<Vec<f64>>()
                })
            })
            .collect();
        for reader in readers {
            let times = reader.join().unwrap();
            passes.iter_mut().zip(times).for_each(|(slowest, time)| *slowest = slowest.max(time));
        }
    });
    passes.sort_by(f64::total_cmp);
    bytes as f64 / passes[PASSES / 2]
}

/// Reads every byte.
fn read(share: &[u8]) -> u64 {
    let mut sums = [0_u64; 32];
    for block in share.as_chunks::<256>().0 {
        for (sum, word) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            *sum ^= u64::from_le_bytes(*word);
        }
    }
    sums.into_iter().fold(0, |a, b| a ^ b)
}
