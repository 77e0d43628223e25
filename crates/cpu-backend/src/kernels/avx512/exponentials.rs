//! Powers of two in the accuracy of bf16 (AVX-512 BF16).

use crate::kernels::exp2::EXP2_4;
use std::arch::x86_64::*;
use std::mem::transmute;

/// 2^t at a relative error of 3e-6 (bf16 rounds by up to 2⁻⁸, 4e-3); 0 for t below −149, NaN for NaN.
///
/// t = n + r with |r| ≤ 1/2, 2^r by [`EXP2_4`].
///
/// # Safety
/// AVX-512 F and DQ.
#[inline(always)]
pub(super) unsafe fn exp2(t: __m512) -> __m512 {
    const P: [f32; 5] = EXP2_4;
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let n = _mm512_roundscale_ps::<0>(t);
        let r = _mm512_sub_ps(t, n);
        let mut p = _mm512_set1_ps(P[4]);
        for i in (0..4).rev() {
            p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(P[i]));
        }
        _mm512_scalef_ps(p, n)
    }
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
