//! The SIMD kernels and the only door to them: methods on [`Level`], which check every bound and then jump.
//!
//! `generic/` holds the arithmetic, `portable/`, `avx2/` and `avx512/` a vector type each and the generic
//! kernels compiled for it; `amx/` products by tiles, with AVX-512 for all else. The crate's other `unsafe`: aligned memory (`aligned.rs`), the lifetime that the thread pool
//! forgets for one call (`pool.rs`), and where operations hand disjoint parts of an output to threads.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod disjoint;
mod generic;
mod instantiate;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::{TileUnit, refusal as amx_refusal};
pub(crate) use disjoint::{Block, Disjoint};

use crate::level::{Level, LevelKind};
use half::{bf16, f16};

/// Output columns in a panel of packed weights: two AVX-512 registers.
pub(crate) const PANEL: usize = 32;
/// Rows of a tile: with two registers of columns, 24 of AVX-512's 32 registers are sums.
pub(crate) const TILE_ROWS: usize = 12;
/// Depth of one pass over a tile: 12 rows × 1 KiB stay in a 32 KiB L1 cache beside the weights streaming by.
pub(crate) const DEPTH: usize = 256;
/// Row stride of the left operand of a tile: 17 cache lines, odd, so that rows do not fall on the same cache sets.
pub(crate) const A_STRIDE: usize = DEPTH + 16;

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

    fn depth_step(&self) -> usize {
        if matches!(self, Self::Bf16Pairs(_) | Self::I8Quads(_)) { 4 } else { 1 }
    }
}

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

    /// `c[12][32] (+)= a[12][k] · b[k][32]`: `a` at stride [`A_STRIDE`], `b` at row length `ldb`.
    pub(crate) fn tile(self, a: &[f32], b: &[f32], ldb: usize, k: usize, c: &mut Block, accumulate: bool) {
        assert!(k <= A_STRIDE && a.len() >= (TILE_ROWS - 1) * A_STRIDE + k);
        assert!(ldb >= PANEL && (k == 0 || b.len() >= (k - 1) * ldb + PANEL));
        assert!(c.rows() == TILE_ROWS && c.columns() == PANEL);
        let ldc = c.stride();
        dispatch!(self, tile_f32(a.as_ptr(), b.as_ptr(), ldb, k, c.as_mut_ptr(), ldc, accumulate));
    }

    /// `c[12][32] (+)= a[12][2·pairs] · b[2·pairs][32]` in bf16: `a` as [`Level::narrow`] writes it, at a stride of
    /// [`A_STRIDE`] pairs. Only for levels that have bf16 products.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn tile_bf16(self, a: &[f32], b: &[bf16], pairs: usize, c: &mut Block, accumulate: bool) {
        assert!(self.has_bf16(), "{self} has no bf16 products");
        assert!(pairs <= A_STRIDE && a.len() >= (TILE_ROWS - 1) * A_STRIDE + pairs);
        assert!(b.len() >= pairs * 2 * PANEL);
        assert!(c.rows() == TILE_ROWS && c.columns() == PANEL);
        let ldc = c.stride();
        // SAFETY: the bounds were checked; `has_bf16` is only set with AVX-512 and its BF16 instructions.
        unsafe { avx512::tile_bf16(a.as_ptr(), b.as_ptr(), pairs, c.as_mut_ptr(), ldc, accumulate) }
    }

    /// Rounds `x` to bf16, written as pairs over the places of `out`, padded with zeros.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn narrow(self, x: &[f32], out: &mut [f32]) {
        assert!(self.has_bf16(), "{self} has no bf16 products");
        assert!(out.len() >= x.len().div_ceil(2));
        // SAFETY: the bounds were checked; `has_bf16` is only set with AVX-512 and its BF16 instructions.
        unsafe { avx512::narrow(x.as_ptr(), x.len(), out.as_mut_ptr(), out.len()) }
    }

    /// `c[12][32] (+)= row_scale · column_scale · Σ a·b` in 8 bits: `a` as [`Level::quantise`] writes it, at a stride of
    /// [`A_STRIDE`] quads. Only for levels that have VNNI.
    #[cfg(target_arch = "x86_64")]
    #[allow(clippy::too_many_arguments, reason = "matrices and their strides")]
    pub(crate) fn tile_i8(
        self,
        a: &[f32],
        row_scale: &[f32; TILE_ROWS],
        b: &[i8],
        quads: usize,
        column_scale: &[f32; PANEL],
        c: &mut Block,
        accumulate: bool,
    ) {
        assert!(self.has_vnni(), "{self} has no integer products");
        assert!(quads <= A_STRIDE && a.len() >= (TILE_ROWS - 1) * A_STRIDE + quads);
        assert!(b.len() >= quads * 4 * PANEL);
        assert!(c.rows() == TILE_ROWS && c.columns() == PANEL);
        let (ldc, rows, columns) = (c.stride(), row_scale.as_ptr(), column_scale.as_ptr());
        // SAFETY: the bounds were checked; `has_vnni` is only set with AVX-512 and its VNNI instructions.
        unsafe {
            avx512::tile_i8(a.as_ptr(), rows, b.as_ptr(), quads, columns, c.as_mut_ptr(), ldc, accumulate)
        }
    }

    /// Rounds `x` / `scale` to whole numbers, written as quads over the places of `out`, padded with zeros.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn quantise(self, x: &[f32], scale: f32, out: &mut [f32]) {
        assert!(self.has_vnni(), "{self} has no integer products");
        assert!(out.len() >= x.len().div_ceil(4));
        // SAFETY: the bounds were checked; `has_vnni` is only set with AVX-512 and its VNNI instructions.
        unsafe { avx512::quantise(x.as_ptr(), x.len(), scale, out.as_mut_ptr(), out.len()) }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[allow(clippy::too_many_arguments, reason = "matrices and their strides")]
    pub(crate) fn tile_i8(
        self,
        _: &[f32],
        _: &[f32; TILE_ROWS],
        _: &[i8],
        _: usize,
        _: &[f32; PANEL],
        _: &mut Block,
        _: bool,
    ) {
        unreachable!("has_vnni is false on this target");
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn quantise(self, _: &[f32], _: f32, _: &mut [f32]) {
        unreachable!("has_vnni is false on this target");
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn tile_bf16(self, _: &[f32], _: &[bf16], _: usize, _: &mut Block, _: bool) {
        unreachable!("has_bf16 is false on this target");
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn narrow(self, _: &[f32], _: &mut [f32]) {
        unreachable!("has_bf16 is false on this target");
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

    /// Adds `bias` to every row of `c`, 32 wide, then applies GELU if asked.
    pub(crate) fn finish(self, c: &mut Block, bias: &[f32; PANEL], gelu: bool) {
        assert!(c.columns() == PANEL);
        let (ldc, rows) = (c.stride(), c.rows());
        dispatch!(self, finish(c.as_mut_ptr(), ldc, rows, bias.as_ptr(), gelu));
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
