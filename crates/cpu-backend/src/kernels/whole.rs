//! The door to attention in whole numbers, of 8 or 16 bits: rows rounded to them, and scores that become weights in them.

use super::{Number, PANEL};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::level::Level;

/// Keys whose weights are rounded with one step: more of them come closer to the product's peak, fewer keep small weights
/// apart from large ones.
pub(crate) const BLOCK_KEYS: usize = 4 * PANEL;

/// The largest weight in 16 bits: `i16_limit_of_both` of a block of keys.
pub(crate) const LARGEST_I16_WEIGHT: i16 = 4095;

/// A row rounded to whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WholeRow {
    /// What 1 stands for; NaN when the row holds what is not finite.
    pub(crate) scale: f32,
    /// The sum of the whole numbers.
    pub(crate) sum: f32,
}

/// What the sums of up to [`BLOCK_KEYS`] keys stand for, key by key.
#[derive(Clone, Copy)]
pub(crate) struct KeyTerms<'a> {
    /// What the sum of a query's and the key's products counts.
    pub(crate) scale: &'a [f32],
    /// What is added for the queries' zero point.
    pub(crate) bias: &'a [f32],
    /// Binary logarithm of the scale of the key's value.
    pub(crate) value_log: &'a [f32],
    /// One by the scale of the key's value.
    pub(crate) value_inverse: &'a [f32],
}

/// The softmax of a row while its keys pass by.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Softmax {
    /// Lane by lane, the sum of the weights so far, in units of 2^`reference`.
    total: [f32; 16],
    reference: f32,
}

impl Softmax {
    /// Before the first key. So low a reference, and yet finite: differences of such numbers are numbers.
    pub(crate) const START: Self = Self { total: [0.0; 16], reference: -1e30 };

    /// The sum of all weights.
    pub(crate) fn total(&self) -> f32 {
        self.total.iter().sum()
    }
}

/// What becomes of weighted sums when more keys have come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge {
    /// What to multiply those so far with.
    pub(crate) before: f32,
    /// What to multiply the new ones with.
    pub(crate) new: f32,
}

impl Merge {
    /// None have come.
    pub(crate) const NOTHING: Self = Self { before: 1.0, new: 0.0 };
}

/// Where the four weights of keys `4 · group…` lie among the quads of a product: as the packing of bytes leaves them, which
/// interleaves the 16 groups of 64 keys.
pub(crate) fn byte_group_place(group: usize) -> usize {
    group / 16 * 16 + group % 4 * 4 + group / 4 % 4
}

impl Level {
    /// Whether it has attention in such numbers.
    pub(crate) fn attends_in(self, number: Number) -> bool {
        number.is_whole() && self.multiplies(number)
    }

    /// Rounds `x` to whole numbers in ∓127, i8 in `out`, or u8 with zero at 128 if `unsigned`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has VNNI"))]
    pub(crate) fn round_i8(self, x: &[f32], unsigned: bool, out: &mut [u8]) -> WholeRow {
        assert!(self.attends_in(Number::U8) && out.len() >= x.len());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; this is only so with AVX-512 and its VNNI instructions.
        return unsafe { avx512::round_i8(x.as_ptr(), x.len(), unsigned, out.as_mut_ptr()) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`attends_in` is false on this target")
    }

    /// Makes whole numbers of one row's scores for up to [`BLOCK_KEYS`] keys, of which it sees the first `seen`: `sums` of
    /// products with a query that counts `factor`. That of key j, its weight times the scale of its value, is the j-th, or as a
    /// byte at [`byte_group_place`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has them"))]
    #[allow(clippy::too_many_arguments, reason = "a row's operands and its state")]
    pub(crate) fn soften(
        self,
        number: Number,
        sums: &[f32],
        keys: KeyTerms<'_>,
        factor: f32,
        seen: usize,
        softmax: &mut Softmax,
        out: &mut [u8],
    ) -> Merge {
        assert!(self.attends_in(number) && (1..=BLOCK_KEYS).contains(&seen));
        let all = [sums, keys.scale, keys.bias, keys.value_log, keys.value_inverse];
        assert!(all.iter().all(|numbers| numbers.len() >= BLOCK_KEYS));
        assert!(out.len() >= BLOCK_KEYS * number.size());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `attends_in` proves AVX-512 and VNNI for bytes, AVX2 and FMA for the others.
        return unsafe {
            let [sums, scale, bias, value_log, value_inverse] = all.map(<[f32]>::as_ptr);
            let Softmax { total, reference } = softmax;
            let (total, out) = (total.as_mut_ptr(), out.as_mut_ptr());
            let [before, new] = if number == Number::U8 {
                let terms = [scale, bias, value_log, value_inverse];
                avx512::soften_bytes(sums, terms, factor, seen, reference, total, out)
            } else {
                let terms = [scale, value_log, value_inverse];
                avx2::soften_i16(sums, terms, factor, seen, reference, total, out)
            };
            Merge { before, new }
        };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`attends_in` is false on this target")
    }

    /// `sums[row] = sums[row] · before + new[row] · new` for rows of 32, `stride` apart in `sums` and 32 apart in `new`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has it"))]
    pub(crate) fn merge(
        self,
        number: Number,
        merges: &[Merge],
        new: &[f32],
        sums: &mut [f32],
        stride: usize,
    ) {
        let Some(last) = merges.len().checked_sub(1) else { return };
        assert!(self.attends_in(number) && stride >= PANEL);
        assert!(new.len() >= merges.len() * PANEL && sums.len() >= last * stride + PANEL);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `attends_in` proves AVX-512 for bytes, AVX2 and FMA for the others.
        unsafe {
            let (new, sums) = (new.as_ptr(), sums.as_mut_ptr());
            if number == Number::U8 {
                avx512::merge(merges, new, sums, stride);
            } else {
                avx2::merge(merges, new, sums, stride);
            }
        }
    }
}
