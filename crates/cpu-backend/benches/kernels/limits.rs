//! What this machine can do at most: multiply-adds on registers alone, and copies.

use cpu_backend::{Level, LevelKind, Storage};
use std::hint::black_box;
use std::time::Instant;

/// Rounds of a loop on registers; about 10 ms.
const ROUNDS: usize = 1 << 20;
/// Independent sums: more than a multiply-add's latency times its rate.
const SUMS: usize = 24;
/// Runs of which the best counts.
const RUNS: usize = 8;

/// Most operations a second (a multiply-add is two) on `threads` threads at once with the numbers that products multiply for
/// weights kept so; `None` where there is no loop for the level.
pub(crate) fn products(level: Level, storage: Storage, threads: usize) -> Option<f64> {
    let (loop_of, lanes): (unsafe fn(), usize) = loop_for(level, storage)?;
    // SAFETY: the level proves the instructions.
    let seconds = best(threads, || unsafe { loop_of() });
    Some((2 * lanes * SUMS * ROUNDS * threads) as f64 / seconds)
}

/// Bytes read and written a second by copies of `len` numbers in all, each thread its share.
pub(crate) fn copies(len: usize, threads: usize) -> f64 {
    const COPIES: usize = 20;
    let share = len / threads;
    let seconds = (0..RUNS)
        .map(|_| {
            std::thread::scope(|scope| {
                let work = |_| {
                    scope.spawn(move || {
                        let (from, mut to) = (vec![1.0_f32; share], vec![0.0_f32; share]);
                        to.copy_from_slice(&from);
                        let start = Instant::now();
                        for _ in 0..COPIES {
                            to.copy_from_slice(black_box(&from));
                            black_box(&mut to);
                        }
                        start.elapsed().as_secs_f64()
                    })
                };
                let handles: Vec<_> = (0..threads).map(work).collect();
                handles.into_iter().map(|handle| handle.join().unwrap()).fold(0.0, f64::max)
            })
        })
        .fold(f64::INFINITY, f64::min);
    (8 * share * threads * COPIES) as f64 / seconds
}

/// Least seconds of `work` on as many threads at once; the slowest thread counts.
fn best(threads: usize, work: impl Fn() + Copy + Send + Sync) -> f64 {
    let run = || {
        std::thread::scope(|scope| {
            let timed = move || {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64()
            };
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(timed)).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).fold(0.0, f64::max)
        })
    };
    (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min)
}

/// The loop, and the multiply-adds of one of its instructions.
#[cfg(target_arch = "x86_64")]
fn loop_for(level: Level, storage: Storage) -> Option<(unsafe fn(), usize)> {
    match (level.kind(), storage) {
        (LevelKind::Avx512, Storage::F32) => Some((x86::f32_16, 16)),
        (LevelKind::Avx512, Storage::Bf16) if level.has_bf16() => Some((x86::bf16, 32)),
        (LevelKind::Avx512, Storage::Int8) if level.has_vnni() => Some((x86::bytes, 64)),
        (LevelKind::Avx2, Storage::F32) => Some((x86::f32_8, 8)),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn loop_for(_: Level, _: Storage) -> Option<(unsafe fn(), usize)> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{ROUNDS, SUMS, black_box};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// # Safety
    /// AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn f32_16() {
        let mut sums = [_mm512_set1_ps(0.0); SUMS];
        let a = black_box(_mm512_set1_ps(1e-9));
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(a, a, *sum);
            }
        }
        black_box(sums);
    }

    /// # Safety
    /// AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn f32_8() {
        // Sixteen registers hold twelve sums: twice as many as latency times rate asks for.
        let mut sums = [_mm256_set1_ps(0.0); SUMS / 2];
        let a = black_box(_mm256_set1_ps(1e-9));
        for _ in 0..2 * ROUNDS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(a, a, *sum);
            }
        }
        black_box(sums);
    }

    /// # Safety
    /// AVX-512 F and BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn bf16() {
        let mut sums = [_mm512_set1_ps(0.0); SUMS];
        // SAFETY: the same 512 bits.
        let a = unsafe { transmute::<__m512i, __m512bh>(black_box(_mm512_set1_epi32(0x3f80_3f80))) };
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, a, a);
            }
        }
        black_box(sums);
    }

    /// # Safety
    /// AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn bytes() {
        let mut sums = [_mm512_set1_epi32(0); SUMS];
        let a = black_box(_mm512_set1_epi32(0x0101_0101));
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, a);
            }
        }
        black_box(sums);
    }
}
