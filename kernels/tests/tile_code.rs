//! The kernels' own C++, compiled with this machine's compiler and run against naive references (`check/*.cc`): in the
//! device's arithmetic, in fast f32, and with the block shapes of AIE2P; then the first two against each other.
//!
//! Needs a C++20 compiler: `$CXX`, `c++`, `g++` or `clang++`. Without one these tests fail, unless `NPU_NO_CXX` is set.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const DEVICE_ARITHMETIC: &[&str] = &["-DAIE_HOST_EXACT=1", "-ffp-contract=off"];
const FAST: &[&str] = &["-DAIE_HOST_EXACT=0"];
const FAST_ON_AIE2P: &[&str] = &["-DAIE_HOST_EXACT=0", "-D__AIE_ARCH__=21"];

/// A result of the checks and its bound against the reference.
#[derive(Clone, Copy)]
struct Recorded {
    value: f32,
    bound: f32,
}

fn is_there(compiler: &str) -> bool {
    Command::new(compiler).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// `None` when there is no compiler and that was declared; said aloud, past the test runner's capture.
fn compiler() -> Option<String> {
    let named = std::env::var("CXX").ok();
    let candidates = named.iter().map(String::as_str).chain(["c++", "g++", "clang++"]);
    let found = candidates.into_iter().find(|name| is_there(name)).map(str::to_owned);
    if found.is_none() {
        assert!(
            std::env::var_os("NPU_NO_CXX").is_some(),
            "no C++20 compiler ($CXX, c++, g++, clang++): install one, or set NPU_NO_CXX=1 to leave the kernels' code untested"
        );
        std::io::stderr()
            .write_all(b"NOT TESTED: the kernels' C++ (NPU_NO_CXX is set and no compiler was found)\n")
            .expect("stderr takes a line");
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of sources can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "cc")).collect();
    files.sort();
    files
}

/// Compiles kernels and checks and runs them. Fails the test with the compiler's or the checks' own words.
fn run(name: &str, options: &[&str]) -> Option<Vec<Recorded>> {
    let compiler = compiler()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, results) = (folder.join(name), folder.join(format!("{name}.results")));
    let output = Command::new(&compiler)
        .args(["-std=c++20", "-O1", "-Wall", "-Wextra", "-Wno-psabi", "-pthread", "-I"])
        .arg(root.join("host"))
        .args(options)
        .args(sources(&root.join("src")))
        .args(sources(&root.join("check")))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("the compiler starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} refuses the kernels ({options:?}):\n{words}");
    assert!(words.is_empty(), "{compiler} warns about the kernels ({options:?}):\n{words}");

    let output = Command::new(&program).arg(&results).output().expect("the checks start");
    let words = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{words}{errors}", output.status);

    let bytes = fs::read(&results).expect("the checks have written their results");
    let (words, _) = bytes.as_chunks::<4>();
    let numbers: Vec<_> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let (pairs, rest) = numbers.as_chunks::<2>();
    assert!(rest.is_empty() && pairs.len() > 100_000, "{name}: {} results", pairs.len());
    Some(pairs.iter().map(|&[value, bound]| Recorded { value, bound }).collect())
}

/// Run once, though two tests look at the results.
fn in_device_arithmetic() -> Option<&'static [Recorded]> {
    static RESULTS: OnceLock<Option<Vec<Recorded>>> = OnceLock::new();
    RESULTS.get_or_init(|| run("device", DEVICE_ARITHMETIC)).as_deref()
}

fn in_fast_arithmetic() -> Option<&'static [Recorded]> {
    static RESULTS: OnceLock<Option<Vec<Recorded>>> = OnceLock::new();
    RESULTS.get_or_init(|| run("fast", FAST)).as_deref()
}

#[test]
fn kernels_keep_their_bounds_in_the_devices_arithmetic() {
    in_device_arithmetic();
}

#[test]
fn kernels_keep_their_bounds_in_fast_arithmetic() {
    in_fast_arithmetic();
}

#[test]
fn kernels_keep_their_bounds_with_the_block_shapes_of_aie2p() {
    run("aie2p", FAST_ON_AIE2P);
}

/// Both lie within the bound of the reference; here, within one bound of each other, and not the same.
#[test]
fn fast_and_device_arithmetic_differ_and_little() {
    let (Some(device), Some(fast)) = (in_device_arithmetic(), in_fast_arithmetic()) else { return };
    assert_eq!(device.len(), fast.len(), "both record the same cases");
    let share = |i: usize| (device[i].value - fast[i].value).abs() / device[i].bound.max(f32::MIN_POSITIVE);
    let worst = (0..device.len()).max_by(|&a, &b| share(a).total_cmp(&share(b))).expect("there are results");
    assert!(
        share(worst) <= 1.0,
        "result {worst}: device {}, fast {}, bound {}",
        device[worst].value,
        fast[worst].value,
        device[worst].bound
    );
    let different = device.iter().zip(fast).filter(|(a, b)| a.value != b.value).count();
    assert!(
        different > 1000,
        "only {different} results differ: is one of the two built with the other's arithmetic?"
    );
}

/// What the crate embeds is what lies in the folders: a file that is not listed would be missing on a user's machine.
#[test]
fn every_source_and_header_is_embedded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = |folder: &str, files: &[(&str, &str)]| {
        for (name, text) in files {
            let path = root.join(folder).join(name);
            assert_eq!(
                fs::read_to_string(&path).expect("an embedded file exists"),
                *text,
                "{}",
                path.display()
            );
        }
        files.len()
    };
    let in_folder = |folder: &str| fs::read_dir(root.join(folder)).expect("the folder can be listed").count();
    assert_eq!(listed("src", npu_kernels::SOURCES), in_folder("src"));
    assert_eq!(listed("host", npu_kernels::HOST_HEADERS), in_folder("host/aie_api"));
}
