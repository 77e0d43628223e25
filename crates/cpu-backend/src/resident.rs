//! Memory of packed weights: pieces of large maps that ask for huge pages.
//!
//! A decoding step reads every weight once. In pages of 4 KiB that is twelve thousand of them a step, each a miss of the
//! address translation and an end of the processor's prefetch, and as many page faults when a model is loaded; in pages
//! of 2 MiB it is two dozen. Single layers are smaller than such a page, so they share maps, in the order of
//! their packing. A map goes when its last piece does.

use crate::aligned::Aligned;
use half::bf16;
use memmap2::{MmapMut, MmapRaw};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes of a map. Pages that nobody wrote to cost nothing.
const REGION: usize = 32 << 20;
/// Bytes of a huge page.
const HUGE: usize = 2 << 20;
/// Bytes below which a piece lies by itself.
const LEAST: usize = 64 << 10;
/// Pieces begin on a cache line.
const LINE: usize = 64;

/// Numbers for which all bytes zero is the number zero, and whose alignment divides a cache line.
///
/// # Safety
/// As said; every pattern of bits is a value.
pub(crate) unsafe trait Plain: Copy + Default {}
// SAFETY: floats and whole numbers of at most four bytes.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for bf16 {}
// SAFETY: as above.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for u8 {}

/// A map that is only reached through its pieces: its address and length make no reference to its bytes, which may be
/// borrowed exclusively, elsewhere, piece by piece.
struct Region(MmapRaw);

/// The map that the next piece is cut from, and how much of it is taken.
static CURRENT: Mutex<(Weak<Region>, usize)> = Mutex::new((Weak::new(), 0));

/// Fixed length, 64-byte aligned, zero-initialised; to be written once and then read for long.
pub(crate) struct Resident<T>(Memory<T>);

enum Memory<T> {
    Own(Aligned<T>),
    Piece { start: *mut T, len: usize, region: Arc<Region> },
}

// SAFETY: a piece is reached through its one owner only, as a Vec's memory is.
unsafe impl<T: Send> Send for Resident<T> {}
// SAFETY: as above; shared references only read.
unsafe impl<T: Sync> Sync for Resident<T> {}

impl<T: Plain> Resident<T> {
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<T>();
        let piece = if bytes < LEAST { None } else { piece(bytes) };
        Self(match piece {
            Some((region, start)) => Memory::Piece { start: start.cast(), len, region },
            None => Memory::Own(Aligned::zeroed(len)),
        })
    }
}

/// `bytes` zeros that nobody else has; `None` where the system gives no map.
fn piece(bytes: usize) -> Option<(Arc<Region>, *mut u8)> {
    let bytes = bytes.next_multiple_of(LINE);
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let (region, from) = match current.0.upgrade() {
        Some(region) if region.0.len() - current.1 >= bytes => (region, current.1),
        _ => {
            let map = MmapMut::map_anon(bytes.next_multiple_of(HUGE).max(REGION)).ok()?;
            // Where it is refused, small pages do.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            let region = Arc::new(Region(map.into()));
            (region, 0)
        }
    };
    *current = (Arc::downgrade(&region), from + bytes);
    // SAFETY: `from + bytes` is at most the map's length.
    let start = unsafe { region.0.as_mut_ptr().add(from) };
    Some((region, start))
}

impl<T> Deref for Resident<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Own(own) => own,
            // SAFETY: `len` elements of a type for which any bytes are values, in a writable map that `region` keeps;
            // no other piece overlaps them, and no reference to the map itself is ever made.
            Memory::Piece { start, len, .. } => unsafe { std::slice::from_raw_parts(*start, *len) },
        }
    }
}

impl<T> DerefMut for Resident<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Memory::Own(own) => own,
            // SAFETY: as above, and the owner is borrowed exclusively.
            Memory::Piece { start, len, .. } => unsafe { std::slice::from_raw_parts_mut(*start, *len) },
        }
    }
}

impl<T: Plain> Clone for Resident<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl<T> fmt::Debug for Resident<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.0 {
            Memory::Own(_) => "by itself".into(),
            Memory::Piece { region, .. } => format!("in a map of {} bytes", region.0.len()),
        };
        write!(f, "{} numbers {place}", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_zero_on_a_line_and_apart() {
        let mut pieces: Vec<Resident<f32>> =
            [1, 1000, LEAST / 4, LEAST / 4 + 1, 100_000, REGION / 4 + 5].map(Resident::zeroed).into();
        for (mark, piece) in pieces.iter_mut().enumerate() {
            assert_eq!(piece.as_ptr() as usize % LINE, 0);
            assert!(piece.iter().all(|&v| v == 0.0));
            piece.fill(mark as f32);
        }
        let copies = pieces.clone();
        drop(pieces.split_off(3));
        let rest: Resident<i8> = Resident::zeroed(3 * LEAST);
        assert!(rest.iter().all(|&v| v == 0));
        for (mark, piece) in copies.iter().enumerate() {
            assert!(piece.iter().all(|&v| v == mark as f32));
        }
        assert!(pieces.iter().enumerate().all(|(mark, piece)| piece.iter().all(|&v| v == mark as f32)));
    }
}
