//! The functions of libc that `interpose` replaces, as they were.
//!
//! Each is looked up once, behind this library in the program's search order.
#![allow(unsafe_code, reason = "looks up functions of C and gives them their types")]

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Where a function was found; null before.
struct Slot(AtomicPtr<c_void>);

impl Slot {
    const fn empty() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    fn get(&self, name: &CStr) -> *mut c_void {
        let known = self.0.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: a name that ends with a zero byte, looked up behind this library.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        if found.is_null() {
            // Every libc that XRT runs on has all of them; without one the program cannot go on.
            std::process::abort();
        }
        self.0.store(found, Ordering::Relaxed);
        found
    }
}

/// One function for each line: its name, and its type as libc's headers have it.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $back:ty;)*) => {
        $(
            /// The real one.
            ///
            /// # Safety
            /// As libc's.
            pub(crate) unsafe fn $name($($argument: $kind),*) -> $back {
                static SLOT: Slot = Slot::empty();
                const NAME: &CStr =
                    match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a function's name holds no zero byte"),
                    };
                // SAFETY: the function of that name has this type in libc.
                let real: unsafe extern "C" fn($($kind),*) -> $back = unsafe { std::mem::transmute(SLOT.get(NAME)) };
                // SAFETY: as the caller of this function promises.
                unsafe { real($($argument),*) }
            }
        )*
    };
}

functions! {
    fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int;
    fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int;
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void;
    fn opendir(path: *const c_char) -> *mut c_void;
    fn readlink(path: *const c_char, target: *mut c_char, len: usize) -> isize;
    fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char;
    fn stat(path: *const c_char, out: *mut c_void) -> c_int;
    fn lstat(path: *const c_char, out: *mut c_void) -> c_int;
    fn fstatat(folder: c_int, path: *const c_char, out: *mut c_void, flags: c_int) -> c_int;
    fn statx(folder: c_int, path: *const c_char, flags: c_int, mask: u32, out: *mut c_void) -> c_int;
    fn access(path: *const c_char, mode: c_int) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int;
    fn mmap(at: *mut c_void, len: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
    fn munmap(at: *mut c_void, len: usize) -> c_int;
}
