//! Products of the upper halves of bytes (`vpmaddubsw`).

use crate::kernels::generic::matrix::AHEAD;
use crate::kernels::{HALVES_STEP, PANEL};
use std::arch::x86_64::*;

/// Registers of a panel's columns.
const VECTORS: usize = PANEL / 8;
/// Bytes of a panel that hold [`HALVES_STEP`] inputs.
const BLOCK: usize = PANEL * HALVES_STEP / 2;
/// Blocks that are summed in 16 bits: each adds four products of at most 15 · 128, and 4 · 4 · 1920 is 30,720.
const NARROW_BLOCKS: usize = 4;

/// See `Level::halves`.
///
/// # Safety
/// AVX2; `x` holds `blocks` times 8 numbers, `panel` as many blocks of 128 bytes, `sums` has room for 32.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn halves(x: *const i8, blocks: usize, panel: *const u8, sums: *mut i32) {
    // SAFETY: all offsets stay inside what the caller vouches for; prefetching needs no readable memory.
    unsafe {
        let (half, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        let mut wide = [_mm256_setzero_si256(); VECTORS];
        for first in (0..blocks).step_by(NARROW_BLOCKS) {
            let mut narrow = [_mm256_setzero_si256(); VECTORS];
            for block in first..blocks.min(first + NARROW_BLOCKS) {
                let from = panel.add(block * BLOCK);
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD).cast());
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD + BLOCK / 2).cast());
                let x = x.add(block * HALVES_STEP).cast::<i32>();
                let (low, high) =
                    (_mm256_set1_epi32(x.read_unaligned()), _mm256_set1_epi32(x.add(1).read_unaligned()));
                for (v, sum) in narrow.iter_mut().enumerate() {
                    let both = _mm256_loadu_si256(from.add(v * 32).cast());
                    let first = _mm256_maddubs_epi16(_mm256_and_si256(both, half), low);
                    let second =
                        _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(both), half), high);
                    *sum = _mm256_add_epi16(*sum, _mm256_add_epi16(first, second));
                }
            }
            for (wide, narrow) in wide.iter_mut().zip(narrow) {
                *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(narrow, ones));
            }
        }
        for (v, sum) in wide.into_iter().enumerate() {
            _mm256_storeu_si256(sums.add(v * 8).cast(), sum);
        }
    }
}
