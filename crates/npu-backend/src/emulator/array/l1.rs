//! Memory of a core: buffers of a fixed length, aligned as the kernels want them.

/// Bytes of an object of the A and B streams as a core receives it.
pub(crate) const OBJECT_BYTES: usize = 4096;
/// Bytes of an object of the A stream in a memtile, before the reorder cuts it in four.
pub(crate) const A_L2_BYTES: usize = 4 * OBJECT_BYTES;
/// Bytes of an object that a core hands to its memtile.
pub(crate) const C_BYTES: usize = 8192;
/// Bytes of the 64 × 64 accumulators.
pub(crate) const ACC_BYTES: usize = 16384;
/// Bytes of the scores of one key block, 64 × 32 f32.
pub(crate) const SCORES_BYTES: usize = 8192;
/// Bytes of the running maxima and sums of 64 rows.
pub(crate) const ML_BYTES: usize = 512;
/// Bytes that a core keeps of a parameter object.
pub(crate) const PARAMETER_BYTES: usize = 1024;

/// `N` bytes of core memory, aligned to 64: twice what the widest vector load of the kernels wants.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct L1<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> L1<N> {
    /// Zeros. (On silicon it holds what was there before; kernels begin by clearing what they add to.)
    pub(crate) const fn zeroed() -> Self {
        Self([0; N])
    }
}

/// An object of the A or B stream in a core's memory.
pub(crate) type Object = L1<OBJECT_BYTES>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_hold_nothing_else() {
        assert_eq!(align_of::<Object>(), 64);
        assert_eq!((size_of::<Object>(), size_of::<L1<ML_BYTES>>()), (OBJECT_BYTES, ML_BYTES));
    }
}
