//! Output files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Writer, WriterOptions};
use crate::{Error, ErrorKind, Result, Transcription};

/// `folder/speech.srt` for `somewhere/speech.wav`: OpenAI's rule, by which only the last extension goes.
#[must_use]
pub fn output_path(folder: &Path, audio: &Path, extension: &str) -> PathBuf {
    let name = audio.file_name().unwrap_or_default();
    // Python's splitext does not count leading dots: `..wav` has no extension.
    let dots_only = name.to_string_lossy().trim_start_matches('.').find('.').is_none();
    let mut stem = if dots_only { name } else { audio.file_stem().unwrap_or(name) }.to_owned();
    stem.push(".");
    stem.push(extension);
    folder.join(stem)
}

/// Writes a transcription beside or instead of an earlier one of the same name; returns the path.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_output(
    folder: &Path,
    audio: &Path,
    writer: &dyn Writer,
    transcription: &Transcription,
    options: &WriterOptions,
) -> Result<PathBuf> {
    let path = output_path(folder, audio, writer.extension());
    write_atomically(&path, |out| writer.write(transcription, options, out))?;
    Ok(path)
}

/// Writes a file under a temporary name in the same folder and renames it when it is complete.
///
/// If anything fails, an older file stays as it was and nothing else is left. Links are followed; what is there but not
/// a regular file (a pipe, `/dev/stdout`) is written to directly.
///
/// # Errors
/// [`ErrorKind::Output`] with the cause: no such folder, no permission, no space.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    attempt(path, write).map_err(|error| cannot_write(path, error))
}

/// As [`write_atomically`], for contents that are made while they are written, which can fail by itself.
///
/// # Errors
/// As [`write_atomically`]; and what failed in the making, as it is.
pub fn make_atomically(
    path: &Path,
    make: impl FnOnce(&mut dyn Write) -> std::result::Result<(), Unfinished>,
) -> Result<()> {
    attempt(path, make).map_err(|unfinished| match unfinished {
        Unfinished::Writing(error) => cannot_write(path, error),
        Unfinished::Making(error) => error,
    })
}

/// Why a file was not finished.
#[derive(Debug)]
pub enum Unfinished {
    /// It cannot be written.
    Writing(io::Error),
    /// What was to be written cannot be made.
    Making(Error),
}

impl From<io::Error> for Unfinished {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self::Making(error)
    }
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "create the folder first, or choose another with -o",
        io::ErrorKind::PermissionDenied => "choose a folder that you may write to with -o",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or choose another folder with -o"
        }
        _ => "choose another folder with -o",
    };
    let what = format!("cannot write {}", path.display());
    Error::new(ErrorKind::Output, what, error.to_string(), hint).with_source(error)
}

/// Whether a file can be there: its folder is, and no folder has its name.
///
/// # Errors
/// [`ErrorKind::Output`] as [`write_atomically`] gives it.
pub fn check_place(path: &Path) -> Result<()> {
    place(path).map(drop).map_err(|error| cannot_write(path, error))
}

/// The file's folder.
fn place(path: &Path) -> io::Result<&Path> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder of that name is there"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(folder) {
        Ok(data) if data.is_dir() => Ok(folder),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is a file, not a folder", folder.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("there is no folder {}", folder.display())))
        }
        Err(error) => Err(error),
    }
}

/// The system's own error, without the name of the temporary file that `tempfile` puts around it.
fn bare(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|wrapped| wrapped.source()?.downcast_ref::<io::Error>());
    match inner {
        Some(inner) => io::Error::new(inner.kind(), inner.to_string()),
        None => error,
    }
}

fn attempt<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    place(path)?;
    let existing = fs::metadata(path).ok();
    if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        let mut out = BufWriter::new(File::options().write(true).open(path)?);
        write(&mut out)?;
        return Ok(out.flush()?);
    }
    if existing.is_some_and(|metadata| metadata.permissions().readonly()) {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "the file that is there is read-only");
        return Err(error.into());
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = place(&path)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".transcribe-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets; the umask takes its share. Temporary files are private otherwise.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(bare)?;
    // Into the file itself: `tempfile` would put its temporary name into errors.
    let mut out = BufWriter::new(file.as_file_mut());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    file.persist(&path).map_err(io::Error::from)?;
    Ok(())
}
