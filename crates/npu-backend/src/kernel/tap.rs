//! A tap: which bytes of a buffer a DMA walks, and in what order.
//!
//! The name is IRON's (tensor access pattern). A tap is a nest of loops around one contiguous run, outermost first, as
//! a shim DMA's buffer descriptor has it (three dimensions and an iteration).

use std::ops::Range;

/// Loops that a tap may have: three dimensions and the iteration of a shim descriptor.
pub const MAX_DIMS: usize = 4;

/// One loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapDim {
    /// Times around.
    pub size: u32,
    /// Bytes from one turn to the next.
    pub stride_bytes: u32,
}

/// A walk over one launch argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Number of the argument, from 0.
    pub argument: u32,
    /// Where the walk begins, bytes.
    pub offset_bytes: u32,
    /// Contiguous bytes at each step.
    pub run_bytes: u32,
    /// Loops, outermost first; unused ones have size 1 and stride 0 and come first.
    pub dims: [TapDim; MAX_DIMS],
}

impl Tap {
    /// A contiguous range.
    #[must_use]
    pub fn linear(argument: u32, offset_bytes: u32, len_bytes: u32) -> Self {
        Self::nested(argument, offset_bytes, len_bytes, &[])
    }

    /// Runs of `run_bytes` under the loops `(size, stride_bytes)`, outermost first; at most [`MAX_DIMS`] of them. Loops
    /// of one turn are left out, so that equal walks are equal taps.
    ///
    /// # Panics
    /// If there are more loops than a descriptor has.
    #[must_use]
    pub fn nested(argument: u32, offset_bytes: u32, run_bytes: u32, loops: &[(u32, u32)]) -> Self {
        assert!(loops.len() <= MAX_DIMS, "a descriptor has {MAX_DIMS} loops, not {}", loops.len());
        let mut dims = [TapDim { size: 1, stride_bytes: 0 }; MAX_DIMS];
        let turning = loops.iter().rev().filter(|&&(size, _)| size != 1);
        for (dim, &(size, stride_bytes)) in dims.iter_mut().rev().zip(turning) {
            *dim = TapDim { size, stride_bytes };
        }
        Self { argument, offset_bytes, run_bytes, dims }
    }

    /// Contiguous runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.dims.iter().fold(1, |runs: usize, dim| runs.saturating_mul(dim.size as usize))
    }

    /// Bytes moved.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.runs().saturating_mul(self.run_bytes as usize)
    }

    /// One past the last byte touched; `None` if it does not fit an address.
    #[must_use]
    pub fn end_bytes(&self) -> Option<usize> {
        let mut last = u64::from(self.offset_bytes);
        for dim in &self.dims {
            last = last.checked_add(u64::from(dim.size.checked_sub(1)?) * u64::from(dim.stride_bytes))?;
        }
        usize::try_from(last.checked_add(u64::from(self.run_bytes))?).ok()
    }

    /// The byte range of each run in the order of the walk.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.runs()).map(move |index| {
            let (mut rest, mut start) = (index, self.offset_bytes as usize);
            for dim in self.dims.iter().rev() {
                start += (rest % dim.size as usize) * dim.stride_bytes as usize;
                rest /= dim.size as usize;
            }
            start..start + self.run_bytes as usize
        })
    }

    /// Appends the bytes walked over to `out`; `false`, with nothing appended, if the walk leaves `buffer`.
    pub fn gather(&self, buffer: &[u8], out: &mut Vec<u8>) -> bool {
        if self.end_bytes().is_none_or(|end| end > buffer.len()) {
            return false;
        }
        out.reserve(self.len_bytes());
        self.ranges().for_each(|range| out.extend_from_slice(&buffer[range]));
        true
    }

    /// Writes `bytes` along the walk; `false`, with nothing written, if the walk leaves `buffer` or `bytes` has
    /// another length.
    pub fn scatter(&self, bytes: &[u8], buffer: &mut [u8]) -> bool {
        if bytes.len() != self.len_bytes() || self.end_bytes().is_none_or(|end| end > buffer.len()) {
            return false;
        }
        if self.run_bytes > 0 {
            let runs = bytes.chunks_exact(self.run_bytes as usize);
            self.ranges().zip(runs).for_each(|(range, run)| buffer[range].copy_from_slice(run));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_gathers_and_scatters_the_same_bytes() {
        let buffer: Vec<u8> = (0..64).collect();
        // Two columns of a matrix of rows of 8 bytes: rows 1 and 3, bytes 2..4, then bytes 6..8.
        let tap = Tap::nested(0, 10, 2, &[(2, 4), (2, 16)]);
        let mut got = Vec::new();
        assert!(tap.gather(&buffer, &mut got));
        assert_eq!(got, [10, 11, 26, 27, 14, 15, 30, 31]);
        let mut back = vec![0; 64];
        assert!(tap.scatter(&got, &mut back));
        assert!(back.iter().zip(&buffer).all(|(&b, &a)| b == 0 || b == a));
        assert_eq!(back.iter().filter(|&&b| b != 0).count(), 8);
        assert_eq!((tap.len_bytes(), tap.end_bytes()), (8, Some(32)));
    }

    #[test]
    fn a_walk_out_of_the_buffer_moves_nothing() {
        let tap = Tap::nested(0, 0, 4, &[(3, 8)]);
        let mut out = Vec::new();
        assert!(!tap.gather(&[0; 19], &mut out) && out.is_empty());
        assert!(tap.gather(&[0; 20], &mut out));
        let mut short = [7; 19];
        assert!(!tap.scatter(&[0; 12], &mut short) && short == [7; 19]);
        assert!(!tap.scatter(&[0; 11], &mut [0; 20]));
    }

    #[test]
    fn equal_walks_are_equal_taps() {
        let tap = Tap::nested(0, 0, 4, &[(1, 7), (3, 8), (1, 9), (2, 64)]);
        assert_eq!(tap, Tap::nested(0, 0, 4, &[(3, 8), (2, 64)]));
        assert_eq!(Tap::nested(0, 0, 4, &[(1, 8)]), Tap::linear(0, 0, 4));
    }

    #[test]
    fn an_empty_loop_has_no_end_and_no_panic() {
        let tap = Tap::nested(0, 0, 4, &[(0, 8)]);
        assert_eq!((tap.runs(), tap.end_bytes()), (0, None));
    }
}
