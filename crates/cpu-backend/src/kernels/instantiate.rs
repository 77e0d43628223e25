//! Compiles the generic kernels for one level, under names that are the same for all levels.

macro_rules! instantiate {
    ($simd:ty, tile $mr:literal x $nv:literal, $(#[$enable:meta])*) => {
        use crate::kernels::generic::matrix::{self, PairsBf16, PlainBf16, PlainF16, PlainF32, QuadsI8};
        use crate::kernels::generic::rows;
        use crate::kernels::{RowScale, TILE_ROWS};
        use half::{bf16, f16};

        /// See `generic::simd::Simd::ODD`.
        pub(crate) const ODD: f32 = <$simd as crate::kernels::generic::simd::Simd>::ODD;

        $crate::kernels::instantiate::instantiate!(@few few_rows_f32, PlainF32, f32, $simd, $(#[$enable])*);
        $crate::kernels::instantiate::instantiate!(@few few_rows_f16, PlainF16, f16, $simd, $(#[$enable])*);
        $crate::kernels::instantiate::instantiate!(@few few_rows_bf16, PlainBf16, bf16, $simd, $(#[$enable])*);
        $crate::kernels::instantiate::instantiate!(@few few_rows_bf16_pairs, PairsBf16, bf16, $simd, $(#[$enable])*);
        $crate::kernels::instantiate::instantiate!(@few few_rows_i8_quads, QuadsI8, i8, $simd, $(#[$enable])*);
        $crate::kernels::instantiate::instantiate!(@widen widen_bf16_pairs, PairsBf16, bf16, $simd, $(#[$enable])*);
        $crate::kernels::instantiate::instantiate!(@widen widen_i8_quads, QuadsI8, i8, $simd, $(#[$enable])*);

        /// # Safety
        /// The level's instructions; the rest as `generic::matrix::tile`.
        $(#[$enable])*
        pub(crate) unsafe fn tile_f32(
            a: *const u8, lda: usize, b: *const f32, k: usize, c: *mut f32, ldc: usize, accumulate: bool,
        ) {
            // SAFETY: the contracts are the same.
            unsafe {
                if accumulate {
                    matrix::tile::<$simd, TILE_ROWS, $mr, $nv, true>(a, lda, b, k, c, ldc);
                } else {
                    matrix::tile::<$simd, TILE_ROWS, $mr, $nv, false>(a, lda, b, k, c, ldc);
                }
            }
        }

        /// # Safety
        /// The level's instructions; the rest as `generic::rows::finish`.
        $(#[$enable])*
        pub(crate) unsafe fn finish(
            c: *const f32, rows: &[RowScale], columns: rows::Columns<'_>, ending: rows::Ending, to: *mut f32,
            stride: usize,
        ) {
            // SAFETY: the contracts are the same.
            unsafe { rows::finish::<$simd>(c, rows, columns, ending, to, stride) }
        }

        /// # Safety
        /// The level's instructions.
        $(#[$enable])*
        pub(crate) unsafe fn gelu(x: &mut [f32]) {
            // SAFETY: the slice is readable and writable; the caller vouches for the level.
            unsafe {
                // One borrow for both: a second would end the first.
                let (len, x) = (x.len(), x.as_mut_ptr());
                rows::map::<$simd, _>(x, x, len, rows::Gelu)
            }
        }

        /// # Safety
        /// The level's instructions.
        $(#[$enable])*
        pub(crate) unsafe fn vectorised<R>(f: impl FnOnce() -> R) -> R {
            f()
        }

        /// # Safety
        /// The level's instructions.
        $(#[$enable])*
        pub(crate) unsafe fn scale(x: &mut [f32], factor: f32) {
            // SAFETY: the caller vouches for the level.
            unsafe { rows::scale::<$simd>(x, factor) }
        }

        /// # Safety
        /// The level's instructions.
        $(#[$enable])*
        pub(crate) unsafe fn largest(x: &[f32]) -> f32 {
            // SAFETY: the caller vouches for the level.
            unsafe { rows::largest::<$simd>(x) }
        }

        /// # Safety
        /// The level's instructions.
        $(#[$enable])*
        pub(crate) unsafe fn exp_sum(x: &mut [f32], shift: f32) -> f32 {
            // SAFETY: the caller vouches for the level.
            unsafe { rows::exp_sum::<$simd>(x, shift) }
        }

        /// # Safety
        /// The level's instructions; all slices of one length.
        $(#[$enable])*
        pub(crate) unsafe fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32]) {
            // SAFETY: the contracts are the same.
            unsafe { rows::layer_norm::<$simd>(x, gamma, beta, eps, y) }
        }

        /// # Safety
        /// The level's instructions; slices of one length.
        $(#[$enable])*
        pub(crate) unsafe fn add(x: &mut [f32], y: &[f32]) {
            // SAFETY: the contracts are the same.
            unsafe { rows::add::<$simd>(x, y) }
        }
    };
    (@few $name:ident, $layout:ty, $item:ty, $simd:ty, $(#[$enable:meta])*) => {
        /// # Safety
        /// The level's instructions; the rest as `generic::matrix::few_rows`.
        $(#[$enable])*
        #[allow(clippy::too_many_arguments, reason = "as the kernel that it instantiates")]
        pub(crate) unsafe fn $name(
            rows: usize, x: *const f32, ldx: usize, w: *const $item, ldw: usize, k: usize, columns: usize,
            out: *mut f32, ldo: usize,
        ) {
            // SAFETY: the contracts are the same.
            unsafe { matrix::few_rows::<$simd, $layout>(rows, x, ldx, w, ldw, k, columns, out, ldo) }
        }
    };
    (@widen $name:ident, $layout:ty, $item:ty, $simd:ty, $(#[$enable:meta])*) => {
        /// # Safety
        /// The level's instructions; the rest as `generic::matrix::widen`.
        $(#[$enable])*
        pub(crate) unsafe fn $name(w: *const $item, k: usize, scale: *const f32, out: *mut f32) {
            // SAFETY: the contracts are the same.
            unsafe { matrix::widen::<$simd, $layout>(w, k, scale, out) }
        }
    };
}
pub(crate) use instantiate;
