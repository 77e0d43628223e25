//! The one place that maps a file into memory.
#![allow(unsafe_code, reason = "the workspace's only memory map")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps `path` for reading.
pub(super) fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // SAFETY: the map is only read, as plain bytes that every value may take. A process that shortens the file while it
    // is mapped ends this one by SIGBUS; weights are files that are replaced by rename, not cut in place.
    unsafe { Mmap::map(&file) }
}
