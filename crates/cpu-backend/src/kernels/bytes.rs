//! The door to attention in 8 bits: rows rounded to bytes, and scores that become weights in bytes.

use super::PANEL;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use crate::level::Level;

/// Keys whose weights are rounded with one step: more of them come closer to the product's peak, fewer keep small weights
/// apart from large ones.
pub(crate) const BYTE_KEYS: usize = 4 * PANEL;

/// A row rounded to whole numbers in ∓127.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ByteRow {
    /// What 1 stands for; NaN when the row holds what is not finite.
    pub(crate) scale: f32,
    /// The sum of the whole numbers.
    pub(crate) sum: f32,
}

/// What the sums of up to [`BYTE_KEYS`] keys stand for, key by key.
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
    /// Whether it has attention in 8 bits.
    pub(crate) fn attends_in_bytes(self) -> bool {
        self.has_vnni()
    }

    /// Rounds `x` to whole numbers in ∓127, i8 in `out`, or u8 with zero at 128 if `unsigned`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has VNNI"))]
    pub(crate) fn round_row(self, x: &[f32], unsigned: bool, out: &mut [u8]) -> ByteRow {
        assert!(self.attends_in_bytes() && out.len() >= x.len());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `has_vnni` is only set with AVX-512 and its VNNI instructions.
        return unsafe { avx512::round_row(x.as_ptr(), x.len(), unsigned, out.as_mut_ptr()) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`has_vnni` is false on this target")
    }

    /// Makes bytes of one row's scores for up to [`BYTE_KEYS`] keys, of which it sees the first `seen`: `sums` of products with
    /// a query that counts `factor`. The byte of key j at [`byte_group_place`] is its weight times the scale of its value.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has VNNI"))]
    pub(crate) fn soften_bytes(
        self,
        sums: &[f32],
        keys: KeyTerms<'_>,
        factor: f32,
        seen: usize,
        softmax: &mut Softmax,
        out: &mut [u8],
    ) -> Merge {
        assert!(self.attends_in_bytes() && (1..=BYTE_KEYS).contains(&seen));
        let all = [sums, keys.scale, keys.bias, keys.value_log, keys.value_inverse];
        assert!(all.iter().all(|numbers| numbers.len() >= BYTE_KEYS) && out.len() >= BYTE_KEYS);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `has_vnni` is only set with AVX-512 and its VNNI instructions.
        return unsafe {
            let [sums, rest @ ..] = all.map(<[f32]>::as_ptr);
            let Softmax { total, reference } = softmax;
            let [before, new] = avx512::soften_bytes(
                sums,
                rest,
                factor,
                seen,
                reference,
                total.as_mut_ptr(),
                out.as_mut_ptr(),
            );
            Merge { before, new }
        };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`has_vnni` is false on this target")
    }

    /// `sums[row] = sums[row] · before + new[row] · new` for rows of 32, `stride` apart in `sums` and 32 apart in `new`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no level here has VNNI"))]
    pub(crate) fn merge(self, merges: &[Merge], new: &[f32], sums: &mut [f32], stride: usize) {
        let Some(last) = merges.len().checked_sub(1) else { return };
        assert!(self.attends_in_bytes() && stride >= PANEL);
        assert!(new.len() >= merges.len() * PANEL && sums.len() >= last * stride + PANEL);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked; `has_vnni` is only set with AVX-512.
        unsafe {
            avx512::merge(merges, new.as_ptr(), sums.as_mut_ptr(), stride);
        }
    }
}
