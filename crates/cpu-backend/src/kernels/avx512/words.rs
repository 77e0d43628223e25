//! Products of 16-bit activations and 8-bit weights (AVX-512 VNNI).
//!
//! An activation is 256·h + l − 32768 steps, with h and l one byte each, so a product is two of u8 and i8. Widening four
//! weights to f32 costs more instructions than multiplying them twice: a few rows come at the cost of one.

use crate::kernels::{PANEL, WORD_ROWS, generic::matrix, generic::simd::Simd};
use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::Avx512;

/// How far ahead of what it multiplies a product asks for weights, in bytes: none on AMD's processors, whose own prefetch
/// crosses pages and which read 54 MB in 1.26 ms unasked, in 1.5 ms asked 4 KiB ahead (Zen 4, two threads); as the streams
/// of f32 on others.
static AHEAD: LazyLock<usize> = LazyLock::new(|| {
    let vendor = __cpuid(0);
    let amd = [vendor.ebx, vendor.edx, vendor.ecx]
        == [b"Auth", b"enti", b"cAMD"].map(|part| u32::from_le_bytes(*part));
    if amd { 0 } else { matrix::AHEAD }
});

/// Rounds `n` numbers to the nearest of 65535 steps between ∓max|x| and writes, for each four of them, four high bytes and
/// four low bytes, in whole blocks of 16 (numbers beyond n are zero). Returns the size of a step, NaN when a number is
/// not finite.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for 32 bytes per block of 16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn split(x: *const f32, n: usize, out: *mut u8) -> f32 {
    // SAFETY: masked loads do not touch what lies beyond n, and the room was vouched for.
    unsafe {
        let lanes = |i: usize| if n - i < 16 { (1 << (n - i)) - 1 } else { !0_u16 };
        let mut most = _mm512_setzero_ps();
        // A sum with NaN in it is NaN, and so is one of infinities times zero.
        let mut poison = _mm512_setzero_ps();
        for i in (0..n).step_by(16) {
            let v = _mm512_maskz_loadu_ps(lanes(i), x.add(i));
            most = _mm512_max_ps(most, _mm512_abs_ps(v));
            poison = _mm512_fmadd_ps(v, _mm512_setzero_ps(), poison);
        }
        let step = _mm512_reduce_max_ps(most) / 32767.0;
        // Of numbers so small that a step has no inverse nothing remains.
        let inverse = if step >= f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
        let (factor, shift) = (_mm512_set1_ps(inverse), _mm512_set1_epi32(32768));
        for i in (0..n).step_by(16) {
            let v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(i), x.add(i)), factor);
            let word = _mm512_add_epi32(_mm512_cvtps_epi32(v), shift);
            let low = _mm512_cvtepi32_epi8(word);
            let high = _mm512_cvtepi32_epi8(_mm512_srli_epi32::<8>(word));
            let to = out.add(2 * i).cast::<__m128i>();
            _mm_storeu_si128(to, _mm_unpacklo_epi32(high, low));
            _mm_storeu_si128(to.add(1), _mm_unpackhi_epi32(high, low));
        }
        step + _mm512_reduce_add_ps(poison)
    }
}

/// `out[r][32] = steps[r] · Σ a[r][k] · b[k][column]` for `rows` rows of [`split`] numbers, `lda` bytes apart; `b` holds
/// groups of four rows interleaved (`generic::matrix::QuadsI8`) and `sums` what each of its columns sums to. The sums of
/// each byte are exact in 32 bits (up to `MAX_BYTE_DEPTH`), then rounded to f32 and added.
///
/// # Safety
/// The instructions named; `rows` rows of `quads` quads in `a`, `quads` groups of 128 bytes in `b`, 32 numbers in `sums`,
/// `rows` in `steps`, `rows` rows of 32 at stride `ldo` in `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[allow(clippy::too_many_arguments, reason = "a matrix product: pointers, strides, sizes")]
pub(crate) unsafe fn few_words(
    rows: usize,
    a: *const u8,
    lda: usize,
    b: *const u8,
    quads: usize,
    sums: *const f32,
    steps: *const f32,
    out: *mut f32,
    ldo: usize,
) {
    let ahead = *AHEAD;
    // As even blocks as can be.
    let blocks = rows.div_ceil(WORD_ROWS);
    for block in 0..blocks {
        let (row, end) = (rows * block / blocks, rows * (block + 1) / blocks);
        // SAFETY: rows `row..end` are among the caller's; the instructions are enabled here.
        unsafe {
            let (a, steps, out) = (a.add(row * lda), steps.add(row), out.add(row * ldo));
            match end - row {
                1 => block_of::<1>(a, lda, b, quads, ahead, sums, steps, out, ldo),
                2 => block_of::<2>(a, lda, b, quads, ahead, sums, steps, out, ldo),
                3 => block_of::<3>(a, lda, b, quads, ahead, sums, steps, out, ldo),
                4 => block_of::<4>(a, lda, b, quads, ahead, sums, steps, out, ldo),
                5 => block_of::<5>(a, lda, b, quads, ahead, sums, steps, out, ldo),
                _ => block_of::<WORD_ROWS>(a, lda, b, quads, ahead, sums, steps, out, ldo),
            }
        }
    }
}

/// As [`few_words`], for `R` rows, asking for weights `ahead` bytes early.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[allow(clippy::too_many_arguments, reason = "a matrix product: pointers, strides, sizes")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
unsafe fn block_of<const R: usize>(
    a: *const u8,
    lda: usize,
    b: *const u8,
    quads: usize,
    ahead: usize,
    sums: *const f32,
    steps: *const f32,
    out: *mut f32,
    ldo: usize,
) {
    // SAFETY: offsets stay inside what the caller vouches for; prefetching may point anywhere.
    unsafe {
        let zero = |v: usize| {
            // The 32768 of each activation, 128 in the high byte.
            let sums = _mm512_cvtps_epi32(_mm512_loadu_ps(sums.add(v * 16)));
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
        };
        let mut high = [[zero(0), zero(1)]; R];
        let mut low = [[_mm512_setzero_si512(); 2]; R];
        for quad in 0..quads {
            let right = b.add(quad * 4 * PANEL);
            // At a distance of 0, what is loaded next: as good as not asked.
            Avx512::prefetch(right.wrapping_add(ahead));
            Avx512::prefetch(right.wrapping_add(ahead + 64));
            let right = [_mm512_loadu_si512(right.cast()), _mm512_loadu_si512(right.add(64).cast())];
            for r in 0..R {
                let left = a.add(r * lda + quad * 8).cast::<i32>();
                let of_high = _mm512_set1_epi32(left.read_unaligned());
                let of_low = _mm512_set1_epi32(left.add(1).read_unaligned());
                for v in 0..2 {
                    high[r][v] = _mm512_dpbusd_epi32(high[r][v], of_high, right[v]);
                    low[r][v] = _mm512_dpbusd_epi32(low[r][v], of_low, right[v]);
                }
            }
        }
        for r in 0..R {
            let step = _mm512_set1_ps(*steps.add(r));
            for v in 0..2 {
                let (high, low) = (_mm512_cvtepi32_ps(high[r][v]), _mm512_cvtepi32_ps(low[r][v]));
                let sum = _mm512_fmadd_ps(high, _mm512_set1_ps(256.0), low);
                _mm512_storeu_ps(out.add(r * ldo + v * 16), _mm512_mul_ps(sum, step));
            }
        }
    }
}
