//! Four lanes in plain Rust; the compiler turns them into whatever 128-bit vectors the target has.

use crate::kernels::generic::simd::Simd;
use half::{bf16, f16};

/// The portable level's vector.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct F32x4([f32; 4]);

#[inline(always)]
fn zip(a: F32x4, b: F32x4, f: impl Fn(f32, f32) -> f32) -> F32x4 {
    F32x4(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

#[inline(always)]
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

// SAFETY of the trait's calls: nothing here needs special instructions; pointers are read through
// `read_unaligned` under the trait's own contract.
impl Simd for Portable {
    type V = F32x4;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(v: f32) -> F32x4 {
        F32x4([v; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> F32x4 {
        // SAFETY: the caller vouches for four readable numbers at p.
        F32x4(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: F32x4) {
        // SAFETY: the caller vouches for four writable numbers at p.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v.0) }
    }
    #[inline(always)]
    unsafe fn fma(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        // Not `mul_add`: without an FMA instruction that is a library call.
        F32x4(std::array::from_fn(|i| a.0[i] * b.0[i] + c.0[i]))
    }
    #[inline(always)]
    unsafe fn add(a: F32x4, b: F32x4) -> F32x4 {
        zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(a: F32x4, b: F32x4) -> F32x4 {
        zip(a, b, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn mul(a: F32x4, b: F32x4) -> F32x4 {
        zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn div(a: F32x4, b: F32x4) -> F32x4 {
        zip(a, b, |x, y| x / y)
    }
    #[inline(always)]
    unsafe fn max(a: F32x4, b: F32x4) -> F32x4 {
        // The comparison that one x86 `maxps` performs: the second operand wins when either is NaN.
        zip(a, b, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    unsafe fn abs(a: F32x4) -> F32x4 {
        F32x4(a.0.map(f32::abs))
    }
    #[inline(always)]
    unsafe fn scale2(v: F32x4, n: F32x4) -> F32x4 {
        F32x4(std::array::from_fn(|i| {
            let n = n.0[i] as i32;
            let half = n >> 1;
            v.0[i] * power_of_two(half) * power_of_two(n - half)
        }))
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> F32x4 {
        // SAFETY: the caller vouches for four readable numbers at p; bf16 is a transparent u16.
        let raw = unsafe { p.cast::<[u16; 4]>().read_unaligned() };
        F32x4(raw.map(|v| f32::from_bits(u32::from(v) << 16)))
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const f16) -> F32x4 {
        // SAFETY: the caller vouches for four readable numbers at p; f16 is a transparent u16.
        let raw = unsafe { p.cast::<[u16; 4]>().read_unaligned() };
        F32x4(raw.map(|v| f16::from_bits(v).to_f32()))
    }
    const ODD: f32 = 1.0;
    #[inline(always)]
    unsafe fn load_bf16_pairs(p: *const bf16) -> [F32x4; 2] {
        // SAFETY: the caller vouches for eight readable numbers at p; bf16 is a transparent u16.
        let raw = unsafe { p.cast::<[[u16; 2]; 4]>().read_unaligned() };
        std::array::from_fn(|half| F32x4(raw.map(|pair| f32::from_bits(u32::from(pair[half]) << 16))))
    }
    #[inline(always)]
    unsafe fn load_i8_quads(p: *const i8) -> [F32x4; 4] {
        // SAFETY: the caller vouches for sixteen readable numbers at p.
        let raw = unsafe { p.cast::<[u32; 4]>().read_unaligned() }.map(u32::from_le);
        std::array::from_fn(|j| F32x4(raw.map(|quad| (((quad << (24 - 8 * j)) as i32) >> 24) as f32)))
    }
}
