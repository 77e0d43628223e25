//! Where the libraries of AMD's runtime lie: where the loader looks, then in the runtime's own folder.

use std::path::{Path, PathBuf};

use super::{System, names};
use crate::cli::doctor::facts::{Library, Part};

/// Where the runtime installs itself when it is built by hand, or by AMD's packages.
const OWN_FOLDER: &str = "/opt/xilinx/xrt";
/// Where loaders look without being told (ld.so(8)), with Debian's folders of an architecture.
const ALWAYS: [&str; 6] =
    ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"];

/// All that is there of both parts: first those of the runtime that is open, then in the order of the search.
pub(super) fn find(system: &System, open: Option<PathBuf>) -> Vec<Library> {
    // Nothing else counts then: its plugin is taken from where it lies.
    let only = open.is_some();
    let searched = open.map_or_else(|| searched(system), |folder| vec![folder]);
    let own = system.variable("XILINX_XRT").unwrap_or(OWN_FOLDER);
    let own = ["lib", "lib64", "lib/x86_64-linux-gnu"]
        .map(|name| Path::new(own).join(name))
        .into_iter()
        .filter(|_| !only);
    let own: Vec<PathBuf> = own.collect();
    let folders =
        searched.iter().map(|folder| (folder, true)).chain(own.iter().map(|folder| (folder, false)));
    let mut found: Vec<Library> = Vec::new();
    for (folder, searched) in folders {
        for (part, name) in [(Part::Runtime, "libxrt_coreutil.so"), (Part::Plugin, "libxrt_driver_xdna.so")] {
            let Some((file, version)) = newest(&names(&system.at(folder)), name) else { continue };
            let path = folder.join(file);
            if !found.iter().any(|known| known.path == path) {
                found.push(Library { part, path, version, searched });
            }
        }
    }
    found
}

/// Folders of the loader: the environment's, those of its configuration, and those that need none.
fn searched(system: &System) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = system
        .variable("LD_LIBRARY_PATH")
        .map(|paths| std::env::split_paths(paths).collect())
        .unwrap_or_default();
    let files = names(&system.at("/etc/ld.so.conf.d")).into_iter().filter(|name| name.ends_with(".conf"));
    let files = files.map(|name| Path::new("/etc/ld.so.conf.d").join(name));
    for file in std::iter::once(PathBuf::from("/etc/ld.so.conf")).chain(files) {
        let text = system.text(file).unwrap_or_default();
        // Other lines are comments, or include the files that are read here anyway.
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    folders.extend(ALWAYS.map(PathBuf::from));
    folders
}

/// Of `libx.so`, `libx.so.2` and `libx.so.2.21.75` the one that says most of its version, and what it says.
fn newest(names: &[String], library: &str) -> Option<(String, Option<String>)> {
    let versions = names.iter().filter_map(|name| Some((name, name.strip_prefix(library)?)));
    let (name, version) = versions
        .filter(|(_, version)| version.is_empty() || version.starts_with('.'))
        .max_by_key(|(_, version)| version.split('.').count())?;
    let version = version.strip_prefix('.').map(String::from);
    Some((name.clone(), version))
}
