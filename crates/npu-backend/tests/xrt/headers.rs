//! The shim against every set of XRT's headers that there is: without a warning, and calling only what `shim/symbols.txt` lists.
//!
//! The sandbox has one set. More are named by `XRT_HEADER_SETS`, a list of folders as in `PATH`, each with `xrt/xrt_bo.h` in it:
//! `shim/header-sets` fetches those of six older releases and prints the list.

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{self, Stage, told};

fn shim(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("shim").join(file)
}

/// Functions of XRT that an object calls, or that a library has.
fn symbols(file: &Path, options: &[&str]) -> BTreeSet<String> {
    let listed = Command::new("nm").args(options).arg(file).output().unwrap();
    assert!(listed.status.success(), "{}", told(&listed));
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .filter(|name| name.contains("3xrt"))
        .map(Into::into)
        .collect()
}

#[test]
fn the_shim_compiles_without_a_warning_and_calls_what_is_listed() {
    let Some(stage) = Stage::set() else { return };
    let named = env::var_os("XRT_HEADER_SETS").unwrap_or_default();
    let sets: Vec<PathBuf> = [stage.prefix.join("include")]
        .into_iter()
        .chain(env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()))
        .collect();
    assert!(
        !stage::required() || sets.len() >= 3,
        "XRT_REQUIRED=1, and XRT_HEADER_SETS names {} sets",
        sets.len() - 1
    );
    let list = std::fs::read_to_string(shim("symbols.txt")).unwrap();
    let allowed: BTreeSet<String> =
        list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("shim.o");
    // Which XRT's build makes; its sources have none. Looked at last, so that an installed set has its own.
    let detail = folder.path().join("xrt/detail");
    std::fs::create_dir_all(&detail).unwrap();
    let version =
        "#pragma once\n#define XRT_MAJOR(v) 0\n#define XRT_MINOR(v) 0\n#define XRT_VERSION_CODE 0\n";
    for file in [folder.path().join("version.h"), detail.join("version.h"), detail.join("version-slim.h")] {
        std::fs::write(file, version).unwrap();
    }
    for set in &sets {
        assert!(set.is_dir(), "XRT_HEADER_SETS names {}, which is not there", set.display());
        let compiled = Command::new("c++")
            .args(["-std=c++17", "-O1", "-fPIC", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c"])
            .arg(shim("xrt_shim.cpp"))
            .arg("-o")
            .arg(&object)
            .arg("-isystem")
            .arg(set)
            .arg("-idirafter")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(
            compiled.status.success() && compiled.stderr.is_empty(),
            "{}: {}",
            set.display(),
            told(&compiled)
        );
        let called: BTreeSet<String> = symbols(&object, &["-u"]);
        // Members of XRT's own templates and what inline functions call are ours only if listed; older headers call less.
        let unlisted: Vec<_> = called.difference(&allowed).collect();
        assert!(
            called.len() > 25 && unlisted.is_empty(),
            "{}: not in symbols.txt: {unlisted:?}",
            set.display()
        );
        if *set == sets[0] {
            assert_eq!(called, allowed, "the list is that of the newest headers");
        }
    }
    let library = stage.prefix.join("lib/x86_64-linux-gnu/libxrt_coreutil.so.2");
    let there: BTreeSet<String> = symbols(&library, &["-D", "--defined-only"])
        .into_iter()
        .map(|name| name.split('@').next().unwrap_or_default().to_owned())
        .collect();
    let missing: Vec<_> = allowed.difference(&there).collect();
    assert!(missing.is_empty(), "XRT lacks {missing:?}");
    writeln!(std::io::stderr(), "the shim compiles against {} sets of headers", sets.len()).unwrap();
}
