//! The stage for tests on AMD's own XRT: the sandbox, the double of the kernel driver, our shim built against that XRT, and a way
//! to run this very test program on all of them.
//!
//! A test outside plays a test inside: it starts the program again under the sandbox's dynamic linker, and tells it by
//! environment variables where things are. Tests inside are `#[ignore]`d, because they cannot run by themselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use npu_backend::KernelImage;

/// Where the double reads its faults when a device is opened.
const CONTROL: &str = "AMDXDNA_DOUBLE_CONTROL";
/// Where a test inside keeps its files.
const FOLDER: &str = "NPU_TEST_FOLDER";

/// The folder with the workspace in it.
pub(crate) fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("../..").canonicalize().unwrap()
}

/// Whether what cannot be tested is a failure, too.
pub(crate) fn required() -> bool {
    env::var_os("XRT_REQUIRED").is_some_and(|value| value == "1")
}

/// Everything that a program needs to run on XRT over the double.
pub(crate) struct Stage {
    pub(crate) shim: PathBuf,
    /// `usr` of the sandbox.
    #[allow(dead_code, reason = "not every test that shares this file compiles something")]
    pub(crate) prefix: PathBuf,
    double: PathBuf,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Sets everything up; `None` where that cannot be, with the reason on the standard error. A failure there, too, if
    /// `XRT_REQUIRED=1` is set.
    pub(crate) fn set() -> Option<Self> {
        let sandbox = repository().join("tests/xrt-sandbox/sandbox");
        let output = Command::new(&sandbox).arg("setup").output();
        let output = output.unwrap_or_else(|error| panic!("{} does not start: {error}", sandbox.display()));
        match output.status.code() {
            Some(0) => {}
            // Out of reach, or gone from the suite: the script says what it means.
            Some(77 | 78) => {
                std::io::stderr().write_all(&output.stderr).unwrap();
                assert!(!required(), "XRT_REQUIRED=1, and {}", String::from_utf8_lossy(&output.stderr));
                return None;
            }
            _ => panic!("{}: {}", sandbox.display(), String::from_utf8_lossy(&output.stderr)),
        }
        let said = String::from_utf8(output.stdout).unwrap();
        let prefix = PathBuf::from(said.trim().split(" ready in ").nth(1).unwrap());
        let folder = tempfile::tempdir().unwrap();
        Some(Self {
            shim: shim(&prefix, folder.path()),
            prefix: prefix.join("usr"),
            double: double(),
            folder,
        })
    }

    /// The same with a runtime of its own, from whose `lib/x86_64-linux-gnu` things can be taken away.
    #[cfg(unix)]
    #[allow(dead_code, reason = "not every test that shares this file takes something away")]
    pub(crate) fn apart(&self) -> Self {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("xrt");
        let (from, to) = (self.libraries(), prefix.join("usr/lib/x86_64-linux-gnu"));
        fs::create_dir_all(&to).unwrap();
        fs::write(prefix.join("ready"), "").unwrap();
        symlink(self.prefix.join("include"), prefix.join("usr/include")).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            let to = to.join(&name);
            let text = name.to_string_lossy();
            match fs::read_link(&path) {
                _ if !text.contains(".so") => {}
                Ok(target) if target.is_relative() => symlink(target, to).unwrap(),
                // Copies of XRT's own: it looks for its parts where it lies.
                _ if text.starts_with("libxrt_") => drop(fs::copy(&path, to).unwrap()),
                _ => symlink(&path, to).unwrap(),
            }
        }
        let shim = shim(&prefix, folder.path());
        Self { shim, prefix: prefix.join("usr"), double: self.double.clone(), folder }
    }

    /// The folder of XRT's libraries.
    #[allow(dead_code, reason = "not every test that shares this file takes something away")]
    pub(crate) fn libraries(&self) -> PathBuf {
        self.prefix.join("lib/x86_64-linux-gnu")
    }

    /// A command that runs `program` under the sandbox's linker, over the double, with the double's `options`.
    pub(crate) fn command(&self, program: &Path, driver_sync: bool, faults: &str) -> Command {
        let control = self.folder.path().join("control");
        fs::write(&control, faults).unwrap();
        let mut command = Command::new(repository().join("tests/xrt-sandbox/sandbox"));
        command.arg("run").arg("--double").arg(&self.double);
        command.arg("--folder").arg(self.prefix.parent().unwrap());
        if driver_sync {
            command.arg("--driver-sync");
        }
        command
            .arg(program)
            .env("NPU_XRT_SHIM", &self.shim)
            .env(CONTROL, control)
            .env(FOLDER, self.folder.path());
        command
    }

    /// Plays the tests of this program whose names begin with `filter`, one after another.
    pub(crate) fn play(&self, filter: &str, driver_sync: bool) {
        let program = env::current_exe().unwrap();
        let mut command = self.command(&program, driver_sync, "");
        let output = command.args(["--ignored", "--test-threads=1", filter]).output().unwrap();
        let told = told(&output);
        assert!(output.status.success(), "{told}");
        assert!(!told.contains("running 0 tests"), "no test is called {filter}\n{told}");
        // XRT's words belong on the standard error.
        assert!(!String::from_utf8_lossy(&output.stdout).contains("Failed to"), "{told}");
        // What was measured inside.
        std::io::stderr().write_all(&output.stderr).unwrap();
    }
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Our shim, built by its Makefile against the sandbox's XRT.
fn shim(prefix: &Path, folder: &Path) -> PathBuf {
    let shim = folder.join("libnpu_xrt_shim.so");
    let source = repository().join("crates/npu-backend/shim");
    let built = Command::new("make")
        .arg("-C")
        .arg(source)
        .arg(format!("XRT={}", prefix.join("usr").display()))
        .arg(format!("OUT={}", shim.display()))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", told(&built));
    shim
}

/// The double of the driver, by cargo.
fn double() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--package", "amdxdna-double", "--message-format=json"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", told(&built));
    let messages = String::from_utf8(built.stdout).unwrap();
    let file = messages.split('"').rfind(|word| word.ends_with("libamdxdna_double.so"));
    PathBuf::from(file.expect("cargo names the file that it made"))
}

/// Inside: a device opened from now on goes wrong like this.
pub(crate) fn faults(faults: &str) {
    fs::write(env::var_os(CONTROL).expect("played by a test outside"), faults).unwrap();
}

/// Inside: the image with its configuration in an xclbin, as hardware wants it.
pub(crate) fn in_xclbin(image: KernelImage) -> KernelImage {
    let folder = PathBuf::from(env::var_os(FOLDER).expect("played by a test outside"));
    let name: String = image
        .configuration
        .iter()
        .take(40)
        .filter(|b| b.is_ascii_alphanumeric())
        .map(|b| char::from(*b))
        .collect();
    let (plain, xclbin) = (folder.join(&name), folder.join(format!("{name}.xclbin")));
    if !xclbin.exists() {
        fs::write(&plain, &image.configuration).unwrap();
        let made = Command::new(repository().join("tests/xrt-sandbox/xclbin"))
            .arg(&plain)
            .arg(&xclbin)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", told(&made));
    }
    KernelImage { configuration: fs::read(xclbin).unwrap(), ..image }
}
