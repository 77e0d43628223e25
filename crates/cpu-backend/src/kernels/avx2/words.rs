//! Products of a few rows of 16-bit activations and 8-bit weights (`vpmaddwd`).
//!
//! A weight widened to 16 bits costs one instruction, and is multiplied two at a time; widened to f32 it costs two, and is
//! multiplied alone.

use super::products::round_i16;
use crate::kernels::PANEL;
use crate::kernels::generic::matrix::AHEAD;
use std::arch::x86_64::*;

/// Registers of a panel's columns.
const VECTORS: usize = PANEL / 8;
/// Rows that are multiplied at once: 12 of 16 registers are sums.
const ROWS: usize = 3;
/// Quads whose sums stay in 32 bits: 512 products of 32767 and −128.
const WHOLE_QUADS: usize = 128;
/// The largest activation.
const LARGEST: f32 = 32767.0;

/// Rounds `n` numbers to the nearest of 65535 steps between ∓max|x|, then zeros up to `bytes`: each four of them as the first,
/// the third, the second and the fourth. Returns the size of a step, NaN when a number is not finite.
///
/// # Safety
/// AVX2 and FMA; `x` holds n numbers, `out` has room for `bytes` ≥ 2 · n, a multiple of 32.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn split(x: *const f32, n: usize, out: *mut u8, bytes: usize) -> f32 {
    // The middle two of four change places.
    const ORDER: i32 = 0b11_01_10_00;
    // SAFETY: the contracts are the same, and whole registers lie below `bytes`.
    unsafe {
        let step = round_i16(x, n, LARGEST, out, bytes);
        for at in (0..bytes).step_by(32) {
            let at = out.add(at).cast::<__m256i>();
            let words = _mm256_shufflelo_epi16::<ORDER>(_mm256_loadu_si256(at));
            _mm256_storeu_si256(at, _mm256_shufflehi_epi16::<ORDER>(words));
        }
        step
    }
}

/// `out[r][32] = steps[r] · Σ a[r][k] · b[k][column]` for `rows` rows of [`split`] numbers, `lda` bytes apart; `b` holds
/// groups of four rows interleaved (`generic::matrix::QuadsI8`). Sums of 512 products are exact in 32 bits, then rounded to f32
/// and added.
///
/// # Safety
/// The instructions named; `rows` rows of `quads` quads in `a`, `quads` groups of 128 bytes in `b`, `rows` numbers in `steps`,
/// `rows` rows of 32 at stride `ldo` in `out`.
#[target_feature(enable = "avx2,fma,f16c")]
#[allow(clippy::too_many_arguments, reason = "a matrix product: pointers, strides, sizes")]
pub(crate) unsafe fn few_words(
    rows: usize,
    a: *const u8,
    lda: usize,
    b: *const u8,
    quads: usize,
    steps: *const f32,
    out: *mut f32,
    ldo: usize,
) {
    // As even blocks as can be.
    let blocks = rows.div_ceil(ROWS);
    for block in 0..blocks {
        let (row, end) = (rows * block / blocks, rows * (block + 1) / blocks);
        // SAFETY: rows `row..end` are among the caller's; the instructions are enabled here.
        unsafe {
            let (a, steps, out) = (a.add(row * lda), steps.add(row), out.add(row * ldo));
            match end - row {
                1 => block_of::<1>(a, lda, b, quads, steps, out, ldo),
                2 => block_of::<2>(a, lda, b, quads, steps, out, ldo),
                _ => block_of::<ROWS>(a, lda, b, quads, steps, out, ldo),
            }
        }
    }
}

/// As [`few_words`], for `R` rows.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
unsafe fn block_of<const R: usize>(
    a: *const u8,
    lda: usize,
    b: *const u8,
    quads: usize,
    steps: *const f32,
    out: *mut f32,
    ldo: usize,
) {
    // SAFETY: offsets stay inside what the caller vouches for; prefetching may point anywhere.
    unsafe {
        let mut totals = [[_mm256_setzero_ps(); VECTORS]; R];
        for first in (0..quads).step_by(WHOLE_QUADS) {
            let mut sums = [[_mm256_setzero_si256(); VECTORS]; R];
            for quad in first..quads.min(first + WHOLE_QUADS) {
                let right = b.add(quad * 4 * PANEL);
                _mm_prefetch::<_MM_HINT_T0>(right.wrapping_add(AHEAD).cast());
                _mm_prefetch::<_MM_HINT_T0>(right.wrapping_add(AHEAD + 64).cast());
                for v in 0..VECTORS {
                    let four = _mm256_loadu_si256(right.add(v * 32).cast());
                    let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(four));
                    let odd = _mm256_srai_epi16::<8>(four);
                    for r in 0..R {
                        let left = a.add(r * lda + quad * 8).cast::<i32>();
                        let of_even = _mm256_madd_epi16(_mm256_set1_epi32(left.read_unaligned()), even);
                        let of_odd = _mm256_madd_epi16(_mm256_set1_epi32(left.add(1).read_unaligned()), odd);
                        sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_add_epi32(of_even, of_odd));
                    }
                }
            }
            for r in 0..R {
                for v in 0..VECTORS {
                    totals[r][v] = _mm256_add_ps(totals[r][v], _mm256_cvtepi32_ps(sums[r][v]));
                }
            }
        }
        for r in 0..R {
            let step = _mm256_set1_ps(*steps.add(r));
            for v in 0..VECTORS {
                _mm256_storeu_ps(out.add(r * ldo + v * 8), _mm256_mul_ps(totals[r][v], step));
            }
        }
    }
}
