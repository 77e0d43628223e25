//! One vector register and what the kernels do with it.
//!
//! Each level implements [`Simd`] once; the generic kernels beside this file are written against it and compiled
//! once per level inside functions that enable that level's instructions.

use half::{bf16, f16};

/// A vector of [`Simd::LANES`] f32 numbers.
///
/// # Safety
///
/// Every method may use instructions of the implementor's level, so it must only be called (and, to be inlined,
/// only from a function) where those are enabled. Methods that take a pointer read or write exactly the count of
/// elements that they name, at any alignment.
pub(crate) trait Simd: Copy {
    /// The register.
    type V: Copy;
    /// f32 numbers in a register; divides 16.
    const LANES: usize;

    unsafe fn splat(v: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Asks for the cache line of `p`, wherever it points; does nothing where there is no such instruction.
    #[inline(always)]
    unsafe fn prefetch(_p: *const u8) {}
    /// `a·b + c`, with one rounding where the level has FMA.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn abs(a: Self::V) -> Self::V;
    /// `v · 2^n` for integral `n` in −252…252, `v` in 0.5…2; gradual underflow, infinity on overflow.
    unsafe fn scale2(v: Self::V, n: Self::V) -> Self::V;

    /// `LANES` bf16 numbers, widened.
    unsafe fn load_bf16(p: *const bf16) -> Self::V;
    /// `LANES` f16 numbers, widened.
    unsafe fn load_f16(p: *const f16) -> Self::V;
    /// `LANES` pairs of bf16 numbers: all first ones, all second ones.
    unsafe fn load_bf16_pairs(p: *const bf16) -> [Self::V; 2];
    /// How many times too large [`Simd::load_i8_quads`] gives the second and fourth numbers: 1 or 256.
    const ODD: f32;
    /// `LANES` groups of four i8 numbers: all first ones, all second ones times [`Simd::ODD`], all third ones, all
    /// fourth ones times that.
    unsafe fn load_i8_quads(p: *const i8) -> [Self::V; 4];
}
