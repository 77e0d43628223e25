//! Attention's weights of a tile of queries for a panel of keys, without their scores ever leaving the registers.

use super::Avx512;
use super::exponentials::exp2;
use crate::kernels::generic::rows::exp;
use crate::kernels::{PANEL, TILE_ROWS};
use std::arch::x86_64::*;
use std::mem::transmute;

/// What a score may exceed its row's shift by: sums of e^60 times any values are far from f32's end.
const HEADROOM: f32 = 60.0;

/// What scores are made of and weights become.
///
/// # Safety
/// Every method uses AVX-512, that of [`Bf16`] AVX-512 BF16, and may only be inlined where those are enabled.
trait Numbers {
    /// Bytes of a weight.
    const SIZE: usize;
    /// `sum + left · right`, of the numbers in each 4 bytes.
    unsafe fn add_product(sum: __m512, left: __m512i, right: __m512i) -> __m512;
    /// A weight from a score that its shift was taken off.
    unsafe fn power(score: __m512) -> __m512;
    /// Writes 32 weights.
    unsafe fn put(out: *mut u8, low: __m512, high: __m512);
}

struct Bf16;

impl Numbers for Bf16 {
    const SIZE: usize = 2;

    #[inline(always)]
    unsafe fn add_product(sum: __m512, left: __m512i, right: __m512i) -> __m512 {
        // SAFETY: the instruction is there; __m512i and __m512bh are the same 512 bits.
        unsafe {
            let (left, right) = (transmute::<__m512i, __m512bh>(left), transmute::<__m512i, __m512bh>(right));
            _mm512_dpbf16_ps(sum, left, right)
        }
    }

    #[inline(always)]
    unsafe fn power(score: __m512) -> __m512 {
        // SAFETY: the instructions are there.
        unsafe { exp2(score) }
    }

    #[inline(always)]
    unsafe fn put(out: *mut u8, low: __m512, high: __m512) {
        // SAFETY: the instructions are there, and room for 64 bytes; the same 512 bits.
        unsafe {
            let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.cast(), both);
        }
    }
}

struct F32;

impl Numbers for F32 {
    const SIZE: usize = 4;

    #[inline(always)]
    unsafe fn add_product(sum: __m512, left: __m512i, right: __m512i) -> __m512 {
        // SAFETY: the instruction is there.
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(left), _mm512_castsi512_ps(right), sum) }
    }

    #[inline(always)]
    unsafe fn power(score: __m512) -> __m512 {
        // SAFETY: the instructions are there.
        unsafe { exp::<Avx512>(score) }
    }

    #[inline(always)]
    unsafe fn put(out: *mut u8, low: __m512, high: __m512) {
        // SAFETY: the instructions are there, and room for 128 bytes.
        unsafe {
            _mm512_storeu_ps(out.cast(), low);
            _mm512_storeu_ps(out.cast::<f32>().add(16), high);
        }
    }
}

/// Writes the weights of 12 queries for a panel of 32 keys, a power of (a·b − shift), to 12 rows of `out`, zeros beyond the
/// first `keys`, and adds them up lane by lane in `totals`. Returns whether a score was out of reach of its shift: then
/// the weights are of no use. A score that is no number makes its row's total none.
///
/// # Safety
/// The instructions of `N`; 12 rows of `groups` groups of 4 bytes in `a`, `lda` bytes apart, `groups` groups of 128 bytes in
/// `b`, 12 rows of 32 numbers in `out`, `ldo` bytes apart.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    clippy::too_many_arguments,
    reason = "several arrays, and their strides"
)]
unsafe fn weigh<N: Numbers>(
    a: *const u8,
    lda: usize,
    b: *const u8,
    groups: usize,
    shift: &[f32; TILE_ROWS],
    keys: usize,
    out: *mut u8,
    ldo: usize,
    totals: &mut [[f32; 16]; TILE_ROWS],
) -> bool {
    debug_assert!(ldo >= PANEL * N::SIZE);
    let shown = if keys < PANEL { (1 << keys) - 1 } else { !0_u32 };
    // SAFETY: offsets stay inside what the caller vouches for.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
        for i in 0..TILE_ROWS {
            acc[i] = [_mm512_set1_ps(-shift[i]); 2];
        }
        for group in 0..groups {
            let right = b.add(group * 4 * PANEL);
            let right = [_mm512_loadu_si512(right.cast()), _mm512_loadu_si512(right.add(64).cast())];
            for i in 0..TILE_ROWS {
                let left = _mm512_set1_epi32(a.add(i * lda + group * 4).cast::<i32>().read_unaligned());
                acc[i][0] = N::add_product(acc[i][0], left, right[0]);
                acc[i][1] = N::add_product(acc[i][1], left, right[1]);
            }
        }
        let mut top = _mm512_setzero_ps();
        for i in 0..TILE_ROWS {
            // Columns beyond the keys count too; at worst they raise a false alarm. Of a NaN and a number, the second
            // operand is the result: the NaN is passed over here and shows in the total.
            top = _mm512_max_ps(acc[i][0], _mm512_max_ps(acc[i][1], top));
            let low = _mm512_maskz_mov_ps(shown as u16, N::power(acc[i][0]));
            let high = _mm512_maskz_mov_ps((shown >> 16) as u16, N::power(acc[i][1]));
            let total = totals[i].as_mut_ptr();
            _mm512_storeu_ps(total, _mm512_add_ps(_mm512_loadu_ps(total), _mm512_add_ps(low, high)));
            N::put(out.add(i * ldo), low, high);
        }
        _mm512_cmp_ps_mask::<_CMP_GT_OQ>(top, _mm512_set1_ps(HEADROOM)) != 0
    }
}

/// [`weigh`] in bf16, powers of two.
///
/// # Safety
/// The instructions named; the rest as [`weigh`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
#[allow(clippy::too_many_arguments, reason = "as the kernel that it instantiates")]
pub(crate) unsafe fn weigh_bf16(
    a: *const u8,
    lda: usize,
    b: *const u8,
    groups: usize,
    shift: &[f32; TILE_ROWS],
    keys: usize,
    out: *mut u8,
    ldo: usize,
    totals: &mut [[f32; 16]; TILE_ROWS],
) -> bool {
    // SAFETY: the contracts are the same.
    unsafe { weigh::<Bf16>(a, lda, b, groups, shift, keys, out, ldo, totals) }
}

/// [`weigh`] in f32, powers of e.
///
/// # Safety
/// The instructions named; the rest as [`weigh`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[allow(clippy::too_many_arguments, reason = "as the kernel that it instantiates")]
pub(crate) unsafe fn weigh_f32(
    a: *const u8,
    lda: usize,
    b: *const u8,
    groups: usize,
    shift: &[f32; TILE_ROWS],
    keys: usize,
    out: *mut u8,
    ldo: usize,
    totals: &mut [[f32; 16]; TILE_ROWS],
) -> bool {
    // SAFETY: the contracts are the same.
    unsafe { weigh::<F32>(a, lda, b, groups, shift, keys, out, ldo, totals) }
}
