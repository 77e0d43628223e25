//! Compiling, on small sources of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::SystemTime;

use super::*;
use crate::emulator::array::l1::L1;
use crate::emulator::array::native::NAMES;

/// A cache in a folder of its own.
fn cache() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("kernels")).unwrap();
    (folder, cache)
}

fn compile(source: &str, exact: bool, cache: &Cache) -> Result<Kernels> {
    let tiles = [("k.cc", source), ("not_compiled.h", "#error")];
    let headers = [("aie_api/aie.hpp", "#pragma once\n#define HOST 2\n")];
    library(Sources { tiles: &tiles, headers: &headers }, exact, &Toolchain::find().unwrap(), cache)
}

/// Libraries in a cache, and when they were made.
fn libraries(cache: &Cache) -> Vec<(String, SystemTime)> {
    let entries = fs::read_dir(cache.file("")).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().modified().unwrap())
        })
        .collect()
}

const HEAD: &str = "#include <aie_api/aie.hpp>\n#include <cstdint>\nextern \"C\" {\n";
const ABI: &str = "int32_t aie_host_abi(void) { return HOST; }\n\
                     int32_t aie_host_exact(void) { return AIE_HOST_EXACT; }\n";

/// Every function of the table, empty; `zero_acc` writes `mark`.
fn whole(mark: u8) -> String {
    let mut text = format!("{HEAD}{ABI}void zero_acc(unsigned char *acc) {{ acc[16383] = {mark}; }}\n");
    for name in NAMES.iter().filter(|name| **name != "zero_acc") {
        text += &format!("void {name}() {{}}\n");
    }
    text + "}\n"
}

#[test]
fn a_library_is_compiled_once_and_opened_again() {
    let (_folder, cache) = cache();
    let mut acc = L1::zeroed();
    compile(&whole(7), false, &cache).unwrap().zero_acc(&mut acc);
    assert_eq!(acc.0[16383], 7);
    let made = libraries(&cache);
    assert!(made.len() == 1 && made[0].0.starts_with("fast-"), "{made:?}");
    compile(&whole(7), false, &cache).unwrap();
    assert_eq!(libraries(&cache), made, "it was compiled again");

    compile(&whole(8), false, &cache).unwrap().zero_acc(&mut acc);
    assert_eq!(acc.0[16383], 8, "other sources are another library");
    compile(&whole(8), true, &cache).unwrap();
    assert_eq!(libraries(&cache).len(), 3, "exact arithmetic is another library");
}

#[test]
fn a_damaged_library_is_compiled_anew() {
    let (_folder, cache) = cache();
    compile(&whole(1), true, &cache).unwrap();
    let (name, _) = libraries(&cache).remove(0);
    // A library that is open must not be written to, so it is replaced.
    fs::remove_file(cache.file(&name)).unwrap();
    fs::write(cache.file(&name), b"cut short").unwrap();
    compile(&whole(1), true, &cache).unwrap();
    assert!(fs::metadata(cache.file(&name)).unwrap().len() > 100);
}

#[test]
fn many_may_compile_the_same_at_once() {
    let (_folder, cache) = cache();
    std::thread::scope(|scope| {
        let compiling: Vec<_> = (0..3).map(|_| scope.spawn(|| compile(&whole(2), false, &cache))).collect();
        compiling.into_iter().for_each(|one| drop(one.join().unwrap().unwrap()));
    });
    assert_eq!(libraries(&cache).len(), 1, "nothing but the library is left");
}

#[test]
fn code_that_does_not_compile_or_fit_is_told() {
    let (_folder, cache) = cache();
    let old = "int32_t aie_host_abi(void) { return 0; }\nint32_t aie_host_exact(void) { return 0; }\n}\n";
    for (source, reason) in [
        ("#include <no_such_header>\n".to_owned(), "no_such_header"),
        (format!("{HEAD}}}\n"), "aie_host_abi"),
        (format!("{HEAD}{old}"), "ABI 0"),
        (format!("{HEAD}{ABI}}}\n"), "no function `zero_acc`"),
    ] {
        let error = compile(&source, false, &cache).map(drop).unwrap_err();
        assert!(matches!(error, crate::Error::Unavailable { device: "emulator", .. }), "{error}");
        assert!(error.to_string().contains(reason), "`{error}` lacks `{reason}`");
    }
}
