//! The level's products of a tile of 32 rows, under the names and with the operands that AVX-512's have for 12.

use super::product::{GROUP, HEIGHT, Operands};
use super::session::{Kind, TileUnit};
use crate::kernels::PANEL;
use crate::kernels::avx512::Avx512;
use crate::kernels::generic::matrix;
use std::arch::x86_64::*;

/// `c[32][32] (+)= a[32][2·pairs] · b[2·pairs][32]`: rows of `a` are `lda` bytes apart, `b` holds pairs of rows
/// interleaved (`generic::matrix::PairsBf16`).
///
/// # Safety
/// The unit is there; 32 rows of `pairs` pairs in `a`, `pairs` groups of 128 bytes in `b`, 32 rows of 32 at stride
/// `ldc` in `c`.
#[allow(clippy::too_many_arguments, reason = "a matrix product: operands, strides, sizes")]
pub(crate) unsafe fn tile_bf16(
    unit: TileUnit,
    a: *const u8,
    lda: usize,
    b: *const u8,
    pairs: usize,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
) {
    let kind = if accumulate { Kind::AddBf16 } else { Kind::Bf16 };
    let on = Operands { a, a_stride: lda, b, groups: pairs, c: c.cast(), c_stride: ldc * GROUP };
    // SAFETY: the contracts are the same.
    unsafe { unit.multiply(kind, on) }
}

/// `c[32][32] = Σ a[r][k] · b[k][o]` for u8 times i8, then rounded to f32: rows of `a` are `lda` bytes apart, `b` holds
/// groups of four rows interleaved (`generic::matrix::QuadsI8`).
///
/// # Safety
/// AVX-512 F and the unit; 32 rows of `quads` quads in `a`, `quads` groups of 128 bytes in `b`, 32 rows of 32 at stride
/// `ldc` in `c`.
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn tile_u8(
    unit: TileUnit,
    a: *const u8,
    lda: usize,
    b: *const u8,
    quads: usize,
    c: *mut f32,
    ldc: usize,
) {
    let on = Operands { a, a_stride: lda, b, groups: quads, c: c.cast(), c_stride: ldc * GROUP };
    // SAFETY: the contracts are the same; then 32 rows of 32 numbers are read as i32 and written as f32.
    unsafe {
        unit.multiply(Kind::Bytes, on);
        for row in 0..HEIGHT {
            for column in (0..PANEL).step_by(16) {
                let p = c.add(row * ldc + column);
                _mm512_storeu_ps(p, _mm512_cvtepi32_ps(_mm512_loadu_si512(p.cast())));
            }
        }
    }
}

/// `c[32][32] (+)= a[32][k] · b[k][32]`: rows of `a` are `lda` bytes apart. There are no tiles of f32; registers hold 8 rows.
///
/// # Safety
/// The instructions named; 32 rows of k numbers in `a`, k rows of 32 in `b`, 32 rows of 32 at stride `ldc` in `c`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(crate) unsafe fn tile_f32(
    a: *const u8,
    lda: usize,
    b: *const f32,
    k: usize,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
) {
    // SAFETY: the contracts are the same.
    unsafe {
        if accumulate {
            matrix::tile::<Avx512, HEIGHT, 8, 2, true>(a, lda, b, k, c, ldc);
        } else {
            matrix::tile::<Avx512, HEIGHT, 8, 2, false>(a, lda, b, k, c, ldc);
        }
    }
}
