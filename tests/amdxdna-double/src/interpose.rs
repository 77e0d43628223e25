//! Functions of libc as the program gets them: paths of the device lead to its files, its node leads to the driver.
//!
//! Everything else goes straight on. Symbols with `64` in their names are the same functions on x86-64.
#![allow(unsafe_code, reason = "replaces functions of C")]
#![allow(clippy::missing_safety_doc, reason = "their contracts are libc's")]

use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};

use crate::driver::Node;
use crate::errno::Errno;
use crate::{next, sysfs};

/// Sets `errno`, and answers what a failed call answers.
fn failed<T>(Errno(code): Errno, value: T) -> T {
    // SAFETY: the calling thread's own `errno`.
    unsafe { *libc::__errno_location() = code };
    value
}

/// The path in the double's folder, if `path` is one of the device's.
///
/// # Safety
/// `path` is null or ends with a zero byte.
unsafe fn redirected(path: *const c_char) -> Option<CString> {
    if path.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    sysfs::redirect(unsafe { CStr::from_ptr(path) })
}

/// Calls the real function with the path that it shall see.
macro_rules! on_path {
    ($path:ident, $call:expr) => {{
        // SAFETY: the program gave libc a path.
        let there = unsafe { redirected($path) };
        let $path = there.as_ref().map_or($path, |there| there.as_ptr());
        // SAFETY: the program's own arguments, but for the path, which outlives the call.
        unsafe { $call }
    }};
}

/// Opens the device's node, if `path` is its path.
///
/// # Safety
/// As [`redirected`].
unsafe fn open_node(path: *const c_char) -> Option<c_int> {
    if path.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    let path = unsafe { CStr::from_ptr(path) };
    (path == sysfs::NODE).then(|| Node::open().unwrap_or_else(|errno| failed(errno, -1)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: the program gave libc a path.
    match unsafe { open_node(path) } {
        Some(fd) => fd,
        None => on_path!(path, next::open(path, flags, mode)),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { open(path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the program's own arguments; this one never creates a file, so it has no mode.
    unsafe { open(path, flags, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: the program gave libc a path.
    match unsafe { open_node(path) } {
        Some(fd) => fd,
        None => on_path!(path, next::openat(folder, path, flags, mode)),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { openat(folder, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void {
    on_path!(path, next::fopen(path, mode))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut c_void {
    // SAFETY: the program's own arguments.
    unsafe { fopen(path, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn opendir(path: *const c_char) -> *mut c_void {
    on_path!(path, next::opendir(path))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readlink(path: *const c_char, target: *mut c_char, len: usize) -> isize {
    on_path!(path, next::readlink(path, target, len))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    let found = on_path!(path, next::realpath(path, resolved));
    if !found.is_null() {
        // SAFETY: libc just wrote a path there.
        if let Some(shown) = sysfs::shown(unsafe { CStr::from_ptr(found) }) {
            // SAFETY: the shown path is the found one without its beginning, so it fits where that one stands.
            unsafe { std::ptr::copy_nonoverlapping(shown.as_ptr(), found, shown.as_bytes_with_nul().len()) };
        }
    }
    found
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __realpath_chk(path: *const c_char, resolved: *mut c_char, _len: usize) -> *mut c_char {
    // SAFETY: the program's own arguments; it says that `resolved` has room for any path.
    unsafe { realpath(path, resolved) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn stat(path: *const c_char, out: *mut c_void) -> c_int {
    on_path!(path, next::stat(path, out))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn stat64(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { stat(path, out) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lstat(path: *const c_char, out: *mut c_void) -> c_int {
    on_path!(path, next::lstat(path, out))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lstat64(path: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { lstat(path, out) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fstatat(folder: c_int, path: *const c_char, out: *mut c_void, flags: c_int) -> c_int {
    on_path!(path, next::fstatat(folder, path, out, flags))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fstatat64(folder: c_int, path: *const c_char, out: *mut c_void, flags: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { fstatat(folder, path, out, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn statx(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mask: u32,
    out: *mut c_void,
) -> c_int {
    on_path!(path, next::statx(folder, path, flags, mask, out))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    on_path!(path, next::access(path, mode))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    if let Some(node) = Node::of(fd) {
        node.close();
    }
    // SAFETY: the program's own argument; the node's file is closed like any other.
    unsafe { next::close(fd) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    match Node::of(fd) {
        Some(node) => match crate::ioctls::call(&node, request, argument as u64) {
            Ok(()) => 0,
            Err(errno) => failed(errno, -1),
        },
        // SAFETY: the program's own arguments.
        None => unsafe { next::ioctl(fd, request, argument) },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    at: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    let Some(node) = Node::of(fd) else {
        // SAFETY: the program's own arguments.
        return unsafe { next::mmap(at, len, protection, flags, fd, offset) };
    };
    let backing = match node.mapping(offset, len, flags & libc::MAP_LOCKED != 0) {
        Ok(backing) => backing,
        Err(errno) => return failed(errno, libc::MAP_FAILED),
    };
    // Whether pages may be locked is the double's to say (`settings`), so that tests need no privilege.
    let flags = flags & !libc::MAP_LOCKED;
    // SAFETY: the program's own place, and the memory of the object that it named by the offset.
    let place = unsafe { next::mmap(at, len, protection, flags, backing.fd(), 0) };
    if place == libc::MAP_FAILED {
        node.unmapped(&backing, len);
    } else {
        node.mapped(&backing, place as u64, len);
    }
    place
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    at: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the program's own arguments.
    unsafe { mmap(at, len, protection, flags, fd, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(at: *mut c_void, len: usize) -> c_int {
    Node::forget_mapping(at as u64, len);
    // SAFETY: the program's own arguments.
    unsafe { next::munmap(at, len) }
}
