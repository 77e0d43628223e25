//! The Rust side of the XRT shim's header is what bindgen makes of it.
//!
//! `BLESS=1 cargo test -p npu-backend --test bindings` writes it anew after the header has changed. Needs libclang (by
//! `LIBCLANG_PATH` if it lies in no usual place); without one, the other test holds the two against each other by name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const HEAD: &str = "//! Made by bindgen from `shim/xrt_shim.h`, which has the comments; `tests/bindings.rs` compares and renews it.";

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn committed() -> String {
    std::fs::read_to_string(at("src/xrt/bindings.rs")).unwrap()
}

/// What bindgen makes; `None` where there is no libclang.
fn made() -> Option<String> {
    // A libclang without its own headers takes the compiler's, if there is one.
    let include = Command::new("c++").arg("-print-file-name=include").output();
    let include = include.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    let builder = bindgen::builder()
        .header(at("shim/xrt_shim.h").to_str().unwrap())
        .clang_args(["-isystem", include.trim()])
        .allowlist_item("(?i)xrt_shim_.*")
        .blocklist_function("xrt_shim_get_api")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_debug(false)
        .layout_tests(false)
        .generate_comments(false)
        .default_alias_style(bindgen::AliasVariation::TypeAlias)
        .disable_header_comment()
        .raw_line(HEAD)
        .rust_target(bindgen::RustTarget::stable(85, 0).unwrap_or_else(|error| panic!("{error}")))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .rustfmt_configuration_file(Some(at("../../rustfmt.toml")))
        .formatter(bindgen::Formatter::Rustfmt);
    // It panics where it finds no libclang.
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()));
    match made {
        Ok(made) => Some(made.unwrap().to_string()),
        Err(panic) if is_no_libclang(&*panic) => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Whether bindgen's panic says that it finds no libclang; every other one is a failure.
fn is_no_libclang(panic: &(dyn std::any::Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.starts_with("Unable to find libclang"))
}

#[test]
fn only_a_libclang_that_is_missing_skips_the_comparison() {
    let panic = |text: &str| -> Box<dyn std::any::Any + Send> { Box::new(text.to_owned()) };
    assert!(is_no_libclang(&*panic("Unable to find libclang: \"couldn't find any valid shared libraries\"")));
    assert!(!is_no_libclang(&*panic("called `Option::unwrap()` on a `None` value")));
    assert!(!is_no_libclang(&7));
}

#[test]
fn the_committed_bindings_are_what_bindgen_makes() {
    let Some(made) = made() else {
        writeln!(std::io::stderr(), "SKIPPED: no libclang: the XRT shim's bindings were not made again")
            .unwrap();
        return;
    };
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(at("src/xrt/bindings.rs"), &made).unwrap();
    }
    assert_eq!(committed(), made, "BLESS=1 writes the file anew");
}

/// Needs nothing: every function of the table stands in both files, in the same order, and the versions agree.
#[test]
fn header_and_bindings_have_the_same_table() {
    let header = std::fs::read_to_string(at("shim/xrt_shim.h")).unwrap();
    let declared: Vec<&str> = header
        .split("(*")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|name| !name.ends_with("_fn"))
        .collect();
    let bindings = committed();
    let table = bindings.split("pub struct xrt_shim_api {").nth(1).unwrap().split("\n}").next().unwrap();
    let bound: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("Option<"))
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next())
        .collect();
    assert!(declared.len() > 25, "{declared:?}");
    assert_eq!(bound, declared);
    let version = header.split("#define XRT_SHIM_ABI ").nth(1).unwrap().split('u').next().unwrap();
    assert!(bindings.contains(&format!("pub const XRT_SHIM_ABI: u32 = {version};")));
}
