//! Upper halves of 8-bit weights times 8-bit activations: the door to estimates of sums at half the bytes.

use super::PANEL;
#[cfg(target_arch = "x86_64")]
use super::avx2;
use crate::level::{Level, LevelKind};

/// Inputs of a panel are padded to a multiple of this: a byte holds an input's half and that of the fourth one after.
pub(crate) const HALVES_STEP: usize = 8;

impl Level {
    /// Whether it multiplies halves: AVX2, which AVX-512 and AMX come with, does so at the speed of memory.
    pub(crate) fn multiplies_halves(self) -> bool {
        self.kind() >= LevelKind::Avx2
    }

    /// `sums[c] = Σ x[k] · half(k, c)` of a panel of 32 columns. Half (k, c), 0 to 15, is in byte
    /// `(k / 8 · 32 + c) · 4 + k % 4`, in its upper half if k % 8 ≥ 4.
    pub(crate) fn halves(self, x: &[i8], panel: &[u8], sums: &mut [i32; PANEL]) {
        assert!(self.multiplies_halves() && x.len().is_multiple_of(HALVES_STEP));
        assert_eq!(panel.len(), x.len() * PANEL / 2);
        // 15 · 128 each.
        assert!(x.len() <= 1 << 20, "sums of {} products overflow", x.len());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bounds were checked, and the level has AVX2.
        unsafe {
            avx2::halves(x.as_ptr(), x.len() / HALVES_STEP, panel.as_ptr(), sums.as_mut_ptr());
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("`multiplies_halves` is false on this target: it has no such level")
    }
}
