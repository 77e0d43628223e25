//! Products of 8-bit whole numbers (AVX-512 VNNI): four times the multiply-adds of f32 per instruction.

use crate::kernels::{A_STRIDE, PANEL, TILE_ROWS};
use std::arch::x86_64::*;

/// What is added to an activation to make it unsigned, as `vpdpbusd` wants its first operand.
const SHIFT: i32 = 128;

/// `c[r][o] (+)= row_scale[r] · column_scale[o] · Σ (a[r][k] − 128) · b[k][o]` for 12 rows and 32 columns: `a` holds
/// quads of u8 as [`quantise`] writes them, at a row stride of [`A_STRIDE`] quads, `b` groups of four rows
/// interleaved (`generic::matrix::QuadsI8`). Sums are exact: at most 4 · 272 · 255 · 128 < 2³¹.
///
/// # Safety
/// The instructions named; 12 rows of `quads` in `a`, `quads` groups of 128 in `b`, 12 and 32 scales, 12 rows of 32
/// at stride `ldc` in `c`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[allow(
    clippy::needless_range_loop,
    clippy::too_many_arguments,
    reason = "several arrays, and their strides"
)]
pub(crate) unsafe fn tile_i8(
    a: *const f32,
    row_scale: *const f32,
    b: *const i8,
    quads: usize,
    column_scale: *const f32,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
) {
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        let mut acc = [[_mm512_setzero_si512(); 2]; TILE_ROWS];
        // What the shift adds to every sum of a column.
        let mut excess = [_mm512_setzero_si512(); 2];
        let shift = _mm512_set1_epi8(SHIFT as u8 as i8);
        for quad in 0..quads {
            let right = b.add(quad * 4 * PANEL);
            let right = [_mm512_loadu_si512(right.cast()), _mm512_loadu_si512(right.add(64).cast())];
            excess[0] = _mm512_dpbusd_epi32(excess[0], shift, right[0]);
            excess[1] = _mm512_dpbusd_epi32(excess[1], shift, right[1]);
            for i in 0..TILE_ROWS {
                let left = _mm512_set1_epi32(a.add(i * A_STRIDE + quad).cast::<i32>().read_unaligned());
                acc[i][0] = _mm512_dpbusd_epi32(acc[i][0], left, right[0]);
                acc[i][1] = _mm512_dpbusd_epi32(acc[i][1], left, right[1]);
            }
        }
        for i in 0..TILE_ROWS {
            for v in 0..2 {
                let p = c.add(i * ldc + v * 16);
                let sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(acc[i][v], excess[v]));
                let scale = _mm512_loadu_ps(column_scale.add(v * 16));
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(*row_scale.add(i)));
                let before = if accumulate { _mm512_loadu_ps(p) } else { _mm512_setzero_ps() };
                _mm512_storeu_ps(p, _mm512_fmadd_ps(sum, scale, before));
            }
        }
    }
}

/// Rounds `n` numbers divided by `scale` to whole numbers (nearest, ties to even; |x / scale| ≤ 127), adds 128 and
/// writes them as quads over f32 places, padded with zeros (that is 128) to `quads` quads.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for `quads` ≥ n / 4 places.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn quantise(x: *const f32, n: usize, scale: f32, out: *mut f32, quads: usize) {
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let out = out.cast::<u8>();
    let whole = n / 16 * 16;
    // SAFETY: reads stay below n, writes below 4 · quads bytes, 4 · quads ≥ n.
    unsafe {
        let mut i = 0;
        while i < whole {
            let q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x.add(i)), _mm512_set1_ps(inverse)));
            let q = _mm512_cvtepi32_epi8(_mm512_add_epi32(q, _mm512_set1_epi32(SHIFT)));
            _mm_storeu_si128(out.add(i).cast(), q);
            i += 16;
        }
        for i in whole..4 * quads {
            let q = if i < n { (*x.add(i) * inverse).round_ties_even() as i32 } else { 0 };
            *out.add(i) = (q + SHIFT) as u8;
        }
    }
}
