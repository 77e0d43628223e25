//! Products of bf16 pairs (AVX-512 BF16): twice the multiply-adds of f32 per instruction.
//!
//! `vdpbf16ps` multiplies exactly, adds the two products of a pair and the sum in f32, and treats subnormal
//! numbers as zero.

use crate::kernels::{PANEL, TILE_ROWS};
use half::bf16;
use std::arch::x86_64::*;
use std::mem::transmute;

/// `c[12][32] (+)= a[12][2·pairs] · b[2·pairs][32]`: rows of `a` are `lda` bytes apart, `b` holds pairs of rows
/// interleaved (`generic::matrix::PairsBf16`).
///
/// # Safety
/// The instructions named; 12 rows of `pairs` pairs in `a`, `pairs` groups of 128 bytes in `b`, 12 rows of 32 at stride
/// `ldc` in `c`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
pub(crate) unsafe fn tile_bf16(
    a: *const u8,
    lda: usize,
    b: *const u8,
    pairs: usize,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
) {
    // SAFETY: offsets stay inside what the caller vouches for; __m512i and __m512bh are the same 512 bits.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
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
        for i in 0..TILE_ROWS {
            for v in 0..2 {
                let p = c.add(i * ldc + v * 16);
                let sum = if accumulate { _mm512_add_ps(_mm512_loadu_ps(p), acc[i][v]) } else { acc[i][v] };
                _mm512_storeu_ps(p, sum);
            }
        }
    }
}

/// Rounds `n` numbers to bf16 (nearest, ties to even), then zeros up to `bytes`.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for `bytes` ≥ 2 · n.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(crate) unsafe fn narrow(x: *const f32, n: usize, out: *mut u8, bytes: usize) {
    let whole = n / 32 * 32;
    // SAFETY: reads stay below n, writes below `bytes` ≥ 2 · n.
    unsafe {
        let mut i = 0;
        while i < whole {
            let both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x.add(i + 16)), _mm512_loadu_ps(x.add(i)));
            _mm512_storeu_si512(out.add(2 * i).cast(), transmute::<__m512bh, __m512i>(both));
            i += 32;
        }
        for i in whole..n {
            out.cast::<bf16>().add(i).write_unaligned(bf16::from_f32(*x.add(i)));
        }
        out.add(2 * n).write_bytes(0, bytes - 2 * n);
    }
}
