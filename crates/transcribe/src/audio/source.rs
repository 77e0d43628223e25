//! Where bytes come from: checking and opening files, keeping pipes so that they can be sought in.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use symphonia::core::io::MediaSource;
use tempfile::SpooledTempFile;

use super::unreadable;
use crate::{Error, Result};

/// A pipe is kept in memory up to this size, and beyond it in a temporary file.
const KEPT_IN_MEMORY: usize = 64 << 20;

/// An opened input.
pub(super) enum Opened {
    /// A regular file.
    Seekable(File),
    /// A pipe or device.
    Pipe(File),
}

/// What an input is called in messages.
pub(super) fn name_of(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// Finds what can be known to be wrong with a file without decoding it: missing, a folder, empty, not permitted.
///
/// Cheap, so that a command can look at all its inputs before it loads a model. Pipes are not touched.
///
/// # Errors
/// [`crate::ErrorKind::Input`].
pub fn check_file(path: &Path) -> Result<()> {
    if examine(path)?.is_file() { open(path).map(|_| ()) } else { Ok(()) }
}

/// Opens a file or named pipe.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let regular = examine(path)?.is_file();
    let file = File::open(path).map_err(|error| cannot_open(path, error))?;
    Ok(if regular { Opened::Seekable(file) } else { Opened::Pipe(file) })
}

fn examine(path: &Path) -> Result<Metadata> {
    let name = name_of(path);
    let metadata = path.metadata().map_err(|error| cannot_open(path, error))?;
    if metadata.is_dir() {
        return Err(unreadable(&name, "it is a folder", "name the audio files in it"));
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(empty(&name));
    }
    Ok(metadata)
}

fn cannot_open(path: &Path, error: io::Error) -> Error {
    let (why, hint) = match error.kind() {
        io::ErrorKind::NotFound => {
            ("there is no such file".into(), "check the spelling; a name with spaces needs quotes")
        }
        io::ErrorKind::PermissionDenied => ("permission denied".into(), "make it readable for this user"),
        _ => (error.to_string(), "check the path"),
    };
    unreadable(&name_of(path), why, hint).with_source(error)
}

fn empty(name: &str) -> Error {
    unreadable(name, "it is empty", "check that the recording or download was finished")
}

/// Reads a pipe to its end and gives something that can be sought in.
pub(super) fn keep(mut stream: Box<dyn Read + Send + Sync>, name: &str) -> Result<Box<dyn MediaSource>> {
    let mut kept = SpooledTempFile::new(KEPT_IN_MEMORY);
    let mut block = vec![0u8; 64 << 10];
    let mut len = 0u64;
    loop {
        let read = match stream.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(name, error)),
        };
        kept.write_all(&block[..read]).map_err(|error| {
            let why = format!("it cannot be kept in a temporary file: {error}");
            unreadable(
                name,
                why,
                "free space there, point TMPDIR elsewhere, or give a file in place of a pipe",
            )
            .with_source(error)
        })?;
        len += read as u64;
    }
    if len == 0 {
        return Err(empty(name));
    }
    kept.seek(SeekFrom::Start(0)).map_err(|error| broken(name, error))?;
    Ok(Box::new(Kept { file: kept, len }))
}

/// The error of an input that fails while it is read.
pub(super) fn broken(name: &str, error: io::Error) -> Error {
    unreadable(name, error.to_string(), "check the disk, the connection or the program that writes to it")
        .with_source(error)
}

/// A source that can be given to a reader, and to another from the start when the first one fails on it.
#[derive(Clone)]
pub(super) struct Shared {
    inner: Arc<Mutex<Box<dyn MediaSource>>>,
    seekable: bool,
    len: Option<u64>,
}

impl Shared {
    pub(super) fn new(source: Box<dyn MediaSource>) -> Self {
        let (seekable, len) = (source.is_seekable(), source.byte_len());
        Self { inner: Arc::new(Mutex::new(source)), seekable, len }
    }

    /// The same bytes from the start, as a pipe.
    pub(super) fn restarted_as_pipe(&self) -> io::Result<Self> {
        self.lock()?.seek(SeekFrom::Start(0))?;
        Ok(Self { seekable: false, len: None, ..self.clone() })
    }

    fn lock(&self) -> io::Result<MutexGuard<'_, Box<dyn MediaSource>>> {
        self.inner.lock().map_err(|_| io::Error::other("an earlier reader failed"))
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock()?.read(buffer)
    }
}

impl Seek for Shared {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.lock()?.seek(position)
    }
}

impl MediaSource for Shared {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.len
    }
}

/// A pipe's bytes.
struct Kept {
    file: SpooledTempFile,
    len: u64,
}

impl Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Kept {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

impl MediaSource for Kept {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
