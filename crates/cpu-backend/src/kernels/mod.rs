//! The SIMD kernels and the only door to them: methods on [`Level`], which check every bound and then jump.
//!
//! `generic/` holds the arithmetic, `portable/`, `avx2/` and `avx512/` a vector type each and the generic
//! kernels compiled for it; `amx/` products of tiles, with AVX-512 for all else. The crate's other `unsafe`: weights mapped from files (`resident.rs`), the lifetime that the thread pool
//! forgets for one call (`pool.rs`), and where operations hand disjoint parts of an output to threads.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod disjoint;
#[cfg(target_arch = "x86_64")]
mod exp2;
mod generic;
mod halves;
mod instantiate;
mod portable;
mod product;
mod whole;
mod words;

#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use amx::tiles_are_configured;
#[cfg(target_arch = "x86_64")]
pub(crate) use amx::{TileSession, TileUnit, fault as amx_fault, refusal as amx_refusal};
pub(crate) use disjoint::Disjoint;
pub(crate) use generic::rows::{Columns, Ending};
pub(crate) use halves::HALVES_STEP;
pub(crate) use product::{
    Beyond, MAX_BYTE_DEPTH, MAX_I16_DEPTH, MAX_TILE_ROWS, Number, RowScale, Tile, i16_limit,
    i16_limit_of_both, row_stride,
};
pub(crate) use whole::{
    BLOCK_KEYS, KeyTerms, LARGEST_I16_WEIGHT, Merge, Softmax, WholeRow, byte_group_place,
};
pub(crate) use words::{WORD_ROWS, Words, word_stride};

use crate::level::{Level, LevelKind};
use half::{bf16, f16};

/// Output columns in a panel of packed weights: two AVX-512 registers.
pub(crate) const PANEL: usize = 32;
/// Rows of a tile of the vector kernels: with two registers of columns, 24 of AVX-512's 32 registers are sums.
pub(crate) const TILE_ROWS: usize = 12;
macro_rules! dispatch {
    ($level:expr, $name:ident($($arg:expr),* $(,)?)) => {
        match $level.kind() {
            // SAFETY: the bounds were checked by the caller of this macro; plain Rust needs no instructions.
            LevelKind::Portable => unsafe { portable::$name($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the bounds were checked; a Level of this kind proves the instructions.
            LevelKind::Avx2 => unsafe { avx2::$name($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the bounds were checked; a Level of these kinds proves the instructions.
            LevelKind::Avx512 | LevelKind::Amx => unsafe { avx512::$name($($arg),*) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("Level::new gives no such level on this target"),
        }
    };
}

/// A matrix `[k][columns]` to stream through, with row length `ld`, in one of the layouts of `generic::matrix`.
#[derive(Clone, Copy)]
pub(crate) enum Matrix<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
    Bf16Pairs(&'a [bf16]),
    /// Every second row counts [`Level::odd`] times: the other factor must be that much smaller there.
    I8Quads(&'a [i8]),
}

impl Matrix<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(w) => w.len(),
            Self::F16(w) => w.len(),
            Self::Bf16(w) | Self::Bf16Pairs(w) => w.len(),
            Self::I8Quads(w) => w.len(),
        }
    }

    /// As the products of tiles take it.
    pub(crate) fn bytes(&self) -> &[u8] {
        let (start, len) = match self {
            Self::F32(w) => (w.as_ptr().cast(), size_of_val(*w)),
            Self::F16(w) => (w.as_ptr().cast(), size_of_val(*w)),
            Self::Bf16(w) | Self::Bf16Pairs(w) => (w.as_ptr().cast(), size_of_val(*w)),
            Self::I8Quads(w) => (w.as_ptr().cast(), size_of_val(*w)),
        };
        // SAFETY: the same memory for the same time; numbers have no bytes of undefined content.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    fn depth_step(&self) -> usize {
        if matches!(self, Self::Bf16Pairs(_) | Self::I8Quads(_)) { 4 } else { 1 }
    }
}

pub(crate) use dispatch;

impl Level {
    /// How many times every second row of [`Matrix::I8Quads`] counts: a power of two.
    pub(crate) fn odd(self) -> f32 {
        match self.kind() {
            LevelKind::Portable => portable::ODD,
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx2 => avx2::ODD,
            #[cfg(target_arch = "x86_64")]
            LevelKind::Avx512 | LevelKind::Amx => avx512::ODD,
            #[cfg(not(target_arch = "x86_64"))]
            _ => 1.0,
        }
    }

    /// `out[r][..columns] = x[r][..k] · w`: `x` at stride `ldx`, `w` with row length `ldw`, `out` at stride `ldo`.
    /// `columns` must be a multiple of 16.
    #[allow(clippy::too_many_arguments, reason = "a matrix product: operands, strides, sizes")]
    pub(crate) fn few_rows(
        self,
        rows: usize,
        x: &[f32],
        ldx: usize,
        w: Matrix,
        ldw: usize,
        k: usize,
        columns: usize,
        out: &mut [f32],
        ldo: usize,
    ) {
        if rows == 0 {
            return;
        }
        assert!(columns.is_multiple_of(16) && columns <= ldw && columns <= ldo);
        assert!(k.is_multiple_of(w.depth_step()) && w.len() >= k * ldw);
        assert!(x.len() >= (rows - 1) * ldx + k && out.len() >= (rows - 1) * ldo + columns);
        let (x, out) = (x.as_ptr(), out.as_mut_ptr());
        match w {
            Matrix::F32(w) => {
                dispatch!(self, few_rows_f32(rows, x, ldx, w.as_ptr(), ldw, k, columns, out, ldo))
            }
            Matrix::F16(w) => {
                dispatch!(self, few_rows_f16(rows, x, ldx, w.as_ptr(), ldw, k, columns, out, ldo))
            }
            Matrix::Bf16(w) => {
                dispatch!(self, few_rows_bf16(rows, x, ldx, w.as_ptr(), ldw, k, columns, out, ldo))
            }
            Matrix::Bf16Pairs(w) => {
                dispatch!(self, few_rows_bf16_pairs(rows, x, ldx, w.as_ptr(), ldw, k, columns, out, ldo))
            }
            Matrix::I8Quads(w) => {
                dispatch!(self, few_rows_i8_quads(rows, x, ldx, w.as_ptr(), ldw, k, columns, out, ldo))
            }
        }
    }

    /// Widens `k` rows of a panel (f32 panels are used in place and refused here).
    pub(crate) fn widen(self, w: Matrix, k: usize, scale: &[f32; PANEL], out: &mut [f32]) {
        assert!(k.is_multiple_of(4) && w.len() >= k * PANEL && out.len() >= k * PANEL);
        let (scale, out) = (scale.as_ptr(), out.as_mut_ptr());
        match w {
            Matrix::Bf16Pairs(w) => dispatch!(self, widen_bf16_pairs(w.as_ptr(), k, scale, out)),
            Matrix::I8Quads(w) => dispatch!(self, widen_i8_quads(w.as_ptr(), k, scale, out)),
            _ => unreachable!("only interleaved panels are widened"),
        }
    }

    /// Calls `f`, compiled for the level as far as it is inlined: for plain loops that the compiler vectorises.
    pub(crate) fn vectorised<R>(self, f: impl FnOnce() -> R) -> R {
        dispatch!(self, vectorised(f))
    }

    pub(crate) fn gelu(self, x: &mut [f32]) {
        dispatch!(self, gelu(x));
    }

    pub(crate) fn scale(self, x: &mut [f32], factor: f32) {
        dispatch!(self, scale(x, factor));
    }

    pub(crate) fn largest(self, x: &[f32]) -> f32 {
        dispatch!(self, largest(x))
    }

    /// Replaces x by e^(x − shift) (shift ≥ every x) and returns the sum.
    pub(crate) fn exp_sum(self, x: &mut [f32], shift: f32) -> f32 {
        dispatch!(self, exp_sum(x, shift))
    }

    pub(crate) fn layer_norm(self, x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32]) {
        assert!(gamma.len() == x.len() && beta.len() == x.len() && y.len() == x.len());
        dispatch!(self, layer_norm(x, gamma, beta, eps, y));
    }

    pub(crate) fn add(self, x: &mut [f32], y: &[f32]) {
        assert_eq!(x.len(), y.len());
        dispatch!(self, add(x, y));
    }
}
