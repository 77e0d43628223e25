//! The sandbox, the host program, and files for it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use npu_backend::emulator::probe;
use npu_backend::{Arch, KernelImage};
use tempfile::TempDir;

/// Length of the probe's buffers.
pub(crate) const LEN: u32 = 1000;

/// What all tests share: the sandbox is there, the host program is compiled.
struct Shared {
    folder: TempDir,
    sandbox: PathBuf,
    /// Where the sandbox has XRT.
    xrt: PathBuf,
    double: PathBuf,
    program: PathBuf,
}

/// `None`, said once, if this machine cannot have XRT.
fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            let sandbox = repository().join("tests/xrt-sandbox");
            let setup = Command::new(sandbox.join("sandbox")).args(["setup", "--newest-support"]).output();
            let setup = setup.unwrap();
            if !setup.status.success() {
                let said = String::from_utf8_lossy(&setup.stderr);
                assert!(matches!(setup.status.code(), Some(77 | 78)), "{said}");
                // Past the test harness, which keeps what a test that passes has said.
                let line = format!("\nSKIPPED: the tests beneath XRT\n{said}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                return None;
            }
            let said = String::from_utf8(setup.stdout).unwrap();
            let xrt = said.lines().last().and_then(|line| line.strip_prefix("xrt-sandbox: ready in "));
            let xrt = Path::new(xrt.unwrap_or_else(|| panic!("{said}"))).join("usr");
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("launch");
            let shared = Shared { sandbox, xrt, double: double(), program, folder };
            shared.compile();
            Some(shared)
        })
        .as_ref()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The library that cargo built beside this test.
fn double() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let places = [folder.clone(), folder.parent().unwrap().to_owned()];
    let found = places.iter().map(|place| place.join("libamdxdna_double.so")).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("cargo has built no libamdxdna_double.so in {places:?}"))
}

impl Shared {
    fn compile(&self) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xrt/program");
        let xrt = &self.xrt;
        let built = Command::new("c++")
            .args(["-std=c++17", "-O1", "-Wall", "-isystem"])
            .arg(xrt.join("include"))
            .arg(source.join("launch.cpp"))
            .arg("-o")
            .arg(&self.program)
            .arg("-L")
            .arg(xrt.join("lib/x86_64-linux-gnu"))
            // XRT's own dependencies are the sandbox's, newer than those of this machine.
            .args(["-lxrt_coreutil", "-Wl,--allow-shlib-undefined"])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let sizes = Command::new("c++")
            .args(["-x", "c", "-fsyntax-only", "-isystem"])
            .arg(xrt.join("include"))
            .arg("-isystem")
            .arg(xrt.join("include/x86_64-linux-gnu"))
            .arg(source.join("abi.c"))
            .output()
            .unwrap();
        assert!(sizes.status.success(), "{}", String::from_utf8_lossy(&sizes.stderr));
    }
}

/// A folder of one test, with an xclbin and files that the host program reads and writes.
pub(crate) struct Bench {
    shared: &'static Shared,
    folder: TempDir,
}

/// What the host program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) log: String,
    pub(crate) status: Option<i32>,
}

impl Bench {
    /// A bench for an image; `None` if there is no XRT.
    pub(crate) fn new(image: &KernelImage) -> Option<Self> {
        let shared = shared()?;
        let bench = Self { shared, folder: tempfile::tempdir_in(&shared.folder).unwrap() };
        bench.write("image", &image.configuration);
        let made = Command::new(shared.sandbox.join("xclbin"))
            .args([bench.path("image"), bench.path("xclbin")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for entry in &image.entries {
            let words: Vec<u8> = entry.instructions.iter().flat_map(|word| word.to_le_bytes()).collect();
            bench.write(&entry.name, &words);
        }
        Some(bench)
    }

    /// One for the probe image, with the buffers `a` (0, 1, 2, … 250, 0, …) and `b` (zeros).
    pub(crate) fn probe() -> Option<Self> {
        let bench = Self::new(&probe::image(Arch::Aie2, LEN, 0))?;
        bench.fill();
        Some(bench)
    }

    pub(crate) fn fill(&self) {
        self.write("a", &Self::counted());
        self.write("b", &vec![0; LEN as usize]);
    }

    pub(crate) fn counted() -> Vec<u8> {
        (0..LEN).map(|index| u8::try_from(index % 251).unwrap()).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs a program of XRT on the double.
    pub(crate) fn tool(&self, words: &str, tool: &[&str]) -> Output {
        let mut command = Command::new(self.shared.sandbox.join("sandbox"));
        command.args(["run", "--double"]).arg(&self.shared.double).args(tool);
        command
            .env("AMDXDNA_DOUBLE", words)
            .env("AMDXDNA_DOUBLE_LOG", "1")
            .env_remove("AMDXDNA_DOUBLE_CONTROL");
        command.output().unwrap()
    }

    /// Runs the host program: words for the double, stream, options and buffers.
    pub(crate) fn launch(&self, words: &str, stream: &str, arguments: &[&str]) -> Said {
        self.run(&[], words, stream, arguments)
    }

    /// The same with two copies of each buffer.
    pub(crate) fn launch_on_two_copies(&self, stream: &str, arguments: &[&str]) -> Said {
        self.run(&["--driver-sync"], "", stream, arguments)
    }

    fn run(&self, options: &[&str], words: &str, stream: &str, arguments: &[&str]) -> Said {
        let mut command = Command::new(self.shared.sandbox.join("sandbox"));
        command.arg("run").args(options).arg("--double").arg(&self.shared.double).arg(&self.shared.program);
        command.args([self.path("xclbin"), self.path(stream)]);
        for argument in arguments {
            if argument.starts_with("--") {
                command.arg(argument);
            } else {
                command.arg(self.path(argument));
            }
        }
        command
            .env("AMDXDNA_DOUBLE", words)
            .env("AMDXDNA_DOUBLE_LOG", "1")
            .env_remove("AMDXDNA_DOUBLE_CONTROL");
        let output = command.output().unwrap();
        Said {
            out: String::from_utf8(output.stdout).unwrap(),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code(),
        }
    }
}

impl Said {
    /// The program came to its end without an exception.
    pub(crate) fn is_ok(&self) -> bool {
        self.out == "ok\n" && self.status == Some(0)
    }
}
