//! The program's memory, by the addresses that it hands to ioctls.
//!
//! A driver checks such an address against the program's address space; the double lives in that space and takes every
//! address but null on trust, as a function of C would. XRT's are good ones.
#![allow(unsafe_code, reason = "reads and writes what the program's pointers point to")]

use crate::errno::{Answer, EFAULT};

/// Structures that any bytes are a value of, and that have no bytes besides their fields'.
///
/// # Safety
/// Every bit pattern is a value, and there is no padding.
pub(crate) unsafe trait Plain: Copy + Default {}

/// Marks structures that `abi` has checked.
macro_rules! plain {
    ($($name:ty),*) => {
        // SAFETY: integers, arrays of them and other such structures; `abi` asserts that nothing lies between them.
        $(unsafe impl crate::user::Plain for $name {})*
    };
}
pub(crate) use plain;

plain!(u32, u64);

/// What lies at an address.
pub(crate) fn read<T: Plain>(address: u64) -> Answer<T> {
    let place = address as *const T;
    if place.is_null() {
        return Err(EFAULT);
    }
    // SAFETY: the program says that a `T` lies there (see the head of this file), and any bytes are one.
    Ok(unsafe { place.read_unaligned() })
}

/// Values that lie in a row.
pub(crate) fn read_array<T: Plain>(address: u64, count: usize) -> Answer<Vec<T>> {
    (0..count).map(|index| read(address + (index * size_of::<T>()) as u64)).collect()
}

/// Puts a value at an address.
pub(crate) fn write<T: Plain>(address: u64, value: T) -> Answer {
    let place = address as *mut T;
    if place.is_null() {
        return Err(EFAULT);
    }
    // SAFETY: the program says that a `T` may be written there (see the head of this file).
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// The parameter of an ioctl: as much as the caller's structure has of it, the rest zero, as `drm_ioctl` copies it.
pub(crate) fn read_parameter<T: Plain>(address: u64, caller_bytes: usize) -> Answer<T> {
    let mut value = T::default();
    if address == 0 {
        return Err(EFAULT);
    }
    let len = size_of::<T>().min(caller_bytes);
    // SAFETY: the ioctl's number says that the caller's structure has `caller_bytes`, and `value` has at least `len`; any
    // bytes are a `T`.
    unsafe { std::ptr::copy_nonoverlapping(address as *const u8, (&raw mut value).cast(), len) };
    Ok(value)
}

/// Gives the parameter of an ioctl back.
pub(crate) fn write_parameter<T: Plain>(address: u64, caller_bytes: usize, value: T) {
    let len = size_of::<T>().min(caller_bytes);
    // SAFETY: as in `read_parameter`, which was called before with the same address; a `T` has no padding.
    unsafe { std::ptr::copy_nonoverlapping((&raw const value).cast(), address as *mut u8, len) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_short_parameter_is_filled_up_and_a_null_one_refused() {
        let caller = [1_u32, 2, 3];
        let address = caller.as_ptr() as u64;
        assert_eq!(read_parameter::<u64>(address, 4).unwrap(), 1);
        assert_eq!(read_parameter::<u64>(address, 12).unwrap(), 1 | 2 << 32);
        assert_eq!(read_array::<u32>(address, 3).unwrap(), caller);
        assert_eq!(read::<u32>(0), Err(EFAULT));
    }
}
