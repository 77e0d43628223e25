//! Attention in 8 bits: rows rounded to bytes, and a row's scores made weights without leaving the registers.

use crate::kernels::exp2::EXP2_3;
use crate::kernels::{BLOCK_KEYS, Merge, PANEL, WholeRow};
use std::arch::x86_64::*;

/// Registers of a block of keys.
const VECTORS: usize = BLOCK_KEYS / 16;
/// Binary logarithm of the largest byte.
const LOG2_255: f32 = 7.994_353_4;
/// A score that weighs nothing: finite, so that differences of it are numbers.
const HIDDEN: f32 = -1e30;

/// Rounds `n` numbers to whole ones in ∓127 (nearest, ties to even), as i8, or as u8 with zero at 128.
///
/// # Safety
/// The instructions named; `x` holds n numbers, `out` has room for n bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn round_i8(x: *const f32, n: usize, unsigned: bool, out: *mut u8) -> WholeRow {
    // SAFETY: masked loads and stores do not touch what lies beyond n.
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
        // So that its inverse is finite.
        let scale = (_mm512_reduce_max_ps(most) / 127.0).max(f32::MIN_POSITIVE);
        let factor = _mm512_set1_ps(1.0 / scale);
        let flip = _mm_set1_epi8(if unsigned { i8::MIN } else { 0 });
        let mut sum = _mm512_setzero_si512();
        for i in (0..n).step_by(16) {
            let v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(i), x.add(i)), factor);
            let whole = _mm512_cvtps_epi32(v);
            sum = _mm512_add_epi32(sum, whole);
            let bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(whole), flip);
            _mm_mask_storeu_epi8(out.add(i).cast(), lanes(i), bytes);
        }
        let sum = _mm512_reduce_add_epi32(sum) as f32;
        WholeRow { scale: scale + _mm512_reduce_add_ps(poison), sum }
    }
}

/// 2^t at a relative error of 8e-5 (bytes round by 2e-3 and more); 0 for t below −149, NaN for NaN.
///
/// t = n + r with |r| ≤ 1/2, 2^r by [`EXP2_3`].
///
/// # Safety
/// AVX-512 F and DQ.
#[inline(always)]
unsafe fn exp2(t: __m512) -> __m512 {
    const P: [f32; 4] = EXP2_3;
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let n = _mm512_roundscale_ps::<0>(t);
        let r = _mm512_sub_ps(t, n);
        let mut p = _mm512_fmadd_ps(_mm512_set1_ps(P[3]), r, _mm512_set1_ps(P[2]));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(P[1]));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(P[0]));
        _mm512_scalef_ps(p, n)
    }
}

/// The bytes of a row's weights times the scales of their values, and the row's softmax so far: see
/// `Level::soften_bytes`. `terms` are the keys' scales and biases, the logarithms of their values' scales and the inverses.
///
/// With the scales' logarithms added to the scores the largest product becomes 255. Totals count the weights themselves, as
/// they are before they are rounded.
///
/// # Safety
/// The instructions named; [`BLOCK_KEYS`] numbers in `sums` and each of `terms`, 16 in `total`, room for [`BLOCK_KEYS`] bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn soften_bytes(
    sums: *const f32,
    terms: [*const f32; 4],
    factor: f32,
    seen: usize,
    reference: &mut f32,
    total: *mut f32,
    out: *mut u8,
) -> [f32; 2] {
    // SAFETY: the contracts are the same.
    unsafe {
        if seen == BLOCK_KEYS {
            soften_block::<true>(sums, terms, factor, seen, reference, total, out)
        } else {
            soften_block::<false>(sums, terms, factor, seen, reference, total, out)
        }
    }
}

/// [`soften_bytes`]; `ALL` where every key is seen.
///
/// # Safety
/// As there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[allow(clippy::needless_range_loop, reason = "the index is that of several arrays")]
unsafe fn soften_block<const ALL: bool>(
    sums: *const f32,
    terms: [*const f32; 4],
    factor: f32,
    seen: usize,
    reference: &mut f32,
    total: *mut f32,
    out: *mut u8,
) -> [f32; 2] {
    let [scale, bias, value_log, value_inverse] = terms;
    let factor = _mm512_set1_ps(factor);
    let hidden = _mm512_set1_ps(HIDDEN);
    // Terms of keys that are not seen may be anything.
    let lanes = |at: usize| if ALL || seen >= at + 16 { !0_u16 } else { (1 << seen.saturating_sub(at)) - 1 };
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        let mut scores = [hidden; VECTORS];
        let mut most = hidden;
        for v in 0..VECTORS {
            let at = v * 16;
            let load = |from: *const f32| _mm512_loadu_ps(from.add(at));
            let score = _mm512_fmadd_ps(load(sums), load(scale), load(bias));
            let score = _mm512_fmadd_ps(score, factor, load(value_log));
            scores[v] = _mm512_mask_mov_ps(hidden, lanes(at), score);
            most = _mm512_max_ps(most, scores[v]);
        }
        let largest = _mm512_reduce_max_ps(most) - LOG2_255;
        let shift = _mm512_set1_ps(largest);
        let mut of_block = _mm512_setzero_ps();
        let mut whole = [_mm512_setzero_si512(); VECTORS];
        for v in 0..VECTORS {
            let weight = exp2(_mm512_sub_ps(scores[v], shift));
            let inverse = _mm512_loadu_ps(value_inverse.add(v * 16));
            of_block = _mm512_mask3_fmadd_ps(weight, inverse, of_block, lanes(v * 16));
            whole[v] = _mm512_cvtps_epi32(weight);
        }
        for (four, whole) in whole.as_chunks::<4>().0.iter().enumerate() {
            let low = _mm512_packs_epi32(whole[0], whole[1]);
            let high = _mm512_packs_epi32(whole[2], whole[3]);
            _mm512_storeu_si512(out.add(four * 64).cast(), _mm512_packus_epi16(low, high));
        }
        // NaN is passed over here and shows in the total.
        let most = largest.max(*reference);
        let mut both = [0.0; 16];
        [both[0], both[1]] = [*reference - most, largest - most];
        _mm512_storeu_ps(both.as_mut_ptr(), exp2(_mm512_loadu_ps(both.as_ptr())));
        *reference = most;
        let [before, new, ..] = both;
        let sum = _mm512_mul_ps(_mm512_loadu_ps(total), _mm512_set1_ps(before));
        _mm512_storeu_ps(total, _mm512_fmadd_ps(of_block, _mm512_set1_ps(new), sum));
        [before, new]
    }
}

/// See `Level::merge`.
///
/// # Safety
/// AVX-512 F; as many rows of 32 as there are in `merges` in `new`, and in `sums` at `stride`.
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn merge(merges: &[Merge], new: *const f32, sums: *mut f32, stride: usize) {
    for (row, merge) in merges.iter().enumerate() {
        let (before, factor) = (_mm512_set1_ps(merge.before), _mm512_set1_ps(merge.new));
        for v in 0..PANEL / 16 {
            // SAFETY: offsets stay inside what the caller vouches for.
            unsafe {
                let to = sums.add(row * stride + v * 16);
                let old = _mm512_mul_ps(_mm512_loadu_ps(to), before);
                let added = _mm512_loadu_ps(new.add(row * PANEL + v * 16));
                _mm512_storeu_ps(to, _mm512_fmadd_ps(added, factor, old));
            }
        }
    }
}
