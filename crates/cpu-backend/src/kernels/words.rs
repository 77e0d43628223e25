//! 16-bit activations times 8-bit weights: the door to products that cost a few rows what they cost one.

use super::{MAX_BYTE_DEPTH, PANEL};
#[cfg(target_arch = "x86_64")]
use super::{Number, avx2, avx512};
use crate::level::Level;

/// Rows that are multiplied at once: with two registers of columns and two bytes, 24 of AVX-512's 32 registers are sums.
pub(crate) const WORD_ROWS: usize = 6;

/// Bytes of a row of `depth` activations in 16 bits.
pub(crate) fn word_stride(depth: usize) -> usize {
    2 * depth.next_multiple_of(16)
}

/// Rows of 16-bit activations, at [`word_stride`], and the size of each one's steps.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) steps: &'a [f32],
    pub(crate) depth: usize,
}

impl<'a> Words<'a> {
    /// Rows `from..to`.
    pub(crate) fn rows(self, from: usize, to: usize) -> Self {
        let stride = word_stride(self.depth);
        Self { bytes: &self.bytes[from * stride..to * stride], steps: &self.steps[from..to], ..self }
    }
}

impl Level {
    /// Whether it multiplies few rows of activations in 16 bits: with VNNI as two bytes each, with AVX2 as they are.
    pub(crate) fn multiplies_words(self) -> bool {
        self.has_vnni() || self.multiplies(Number::I16)
    }

    /// Whether it does so with many rows, too, at the rate of its tiles.
    pub(crate) fn multiplies_many_words(self) -> bool {
        self.has_vnni()
    }

    /// Rounds one row to 65535 steps between ∓max|x|, to `out` of [`word_stride`]; returns the size of a step. A row that
    /// holds what is not finite gives NaN, and so do its products.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "no level here has such products")
    )]
    pub(crate) fn split_words(self, x: &[f32], out: &mut [u8]) -> f32 {
        assert!(self.multiplies_words() && out.len() >= word_stride(x.len()));
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; VNNI is only set with AVX-512, and products of 16 bits with AVX2.
        return unsafe {
            if self.has_vnni() {
                avx512::split(x.as_ptr(), x.len(), out.as_mut_ptr())
            } else {
                avx2::split(x.as_ptr(), x.len(), out.as_mut_ptr(), word_stride(x.len()))
            }
        };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`multiplies_words` is false on this target")
    }

    /// `out[r][..32] = x[r] · panel` for all rows of `x`, at stride `ldo`. The panel holds quads of rows
    /// ([`super::Matrix::I8Quads`]), and `sums` what its columns sum to.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "no level here has such products")
    )]
    pub(crate) fn few_words(self, x: Words, panel: &[i8], sums: &[f32; PANEL], out: &mut [f32], ldo: usize) {
        let (rows, stride, quads) = (x.steps.len(), word_stride(x.depth), x.depth.div_ceil(4));
        if rows == 0 {
            return;
        }
        assert!(self.multiplies_words() && x.bytes.len() >= rows * stride);
        assert!(x.depth <= MAX_BYTE_DEPTH, "sums of {} products of bytes overflow", x.depth);
        assert!(panel.len() >= quads * 4 * PANEL);
        assert!(ldo >= PANEL && out.len() >= (rows - 1) * ldo + PANEL);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; VNNI is only set with AVX-512, and products of 16 bits with AVX2.
        unsafe {
            let (a, b, out) = (x.bytes.as_ptr(), panel.as_ptr().cast(), out.as_mut_ptr());
            if self.has_vnni() {
                avx512::few_words(rows, a, stride, b, quads, sums.as_ptr(), x.steps.as_ptr(), out, ldo);
            } else {
                avx2::few_words(rows, a, stride, b, quads, x.steps.as_ptr(), out, ldo);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`multiplies_words` is false on this target")
    }
}
