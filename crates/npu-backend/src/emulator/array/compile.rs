//! From the kernels' sources, which the binary carries, to an open library: compiled once for each machine and user.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::cache::Cache;
use super::native::Kernels;
use super::toolchain::{Toolchain, unavailable};
use crate::Result;
use crate::kernel::fingerprint::Fingerprint;

/// C++ files: names and texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// Those ending in `.cc` are compiled, all lie in one folder.
    pub(crate) tiles: &'a [(&'a str, &'a str)],
    /// Paths below the include folder.
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

impl Sources<'static> {
    /// The ones that the binary carries.
    pub(crate) const EMBEDDED: Self =
        Self { tiles: npu_kernels::SOURCES, headers: npu_kernels::HOST_HEADERS };
}

/// The kernels that the binary carries, compiled for exact or fast arithmetic: once a process, and once a machine.
///
/// # Errors
/// [`Error::Unavailable`](crate::Error::Unavailable): no compiler, no place to keep the library, or code that does not
/// compile.
pub(crate) fn embedded(exact: bool) -> Result<Arc<Kernels>> {
    static OPEN: [Mutex<Option<Arc<Kernels>>>; 2] = [const { Mutex::new(None) }; 2];
    // The lock is held while compiling, so that threads of one process do not compile the same thing.
    let mut open = OPEN[usize::from(exact)].lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kernels) = &*open {
        return Ok(Arc::clone(kernels));
    }
    let kernels = Arc::new(library(Sources::EMBEDDED, exact, &Toolchain::find()?, &Cache::of_user()?)?);
    *open = Some(Arc::clone(&kernels));
    Ok(kernels)
}

/// Opens the library of `sources`, compiling it if the cache lacks it.
///
/// # Errors
/// As [`embedded`].
pub(crate) fn library(
    sources: Sources,
    exact: bool,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<Kernels> {
    let arguments = arguments(sources, exact);
    let variant = if exact { "exact" } else { "fast" };
    let name = format!("{variant}-{}{}", key(sources, &arguments, toolchain), std::env::consts::DLL_SUFFIX);
    let path = cache.file(&name);
    // One that does not open is compiled anew: a full disk or a crash may have left it.
    if path.is_file()
        && let Ok(kernels) = Kernels::open(&path, exact)
    {
        return Ok(kernels);
    }
    build(sources, &arguments, toolchain, cache, &path)?;
    Kernels::open(&path, exact).map_err(|why| {
        unavailable(
            format!("the compiled kernels {} do not open: {why}", path.display()),
            "the kernels' C++ and this program do not belong together; take both from one release",
        )
    })
}

/// What a library is known by: every byte that it is made of and by.
fn key(sources: Sources, arguments: &[OsString], toolchain: &Toolchain) -> String {
    let files = sources.tiles.iter().chain(sources.headers);
    let hash = files.fold(Fingerprint::new(), |hash, (name, text)| hash.text(name).text(text));
    let hash = arguments.iter().fold(hash, |hash, argument| hash.text(&argument.to_string_lossy()));
    hash.bytes(toolchain.identity()).hex()
}

const OUTPUT: &str = "kernels.library";

fn arguments(sources: Sources, exact: bool) -> Vec<OsString> {
    let mut arguments =
        vec!["-O3", "-shared", "-fPIC", "-fvisibility=default", "-w", "-I", "include", "-I", "src"];
    if exact {
        // The exact mode models each rounding: the compiler must not contract two into one.
        arguments.extend(["-ffp-contract=off", "-DAIE_HOST_EXACT=1"]);
    } else {
        arguments.push("-DAIE_HOST_EXACT=0");
    }
    arguments.extend(["-o", OUTPUT]);
    let units = sources.tiles.iter().map(|(name, _)| name).filter(|name| name.ends_with(".cc"));
    arguments.into_iter().map(OsString::from).chain(units.map(|name| format!("src/{name}").into())).collect()
}

/// Compiles in a folder of its own and renames the result into place: whoever else does the same at the same time
/// makes the same file, and nobody sees half of one.
fn build(
    sources: Sources,
    arguments: &[OsString],
    toolchain: &Toolchain,
    cache: &Cache,
    path: &Path,
) -> Result<()> {
    let unwritable = |error: io::Error| {
        unavailable(
            format!("the kernels cannot be compiled into {}: {error}", path.display()),
            "make room there, or set XDG_CACHE_HOME to another place",
        )
    };
    let workshop = cache.workshop().map_err(unwritable)?;
    write(&workshop.path().join("src"), sources.tiles).map_err(unwritable)?;
    write(&workshop.path().join("include"), sources.headers).map_err(unwritable)?;
    toolchain.compile(arguments, workshop.path())?;
    fs::rename(workshop.path().join(OUTPUT), path).map_err(unwritable)
}

fn write(folder: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
