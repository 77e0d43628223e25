//! Products of 16-bit whole numbers (`vpmaddwd`): for weights of 8 bits, where no instruction multiplies bytes exactly, and for
//! attention.
//!
//! `vpmaddubsw` would do twice as many, but adds pairs in 16 bits, which activations of more than 7 bits overflow.

use crate::kernels::{PANEL, TILE_ROWS};
use std::arch::x86_64::*;

/// Rows and registers of columns that are summed at once: 12 of 16 registers.
const ROWS: usize = 6;
const VECTORS: usize = 2;

/// `c[12][32] = Σ a[r][k] · b[k][o]`: rows of `a` are `lda` bytes apart, `b` holds pairs of rows interleaved. Sums are those of
/// 32 bits, then rounded to f32.
///
/// # Safety
/// The instructions named; 12 rows of `pairs` pairs in `a`, `pairs` groups of 128 bytes in `b`, 12 rows of 32 at stride
/// `ldc` in `c`.
#[target_feature(enable = "avx2,fma,f16c")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
pub(crate) unsafe fn tile_i16(a: *const u8, lda: usize, b: *const u8, pairs: usize, c: *mut f32, ldc: usize) {
    for column in (0..PANEL).step_by(8 * VECTORS) {
        for row in (0..TILE_ROWS).step_by(ROWS) {
            // SAFETY: row + 6 ≤ 12 and column + 16 ≤ 32; offsets stay inside what the caller vouches for.
            unsafe {
                let (a, b) = (a.add(row * lda), b.add(column * 4));
                let mut acc = [[_mm256_setzero_si256(); VECTORS]; ROWS];
                for pair in 0..pairs {
                    let right = b.add(pair * 4 * PANEL).cast::<__m256i>();
                    let right = [_mm256_loadu_si256(right), _mm256_loadu_si256(right.add(1))];
                    for i in 0..ROWS {
                        let left =
                            _mm256_set1_epi32(a.add(i * lda + pair * 4).cast::<i32>().read_unaligned());
                        for v in 0..VECTORS {
                            acc[i][v] = _mm256_add_epi32(acc[i][v], _mm256_madd_epi16(left, right[v]));
                        }
                    }
                }
                for i in 0..ROWS {
                    for v in 0..VECTORS {
                        let to = c.add((row + i) * ldc + column + v * 8);
                        _mm256_storeu_ps(to, _mm256_cvtepi32_ps(acc[i][v]));
                    }
                }
            }
        }
    }
}

/// Widens the bytes of a panel, groups of four rows interleaved (`generic::matrix::QuadsI8`), to 16 bits in pairs of rows.
///
/// # Safety
/// AVX2; `quads` groups of 128 bytes in `from`, room for twice as much at `to`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn widen_i16(from: *const u8, quads: usize, to: *mut u8) {
    for quad in 0..quads {
        for v in 0..PANEL / 8 {
            // SAFETY: offsets stay inside what the caller vouches for.
            unsafe {
                let bytes = _mm256_loadu_si256(from.add(quad * 4 * PANEL + v * 32).cast());
                // In each 16 bits the first of two bytes, and the second.
                let first = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes));
                let second = _mm256_srai_epi16::<8>(bytes);
                let low = _mm256_blend_epi16::<0xaa>(first, _mm256_slli_epi32::<16>(second));
                let high = _mm256_blend_epi16::<0xaa>(_mm256_srli_epi32::<16>(first), second);
                let to = to.add(quad * 8 * PANEL + v * 32);
                _mm256_storeu_si256(to.cast(), low);
                _mm256_storeu_si256(to.add(4 * PANEL).cast(), high);
            }
        }
    }
}

/// Rounds `n` numbers to whole ones in ∓`limit` (nearest, ties to even), 16 bits each, then zeros up to `bytes`. Returns what 1
/// stands for, NaN when a number is not finite.
///
/// # Safety
/// AVX2 and FMA; `x` holds n numbers, `out` has room for `bytes` ≥ 2 · n.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn round_i16(x: *const f32, n: usize, limit: f32, out: *mut u8, bytes: usize) -> f32 {
    let whole = n / 16 * 16;
    // SAFETY: reads stay below n, writes below `bytes` ≥ 2 · n.
    unsafe {
        let mut most = _mm256_setzero_ps();
        // A sum with NaN in it is NaN, and so is one of infinities times zero.
        let mut poison = _mm256_setzero_ps();
        for i in (0..whole).step_by(8) {
            let v = _mm256_loadu_ps(x.add(i));
            most = _mm256_max_ps(most, _mm256_andnot_ps(_mm256_set1_ps(-0.0), v));
            poison = _mm256_fmadd_ps(v, _mm256_setzero_ps(), poison);
        }
        let lanes = |v: __m256| {
            let mut lanes = [0.0_f32; 8];
            _mm256_storeu_ps(lanes.as_mut_ptr(), v);
            lanes
        };
        let rest = std::slice::from_raw_parts(x.add(whole), n - whole);
        let most = lanes(most).into_iter().chain(rest.iter().map(|x| x.abs())).fold(0.0, f32::max);
        let poison = lanes(poison).into_iter().chain(rest.iter().map(|x| x * 0.0)).sum::<f32>();
        // So that its inverse is finite.
        let scale = (most / limit).max(f32::MIN_POSITIVE);
        let inverse = 1.0 / scale;
        let factor = _mm256_set1_ps(inverse);
        for i in (0..whole).step_by(16) {
            let round = |at: usize| _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x.add(at)), factor));
            let both = _mm256_packs_epi32(round(i), round(i + 8));
            // Packing goes by halves of registers.
            let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(both);
            _mm256_storeu_si256(out.add(2 * i).cast(), both);
        }
        for (i, x) in (whole..).zip(rest) {
            out.cast::<i16>().add(i).write_unaligned((x * inverse).round_ties_even() as i16);
        }
        out.add(2 * n).write_bytes(0, bytes - 2 * n);
        scale + poison
    }
}
