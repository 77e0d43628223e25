//! Sixteen lanes: AVX-512 F, BW, DQ and VL.

use crate::kernels::generic::simd::Simd;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// The AVX-512 level's vector.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

macro_rules! intrinsic {
    ($body:expr) => {
        // SAFETY: the trait demands that the level's instructions are enabled and its pointers readable/writable.
        unsafe { $body }
    };
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(v))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        intrinsic!(_mm512_loadu_ps(p))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        intrinsic!(_mm512_storeu_ps(p, v))
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T0>(p.cast()))
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    unsafe fn abs(a: __m512) -> __m512 {
        intrinsic!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    unsafe fn scale2(v: __m512, n: __m512) -> __m512 {
        intrinsic!(_mm512_scalef_ps(v, n))
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> __m512 {
        intrinsic!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const f16) -> __m512 {
        intrinsic!(_mm512_cvtph_ps(_mm256_loadu_si256(p.cast())))
    }
    const ODD: f32 = 256.0;
    #[inline(always)]
    unsafe fn load_bf16_pairs(p: *const bf16) -> [__m512; 2] {
        intrinsic!({
            let raw = _mm512_loadu_si512(p.cast());
            let first = _mm512_slli_epi32::<16>(raw);
            let second = _mm512_and_si512(raw, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(first), _mm512_castsi512_ps(second)]
        })
    }
    #[inline(always)]
    unsafe fn load_i8_quads(p: *const i8) -> [__m512; 4] {
        intrinsic!({
            let low = _mm512_loadu_si512(p.cast());
            let high = _mm512_srli_epi32::<16>(low);
            [
                widen_byte(low, BYTE[0]),
                widen_byte(low, BYTE[1]),
                widen_byte(high, BYTE[0]),
                widen_byte(high, BYTE[1]),
            ]
        })
    }
}

/// How bytes become f32 without a conversion instruction, each a flip of bits and an exact subtraction: under the
/// exponent of 2²³ a byte in the lowest place counts 1, one in the second lowest 256. Flipping its sign bit makes
/// it w + 128, and the subtraction takes the 2²³ and the 128 (or 256 · 128) off again.
/// (place, bits to flip, what to subtract) for the two lowest bytes.
const BYTE: [(u32, u32, f32); 2] =
    [(0xff, 0x4b00_0080, 8_388_608.0 + 128.0), (0xff00, 0x4b00_8000, 8_388_608.0 + 32_768.0)];

/// One byte of every 32 bits, see [`BYTE`].
///
/// # Safety
/// AVX-512 F.
#[inline(always)]
unsafe fn widen_byte(raw: __m512i, (place, flip, minus): (u32, u32, f32)) -> __m512 {
    intrinsic!({
        // The truth table of (a and b) xor c.
        const AND_XOR: i32 = 0x6a;
        let (place, flip) = (_mm512_set1_epi32(place as i32), _mm512_set1_epi32(flip as i32));
        let bits = _mm512_ternarylogic_epi32::<AND_XOR>(raw, place, flip);
        _mm512_sub_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(minus))
    })
}
