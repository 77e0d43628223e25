//! Attention in 16 bits: a row's scores made weights of whole numbers, and blocks of weighted sums added up.

use super::lanes::Avx2;
use crate::kernels::exp2::EXP2_4;
use crate::kernels::generic::simd::Simd;
use crate::kernels::{BLOCK_KEYS, LARGEST_I16_WEIGHT, Merge, PANEL};
use std::arch::x86_64::*;

/// Registers of a block of keys.
const VECTORS: usize = BLOCK_KEYS / 8;
/// Binary logarithm of the largest weight.
const LOG2_LARGEST: f32 = 11.999_648;
/// A score that weighs nothing: finite, so that differences of it are numbers.
const HIDDEN: f32 = -1e30;
/// Octaves below the largest within which all powers are normal numbers.
const NORMAL: f32 = 120.0;

/// 2^t by [`EXP2_4`], NaN for NaN; if not `FAR`, for normal powers only.
///
/// # Safety
/// AVX2 and FMA.
#[inline(always)]
unsafe fn exp2<const FAR: bool>(t: __m256) -> __m256 {
    const P: [f32; 5] = EXP2_4;
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        // The operand order lets a NaN through.
        let t = if FAR { _mm256_max_ps(_mm256_set1_ps(-250.0), t) } else { t };
        let whole = _mm256_cvtps_epi32(t);
        let n = _mm256_cvtepi32_ps(whole);
        let r = _mm256_sub_ps(t, n);
        let mut p = _mm256_set1_ps(P[4]);
        for i in (0..4).rev() {
            p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(P[i]));
        }
        if FAR {
            return Avx2::scale2(p, n);
        }
        // Of NaN, `whole` has no bits left to shift.
        let shifted = _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32::<23>(whole));
        _mm256_castsi256_ps(shifted)
    }
}

/// The largest lane; NaN is passed over.
///
/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn largest(v: __m256) -> f32 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let v = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let v = _mm_max_ps(v, _mm_movehl_ps(v, v));
        _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)))
    }
}

/// The weights of a row times the scales of their values, 16 bits each, and the row's softmax so far: see
/// `Level::soften`. `terms` are the keys' scales, the logarithms of their values' scales and the inverses.
///
/// # Safety
/// The instructions named; [`BLOCK_KEYS`] numbers in `sums` and each of `terms`, 8 in `total`, room for twice as many bytes.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn soften_i16(
    sums: *const f32,
    terms: [*const f32; 3],
    factor: f32,
    seen: usize,
    reference: &mut f32,
    total: *mut f32,
    out: *mut u8,
) -> [f32; 2] {
    let [scale, value_log, value_inverse] = terms;
    let hidden = _mm256_set1_ps(HIDDEN);
    let mut scores = [hidden; VECTORS];
    let (mut most, mut least) = (hidden, _mm256_set1_ps(f32::MAX));
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        let factor = _mm256_set1_ps(factor);
        for (v, score) in scores.iter_mut().enumerate().take(seen.div_ceil(8)) {
            let load = |from: *const f32| _mm256_loadu_ps(from.add(v * 8));
            let power = _mm256_mul_ps(load(scale), factor);
            *score = _mm256_fmadd_ps(load(sums), power, load(value_log));
            if seen < v * 8 + 8 {
                // Terms of keys that are not seen may be anything.
                *score = _mm256_blendv_ps(hidden, *score, first_lanes(seen - v * 8));
            }
            // The operand order passes over NaN, which shows in the total.
            most = _mm256_max_ps(*score, most);
            least = _mm256_min_ps(*score, least);
        }
        let most = largest(most);
        let least = -largest(_mm256_sub_ps(_mm256_setzero_ps(), least));
        let shift = most - LOG2_LARGEST;
        let of_block = if seen == BLOCK_KEYS && most - least < NORMAL {
            weigh::<true>(&scores, shift, seen, value_inverse, out)
        } else {
            weigh::<false>(&scores, shift, seen, value_inverse, out)
        };
        let most = shift.max(*reference);
        let both = _mm256_setr_ps(*reference - most, shift - most, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        let mut powers = [0.0_f32; 8];
        _mm256_storeu_ps(powers.as_mut_ptr(), exp2::<true>(both));
        *reference = most;
        let [before, new, ..] = powers;
        let sum = _mm256_mul_ps(_mm256_loadu_ps(total), _mm256_set1_ps(before));
        _mm256_storeu_ps(total, _mm256_fmadd_ps(of_block, _mm256_set1_ps(new), sum));
        [before, new]
    }
}

/// Ones in the first `n` < 8 lanes.
///
/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn first_lanes(n: usize) -> __m256 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), places))
    }
}

/// Weights of a block's scores, the largest of which are [`LARGEST_I16_WEIGHT`], to `out`; returns the sum of the weights by
/// their values' scales, as they are before they are rounded. `NEAR` where every key is seen and no power is subnormal.
///
/// # Safety
/// As [`soften_i16`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn weigh<const NEAR: bool>(
    scores: &[__m256; VECTORS],
    shift: f32,
    seen: usize,
    value_inverse: *const f32,
    out: *mut u8,
) -> __m256 {
    let shift = _mm256_set1_ps(shift);
    // Scores of a million and more have steps of their own that would come out above it.
    let limit = _mm256_set1_epi16(LARGEST_I16_WEIGHT);
    let mut total = _mm256_setzero_ps();
    for (pair, scores) in scores.as_chunks::<2>().0.iter().enumerate() {
        let mut whole = [_mm256_setzero_si256(); 2];
        for (v, score) in scores.iter().enumerate() {
            let at = pair * 16 + v * 8;
            // SAFETY: offsets stay inside what the caller vouches for.
            unsafe {
                let difference = _mm256_sub_ps(*score, shift);
                let weight = if NEAR { exp2::<false>(difference) } else { exp2::<true>(difference) };
                whole[v] = _mm256_cvtps_epi32(weight);
                let mut inverse = _mm256_loadu_ps(value_inverse.add(at));
                if !NEAR && seen < at + 8 {
                    inverse = _mm256_and_ps(inverse, first_lanes(seen.saturating_sub(at)));
                }
                total = _mm256_fmadd_ps(weight, inverse, total);
            }
        }
        // Packing goes by halves of registers.
        let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(whole[0], whole[1]));
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(out.add(pair * 32).cast(), _mm256_min_epi16(both, limit)) };
    }
    total
}

/// See `Level::merge`.
///
/// # Safety
/// AVX2 and FMA; as many rows of 32 as there are in `merges` in `new`, and in `sums` at `stride`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn merge(merges: &[Merge], new: *const f32, sums: *mut f32, stride: usize) {
    for (row, merge) in merges.iter().enumerate() {
        let (before, factor) = (_mm256_set1_ps(merge.before), _mm256_set1_ps(merge.new));
        for v in 0..PANEL / 8 {
            // SAFETY: offsets stay inside what the caller vouches for.
            unsafe {
                let to = sums.add(row * stride + v * 8);
                let old = _mm256_mul_ps(_mm256_loadu_ps(to), before);
                let added = _mm256_loadu_ps(new.add(row * PANEL + v * 8));
                _mm256_storeu_ps(to, _mm256_fmadd_ps(added, factor, old));
            }
        }
    }
}
