//! Per-thread working memory that is grown once and then reused: no allocation in the steady state.

use crate::aligned::Aligned;
use crate::kernels::{Beyond, RowScale};
use std::cell::RefCell;
use std::thread::LocalKey;

/// Buffers that are not in use.
type Spare<T> = RefCell<Vec<Aligned<T>>>;

thread_local! {
    static FLOATS: Spare<f32> = const { RefCell::new(Vec::new()) };
    static BYTES: Spare<u8> = const { RefCell::new(Vec::new()) };
    static WHOLE: Spare<i8> = const { RefCell::new(Vec::new()) };
    static PLACES: Spare<usize> = const { RefCell::new(Vec::new()) };
    static BEYOND: Spare<Beyond> = const { RefCell::new(Vec::new()) };
    static SCALES: Spare<RowScale> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` f32 numbers of undefined content, 64-byte aligned. Calls may nest.
pub(crate) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    lend(&FLOATS, len, f)
}

/// As [`with`], for bytes.
pub(crate) fn with_bytes<R>(len: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
    lend(&BYTES, len, f)
}

/// As [`with`], for small whole numbers.
pub(crate) fn with_i8<R>(len: usize, f: impl FnOnce(&mut [i8]) -> R) -> R {
    lend(&WHOLE, len, f)
}

/// As [`with`], for places in something else.
pub(crate) fn with_places<R>(len: usize, f: impl FnOnce(&mut [usize]) -> R) -> R {
    lend(&PLACES, len, f)
}

/// As [`with`], for what rows of an operand stand for.
pub(crate) fn with_scales<R>(len: usize, f: impl FnOnce(&mut [RowScale]) -> R) -> R {
    lend(&SCALES, len, f)
}

/// As [`with`], for what rows of an operand hold beyond their range.
pub(crate) fn with_beyond<R>(len: usize, f: impl FnOnce(&mut [Beyond]) -> R) -> R {
    lend(&BEYOND, len, f)
}

fn lend<T: Copy + Default, R>(
    spare: &'static LocalKey<Spare<T>>,
    len: usize,
    f: impl FnOnce(&mut [T]) -> R,
) -> R {
    // Taken out while in use: a nested call takes the next one.
    let mut buffer = spare.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer = Aligned::zeroed(len.next_power_of_two());
    }
    let result = f(&mut buffer[..len]);
    spare.with_borrow_mut(|spare| spare.push(buffer));
    result
}

#[cfg(test)]
mod tests {
    #[test]
    fn nested_buffers_differ_and_are_reused() {
        let first = super::with(100, |a| {
            a.fill(1.0);
            super::with(50, |b| b.fill(2.0));
            assert!(a.iter().all(|&v| v == 1.0));
            a.as_ptr() as usize
        });
        // The outer buffer was pushed last, so it is taken first.
        assert_eq!(super::with(100, |a| a.as_ptr() as usize), first);
    }
}
