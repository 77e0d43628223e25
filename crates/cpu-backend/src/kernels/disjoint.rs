//! One row-major output written by several threads, each its own rectangles.

use std::marker::PhantomData;

/// A mutable slice that parallel tasks cut into parts which do not overlap (column blocks of a row-major matrix
/// cannot be had from `chunks_mut`).
pub(crate) struct Disjoint<'a, T = f32> {
    start: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: the only accesses are `part`, `scatter` and `block`, whose callers vouch that what is in use does not overlap.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// Elements `from..from + len`, checked against the end.
    ///
    /// # Safety
    /// Nothing else in use overlaps it.
    #[allow(clippy::mut_from_ref, reason = "parts that do not overlap are what this type is for")]
    pub(crate) unsafe fn part(&self, from: usize, len: usize) -> &mut [T] {
        assert!(from <= self.len && len <= self.len - from, "part {from}+{len} of {}", self.len);
        // SAFETY: in bounds of the borrowed slice; the caller vouches for the absence of overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }
}

impl Disjoint<'_, u8> {
    /// Copies `bytes` in pieces of `SIZE`, the first to `from`, each next one `step` further on.
    ///
    /// # Safety
    /// Nothing else in use overlaps them.
    pub(crate) unsafe fn scatter<const SIZE: usize>(&self, from: usize, step: usize, bytes: &[u8]) {
        let pieces = bytes.len() / SIZE;
        let end = if pieces == 0 { 0 } else { from + (pieces - 1) * step + SIZE };
        assert!(step >= SIZE && end <= self.len, "pieces up to {end} of {}", self.len);
        for (i, piece) in bytes.chunks_exact(SIZE).enumerate() {
            // SAFETY: from + i·step + SIZE ≤ end, which was checked; the caller vouches for the absence of overlap.
            unsafe {
                std::ptr::copy_nonoverlapping(piece.as_ptr(), self.start.add(from + i * step), SIZE);
            }
        }
    }
}

impl Disjoint<'_> {
    /// The rectangle of `rows` × `columns` whose first element is `from`, rows `stride` apart.
    ///
    /// # Safety
    /// Nothing else in use overlaps it.
    pub(crate) unsafe fn block(&self, from: usize, stride: usize, rows: usize, columns: usize) -> Block<'_> {
        let end = if rows == 0 { 0 } else { from + (rows - 1) * stride + columns };
        assert!(columns <= stride && end <= self.len, "block up to {end} of {}", self.len);
        // SAFETY: `from` lies in the borrowed slice if the block holds anything.
        let start = if rows == 0 { self.start } else { unsafe { self.start.add(from) } };
        Block { start, stride, rows, columns, life: PhantomData }
    }
}

/// A rectangle of a row-major f32 matrix, exclusively held.
pub(crate) struct Block<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
    life: PhantomData<&'a mut [f32]>,
}

impl Block<'_> {
    /// One row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: the row lies in the rectangle, which is exclusively held.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.columns) }
    }
}
