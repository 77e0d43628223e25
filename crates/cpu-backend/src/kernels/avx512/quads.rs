//! Products of 8-bit whole numbers (AVX-512 VNNI): four times the multiply-adds of f32 per instruction.

use crate::kernels::{PANEL, RowScale, TILE_ROWS};
use std::arch::x86_64::*;

/// `c[12][32] = Σ a[r][k] · b[k][o]` for u8 times i8: rows of `a` are `lda` bytes apart, `b` holds groups of four rows
/// interleaved (`generic::matrix::QuadsI8`). Sums are exact in 32 bits (up to `MAX_BYTE_DEPTH`) and then rounded to f32.
///
/// # Safety
/// The instructions named; 12 rows of `quads` quads in `a`, `quads` groups of 128 bytes in `b`, 12 rows of 32 at stride
/// `ldc` in `c`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
pub(crate) unsafe fn tile_u8(a: *const u8, lda: usize, b: *const u8, quads: usize, c: *mut f32, ldc: usize) {
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        let mut acc = [[_mm512_setzero_si512(); 2]; TILE_ROWS];
        for quad in 0..quads {
            let right = b.add(quad * 4 * PANEL);
            let right = [_mm512_loadu_si512(right.cast()), _mm512_loadu_si512(right.add(64).cast())];
            for i in 0..TILE_ROWS {
                let left = _mm512_set1_epi32(a.add(i * lda + quad * 4).cast::<i32>().read_unaligned());
                acc[i][0] = _mm512_dpbusd_epi32(acc[i][0], left, right[0]);
                acc[i][1] = _mm512_dpbusd_epi32(acc[i][1], left, right[1]);
            }
        }
        for i in 0..TILE_ROWS {
            for v in 0..2 {
                _mm512_storeu_ps(c.add(i * ldc + v * 16), _mm512_cvtepi32_ps(acc[i][v]));
            }
        }
    }
}

/// A 255th of low…high, but at least the least normal number, so that its inverse is finite. Halves, which are exact,
/// differ by no more than f32 holds.
fn step(low: f32, high: f32) -> f32 {
    ((high * 0.5 - low * 0.5) / 127.5).max(f32::MIN_POSITIVE)
}

/// Rounds `n` numbers to u8, x ≈ (u − zero)·scale: the range from the least (or 0) to the greatest (or 0) in 255 steps, so
/// that 0 is exact; then `zero` up to `bytes`. The scale is NaN when a number is not finite.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for `bytes` ≥ n.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn quantise(x: *const f32, n: usize, out: *mut u8, bytes: usize) -> RowScale {
    // SAFETY: reads stay below n (masked loads do not touch what they leave out), writes below `bytes` ≥ n.
    unsafe {
        let lanes = |i: usize| if n - i < 16 { (1 << (n - i)) - 1 } else { !0_u16 };
        let (mut low, mut high) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        // A sum with NaN in it is NaN, and so is one of infinities times zero.
        let mut poison = _mm512_setzero_ps();
        for i in (0..n).step_by(16) {
            let v = _mm512_maskz_loadu_ps(lanes(i), x.add(i));
            low = _mm512_min_ps(low, v);
            high = _mm512_max_ps(high, v);
            poison = _mm512_fmadd_ps(v, _mm512_setzero_ps(), poison);
        }
        let (low, high) = (_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
        let scale = step(low, high);
        let inverse = 1.0 / scale;
        let zero = (-low * inverse).round_ties_even().clamp(0.0, 255.0);
        let (factor, shift) = (_mm512_set1_ps(inverse), _mm512_set1_epi32(zero as i32));
        for i in (0..n).step_by(16) {
            let v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(i), x.add(i)), factor);
            let u = _mm512_add_epi32(_mm512_cvtps_epi32(v), shift);
            let u = _mm512_max_epi32(u, _mm512_setzero_si512());
            _mm_mask_storeu_epi8(out.add(i).cast(), lanes(i), _mm512_cvtusepi32_epi8(u));
        }
        out.add(n).write_bytes(zero as u8, bytes - n);
        RowScale { scale: scale + _mm512_reduce_add_ps(poison), zero }
    }
}
