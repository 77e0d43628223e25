//! One row-major output written by several threads, each its own rectangles.

use std::marker::PhantomData;

/// A mutable slice that parallel tasks cut into parts which do not overlap (column blocks of a row-major matrix
/// cannot be had from `chunks_mut`).
pub(crate) struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: the only accesses are `part` and `block`, whose callers vouch that what is in use does not overlap.
unsafe impl Send for Disjoint<'_> {}
// SAFETY: as above.
unsafe impl Sync for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// Elements `from..from + len`, checked against the end.
    ///
    /// # Safety
    /// Nothing else in use overlaps it.
    #[allow(clippy::mut_from_ref, reason = "parts that do not overlap are what this type is for")]
    pub(crate) unsafe fn part(&self, from: usize, len: usize) -> &mut [f32] {
        assert!(from <= self.len && len <= self.len - from, "part {from}+{len} of {}", self.len);
        // SAFETY: in bounds of the borrowed slice; the caller vouches for the absence of overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }

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

impl<'a> Block<'a> {
    /// A whole slice as a rectangle of `rows` × `columns`, rows `stride` apart.
    pub(crate) fn of(slice: &'a mut [f32], stride: usize, rows: usize, columns: usize) -> Self {
        let end = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
        assert!(columns <= stride && end <= slice.len(), "block of {end} in {}", slice.len());
        Self { start: slice.as_mut_ptr(), stride, rows, columns, life: PhantomData }
    }

    /// The rows `from..from + rows` and columns `column..column + columns` of this rectangle.
    pub(crate) fn within(&mut self, from: usize, rows: usize, column: usize, columns: usize) -> Block<'_> {
        assert!(from + rows <= self.rows && column + columns <= self.columns);
        // SAFETY: inside this rectangle (or, when empty, never read).
        let start = unsafe { self.start.add(if rows == 0 { 0 } else { from * self.stride + column }) };
        Block { start, stride: self.stride, rows, columns, life: PhantomData }
    }

    /// One row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: the row lies in the rectangle, which is exclusively held.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.columns) }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.start
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}
