//! Powers of two in the accuracy of bf16 (AVX-512 BF16): the weights of attention.

use crate::kernels::{PANEL, TILE_ROWS};
use std::arch::x86_64::*;
use std::mem::transmute;

/// 2^t at a relative error of 3e-6 (bf16 rounds by up to 2⁻⁸, 4e-3); 0 for t below −149, NaN for NaN.
///
/// t = n + r with |r| ≤ 1/2, 2^r by a polynomial of degree 4 fitted here by Remez's exchange.
///
/// # Safety
/// AVX-512 F and DQ.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
unsafe fn exp2(t: __m512) -> __m512 {
    const P: [f32; 5] = [0.999_999_3, 0.693_121_8, 0.240_247_45, 0.055_917_86, 0.009_570_102];
    let n = _mm512_roundscale_ps::<0>(t);
    let r = _mm512_sub_ps(t, n);
    let mut p = _mm512_set1_ps(P[4]);
    for i in (0..4).rev() {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(P[i]));
    }
    _mm512_scalef_ps(p, n)
}

/// Writes 2^(x − shift) for `n` numbers as bf16, then zeros up to `bytes`; returns their sum.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for `bytes` ≥ 2 · n.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(crate) unsafe fn exp2_bf16(x: *const f32, n: usize, shift: f32, out: *mut u8, bytes: usize) -> f32 {
    let shift = _mm512_set1_ps(shift);
    let mut sum = [_mm512_setzero_ps(); 2];
    let mut i = 0;
    // SAFETY: reads stay below n (masked loads do not touch what they leave out), writes below `bytes` ≥ 2 · n.
    unsafe {
        while i + 32 <= n {
            let low = exp2(_mm512_sub_ps(_mm512_loadu_ps(x.add(i)), shift));
            let high = exp2(_mm512_sub_ps(_mm512_loadu_ps(x.add(i + 16)), shift));
            sum = [_mm512_add_ps(sum[0], low), _mm512_add_ps(sum[1], high)];
            let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.add(2 * i).cast(), both);
            i += 32;
        }
        while i < n {
            let lanes = if n - i < 16 { (1 << (n - i)) - 1 } else { !0_u16 };
            let v = exp2(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x.add(i)), shift));
            sum[0] = _mm512_mask_add_ps(sum[0], lanes, sum[0], v);
            let narrow = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v));
            _mm256_mask_storeu_epi16(out.add(2 * i).cast(), lanes, narrow);
            i += 16;
        }
        out.add(2 * n).write_bytes(0, bytes - 2 * n);
    }
    _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]))
}

/// What a score may exceed its row's shift by in [`weigh`]: sums of 2^60 times any values are far from f32's end.
const HEADROOM: f32 = 60.0;

/// Weights of 12 queries for a panel of 32 keys, without their scores ever leaving the registers: writes
/// 2^(a·b − shift) as bf16 to 12 rows of `out`, zeros beyond the first `keys`, and adds them up lane by lane in `totals`.
/// Returns whether a score was out of reach of its shift: then the weights are of no use. A score that is no number makes
/// its row's total none.
///
/// # Safety
/// The instructions named; 12 rows of `pairs` pairs in `a`, `lda` bytes apart, `pairs` groups of 128 bytes in `b`, 12 rows
/// of 64 bytes in `out`, `ldo` bytes apart.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
#[allow(
    clippy::needless_range_loop,
    clippy::too_many_arguments,
    reason = "several arrays, and their strides"
)]
pub(crate) unsafe fn weigh(
    a: *const u8,
    lda: usize,
    b: *const u8,
    pairs: usize,
    shift: &[f32; TILE_ROWS],
    keys: usize,
    out: *mut u8,
    ldo: usize,
    totals: &mut [[f32; 16]; TILE_ROWS],
) -> bool {
    let shown = if keys < PANEL { (1 << keys) - 1 } else { !0_u32 };
    // SAFETY: offsets stay inside what the caller vouches for; __m512i and __m512bh are the same 512 bits.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
        for i in 0..TILE_ROWS {
            acc[i] = [_mm512_set1_ps(-shift[i]); 2];
        }
        for pair in 0..pairs {
            let right = b.add(pair * 4 * PANEL);
            let right: [__m512bh; 2] = [
                transmute::<__m512i, __m512bh>(_mm512_loadu_si512(right.cast())),
                transmute::<__m512i, __m512bh>(_mm512_loadu_si512(right.add(64).cast())),
            ];
            for i in 0..TILE_ROWS {
                let left = _mm512_set1_epi32(a.add(i * lda + pair * 4).cast::<i32>().read_unaligned());
                let left = transmute::<__m512i, __m512bh>(left);
                acc[i][0] = _mm512_dpbf16_ps(acc[i][0], left, right[0]);
                acc[i][1] = _mm512_dpbf16_ps(acc[i][1], left, right[1]);
            }
        }
        let mut top = _mm512_setzero_ps();
        for i in 0..TILE_ROWS {
            // Columns beyond the keys count too; at worst they raise a false alarm. Of a NaN and a number, the second
            // operand is the result: the NaN is passed over here and shows in the total.
            top = _mm512_max_ps(acc[i][0], _mm512_max_ps(acc[i][1], top));
            let low = _mm512_maskz_mov_ps(shown as u16, exp2(acc[i][0]));
            let high = _mm512_maskz_mov_ps((shown >> 16) as u16, exp2(acc[i][1]));
            let total = totals[i].as_mut_ptr();
            _mm512_storeu_ps(total, _mm512_add_ps(_mm512_loadu_ps(total), _mm512_add_ps(low, high)));
            let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.add(i * ldo).cast(), both);
        }
        _mm512_cmp_ps_mask::<_CMP_GT_OQ>(top, _mm512_set1_ps(HEADROOM)) != 0
    }
}
