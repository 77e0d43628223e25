//! Eight lanes: AVX2 with FMA and F16C.

use crate::kernels::generic::simd::Simd;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// The AVX2 level's vector.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

macro_rules! intrinsic {
    ($body:expr) => {
        // SAFETY: the trait demands that the level's instructions are enabled and its pointers readable/writable.
        unsafe { $body }
    };
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m256 {
        intrinsic!(_mm256_set1_ps(v))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        intrinsic!(_mm256_loadu_ps(p))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        intrinsic!(_mm256_storeu_ps(p, v))
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T0>(p.cast()))
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        intrinsic!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    unsafe fn abs(a: __m256) -> __m256 {
        intrinsic!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    unsafe fn scale2(v: __m256, n: __m256) -> __m256 {
        intrinsic!({
            // Two factors, so that neither leaves the range of normal numbers.
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias));
            let second = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias));
            _mm256_mul_ps(_mm256_mul_ps(v, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second))
        })
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> __m256 {
        intrinsic!({
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        })
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const f16) -> __m256 {
        intrinsic!(_mm256_cvtph_ps(_mm_loadu_si128(p.cast())))
    }
    const ODD: f32 = 1.0;
    #[inline(always)]
    unsafe fn load_bf16_pairs(p: *const bf16) -> [__m256; 2] {
        intrinsic!({
            let raw = _mm256_loadu_si256(p.cast());
            let first = _mm256_slli_epi32::<16>(raw);
            let second = _mm256_and_si256(raw, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            [_mm256_castsi256_ps(first), _mm256_castsi256_ps(second)]
        })
    }
    #[inline(always)]
    unsafe fn load_i8_quads(p: *const i8) -> [__m256; 4] {
        intrinsic!({
            // With 16 registers, shifts are faster than the masks of the AVX-512 level.
            let raw = _mm256_loadu_si256(p.cast());
            [
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<24>(raw))),
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<16>(raw))),
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<8>(raw))),
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(raw)),
            ]
        })
    }
}
