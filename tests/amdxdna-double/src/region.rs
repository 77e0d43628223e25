//! Memory of buffer objects: what the host sees, and what the device sees.
//!
//! On hardware both look at the same pages, the host through its caches. XRT's user-space flush (`clflush`) cannot be
//! seen from here, so usually there is one copy and every sync is as good as done. With XRT's ini option
//! `Debug.force_driver_sync` syncs are ioctls: then there are two copies, and what was not synced is not seen.
#![allow(unsafe_code, reason = "memory shared with the program, which has pointers to it")]

use std::ffi::c_int;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::errno::{Answer, ENOMEM, Errno};
use crate::next;

/// Bytes at a place that does not move. The program and the device may both write them, as on hardware; whoever reads
/// while the other writes gets bytes of either.
#[derive(Debug)]
struct Region {
    start: *mut u8,
    len: usize,
    /// Whether to unmap it at the end; a user pointer's memory belongs to the program.
    ours: bool,
}

// SAFETY: a place in memory; see `Region` on who writes it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Zeros of this process, or a file's bytes.
    fn map(len: usize, file: Option<&OwnedFd>) -> Answer<Self> {
        let sharing = match file {
            Some(_) => libc::MAP_SHARED,
            None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.map_or(-1, AsRawFd::as_raw_fd);
        // SAFETY: a new mapping wherever the kernel likes.
        let start = unsafe { next::mmap(std::ptr::null_mut(), len, protection, sharing, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(ENOMEM);
        }
        Ok(Self { start: start.cast(), len, ours: true })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as this lives, `len` bytes; what may be written meanwhile is bytes (see `Region`).
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    #[allow(clippy::mut_from_ref, reason = "memory of the device, which one thread at a time writes")]
    fn bytes_mut(&self) -> &mut [u8] {
        // SAFETY: as in `bytes`. Only the worker and syncs write through this, each under the lock of its object.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.ours {
            // SAFETY: this object's own mapping, to which no reference is left.
            unsafe { next::munmap(self.start.cast(), self.len) };
        }
    }
}

/// The memory of one buffer object.
#[derive(Debug)]
pub(crate) struct Memory {
    host: Region,
    /// None if the device looks at the host's copy.
    device: Option<Region>,
    /// What the program maps; none for a user pointer.
    file: Option<OwnedFd>,
}

impl Memory {
    /// `len` zeros; with `two_copies`, for the device apart.
    pub(crate) fn new(len: usize, two_copies: bool) -> Answer<Self> {
        // SAFETY: a name that ends with a zero byte.
        let fd = unsafe { libc::memfd_create(c"amdxdna-double".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(last_error());
        }
        // SAFETY: a descriptor just made, which nobody else has.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: as above.
        if unsafe { libc::ftruncate(fd, len.cast_signed() as libc::off_t) } != 0 {
            return Err(last_error());
        }
        Self::over(len, file, two_copies)
    }

    /// Memory of a descriptor that came from elsewhere.
    pub(crate) fn over(len: usize, file: OwnedFd, two_copies: bool) -> Answer<Self> {
        let device = if two_copies { Some(Region::map(len, None)?) } else { None };
        Ok(Self { host: Region::map(len, Some(&file))?, device, file: Some(file) })
    }

    /// The program's own memory.
    pub(crate) fn of_pointer(address: u64, len: usize, two_copies: bool) -> Answer<Self> {
        let device = if two_copies { Some(Region::map(len, None)?) } else { None };
        Ok(Self { host: Region { start: address as *mut u8, len, ours: false }, device, file: None })
    }

    pub(crate) fn len(&self) -> usize {
        self.host.len
    }

    /// A descriptor to map it by.
    pub(crate) fn fd(&self) -> c_int {
        self.file.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Another descriptor of the same memory, for someone to keep.
    pub(crate) fn duplicate(&self) -> Answer<OwnedFd> {
        self.file.as_ref().and_then(|file| file.try_clone().ok()).ok_or(Errno(libc::EMFILE))
    }

    /// What the host sees.
    pub(crate) fn host(&self) -> &[u8] {
        self.host.bytes()
    }

    /// What the host sees, to be written by the driver.
    #[allow(clippy::mut_from_ref, reason = "commands belong to the driver while it has them")]
    pub(crate) fn host_mut(&self) -> &mut [u8] {
        self.host.bytes_mut()
    }

    /// What the device sees.
    pub(crate) fn device(&self) -> &[u8] {
        self.device.as_ref().unwrap_or(&self.host).bytes()
    }

    /// What the device sees, to be written by it.
    #[allow(clippy::mut_from_ref, reason = "the worker alone writes for the device")]
    pub(crate) fn device_mut(&self) -> &mut [u8] {
        self.device.as_ref().unwrap_or(&self.host).bytes_mut()
    }

    /// Makes the device's copy equal the host's, or the other way round.
    pub(crate) fn sync(&self, range: Range<usize>, to_device: bool) {
        let Some(device) = &self.device else { return };
        if to_device {
            device.bytes_mut()[range.clone()].copy_from_slice(&self.host.bytes()[range]);
        } else {
            self.host.bytes_mut()[range.clone()].copy_from_slice(&device.bytes()[range]);
        }
    }
}

/// What names a file: two descriptors of the same one have the same name.
pub(crate) fn identity(fd: c_int) -> Option<(u64, u64, usize)> {
    let mut out = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for what is written.
    if unsafe { libc::fstat(fd, out.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: written, since the call succeeded.
    let out = unsafe { out.assume_init() };
    Some((out.st_dev, out.st_ino, usize::try_from(out.st_size).ok()?))
}

/// A descriptor of the caller's, duplicated.
pub(crate) fn duplicate(fd: c_int) -> Answer<OwnedFd> {
    // SAFETY: any number may be asked for.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(last_error());
    }
    // SAFETY: a descriptor just made, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The limit on locked memory of this process (`ulimit -l`), bytes.
pub(crate) fn memlock_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for what is written.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return 0;
    }
    limit.rlim_cur
}

/// The monotonic clock, as programs give deadlines by it.
pub(crate) fn monotonic() -> std::time::Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for what is written; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    std::time::Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn last_error() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn two_copies_differ_until_synced_and_one_copy_never_does() {
        let two = Memory::new(128, true).unwrap();
        two.host_mut()[..128].fill(7);
        assert_eq!(two.device(), [0; 128]);
        two.sync(0..64, true);
        assert_eq!((two.device()[63], two.device()[64]), (7, 0));
        two.device_mut()[127] = 9;
        assert_eq!(two.host()[127], 7);
        two.sync(64..128, false);
        assert_eq!((two.host()[64], two.host()[127]), (0, 9));

        let one = Memory::new(64, false).unwrap();
        one.host_mut()[0] = 5;
        assert_eq!(one.device()[0], 5);
    }

    #[test]
    fn a_duplicate_is_the_same_memory() {
        let memory = Memory::new(4096, false).unwrap();
        let copy = memory.duplicate().unwrap();
        assert_eq!(identity(memory.fd()), identity(copy.as_raw_fd()));
        let again = Memory::over(4096, copy, false).unwrap();
        memory.host_mut()[4095] = 3;
        assert_eq!(again.host()[4095], 3);
        assert_ne!(identity(memory.fd()), identity(Memory::new(4096, false).unwrap().fd()));
    }
}
