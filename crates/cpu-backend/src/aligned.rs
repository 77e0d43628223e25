//! A vector whose elements start on a cache line, without `unsafe`.
//!
//! A 64-byte load that straddles two cache lines costs twice; packed weights are read by nothing else.

use std::ops::{Deref, DerefMut};

const LINE: usize = 64;

/// Fixed length, 64-byte aligned, zero-initialised.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    pub(crate) fn zeroed(len: usize) -> Self {
        let slack = LINE / size_of::<T>();
        let data = vec![T::default(); len + slack];
        // `align_offset` may in theory answer usize::MAX ("cannot tell"); then alignment is simply not had.
        let start = data.as_ptr().align_offset(LINE).min(slack);
        Self { data, start, len }
    }
}

impl<T: Copy + Default> Default for Aligned<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T: Copy + Default> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        // The copy lies elsewhere, so its offset differs: never clone the parts.
        let mut copy = Self::zeroed(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_line_also_after_a_clone() {
        for len in [0usize, 1, 63, 64, 1000] {
            let mut a = Aligned::<i8>::zeroed(len);
            a.iter_mut().enumerate().for_each(|(i, v)| *v = i as i8);
            let b = a.clone();
            assert_eq!(a.as_ptr() as usize % LINE, 0);
            assert_eq!(b.as_ptr() as usize % LINE, 0);
            assert_eq!(&a[..], &b[..]);
        }
    }
}
