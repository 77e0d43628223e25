//! The machine's C++ compiler: which one, what it can do, and one call of it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{Error, Obstacle, Result};

/// Lines of a compiler's complaint that an error repeats.
const COMPLAINT_LINES: usize = 12;

/// A compiler that was asked and answered.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// Program and its own arguments.
    command: Vec<OsString>,
    /// Whether it may tune for this processor.
    native: bool,
    /// Its predefined macros: version, target and vector extensions, so everything that makes its output differ.
    identity: Vec<u8>,
}

impl Toolchain {
    /// The compiler of `CXX`, or the first of the usual names that answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is none that knows C++20.
    pub(crate) fn find() -> Result<Self> {
        if let Some(wish) = std::env::var_os("CXX").filter(|wish| !wish.is_empty()) {
            // Build systems put arguments into CXX too (`ccache g++`).
            let words: Vec<OsString> = match wish.to_str() {
                Some(text) => text.split_whitespace().map(OsString::from).collect(),
                None => vec![wish.clone()],
            };
            return Self::ask(&words).map_err(|why| {
                unavailable(
                    format!("the compiler of the environment variable CXX does not work: {why}"),
                    "set CXX to a C++20 compiler (GCC 11 or Clang 14, or later), or unset it",
                )
            });
        }
        Self::first(&["c++", "g++", "clang++"])
    }

    /// The first of `names` that answers.
    pub(crate) fn first(names: &[&str]) -> Result<Self> {
        let mut refusals = Vec::new();
        for name in names {
            match Self::ask(&[OsString::from(name)]) {
                Ok(toolchain) => return Ok(toolchain),
                Err(why) => refusals.push(why),
            }
        }
        Err(unavailable(
            format!(
                "it runs the NPU kernels' own C++, and no C++20 compiler was found ({})",
                refusals.join("; ")
            ),
            "install one (Debian, Ubuntu: `apt install g++`; Fedora: `dnf install gcc-c++`; macOS: \
             `xcode-select --install`), or name one in the environment variable CXX",
        ))
    }

    fn ask(command: &[OsString]) -> std::result::Result<Self, String> {
        let mut why = String::new();
        for native in [true, false] {
            let mut toolchain = Self { command: command.to_vec(), native, identity: Vec::new() };
            let output = toolchain.call(&["-dM", "-E", "-x", "c++", "-"].map(OsString::from), None)?;
            if output.status.success() {
                toolchain.identity = output.stdout;
                return Ok(toolchain);
            }
            why = format!("`{}`: {}", toolchain.name(), complaint(&output));
        }
        Err(why)
    }

    fn name(&self) -> String {
        let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// What makes the output of this compiler differ from another's.
    pub(crate) fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// Compiles with `arguments`, in `folder`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the head of the compiler's complaint.
    pub(crate) fn compile(&self, arguments: &[OsString], folder: &Path) -> Result<()> {
        let refused = |why| {
            unavailable(
                format!("the kernels' C++ does not compile with `{}`: {why}", self.name()),
                "try another C++20 compiler by the environment variable CXX",
            )
        };
        let output = self.call(arguments, Some(folder)).map_err(refused)?;
        if output.status.success() { Ok(()) } else { Err(refused(complaint(&output))) }
    }

    fn call(&self, arguments: &[OsString], folder: Option<&Path>) -> std::result::Result<Output, String> {
        let (program, own) = self.command.split_first().ok_or("it is empty")?;
        let mut command = Command::new(program);
        command.args(own).arg("-std=c++20");
        if self.native {
            command.arg("-march=native");
        }
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("`{}` cannot be run: {error}", self.name()))
    }
}

/// An error of the emulator in three parts: the device, the reason, what to do.
pub(crate) fn unavailable(why: String, hint: &str) -> Error {
    Error::Unavailable { device: "emulator", obstacle: Obstacle::Toolchain, why, hint: hint.into() }
}

fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim().is_empty()).take(COMPLAINT_LINES).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_compiler_the_error_says_what_to_install() {
        let error = Toolchain::first(&["no-such-compiler", "nor-this-one"]).expect_err("there is none");
        let text = error.to_string();
        for part in ["emulator", "no-such-compiler", "nor-this-one", "apt install g++", "CXX"] {
            assert!(text.contains(part), "`{text}` lacks `{part}`");
        }
    }

    #[test]
    fn a_program_that_is_no_compiler_is_refused() {
        // Cargo is there wherever this test runs, and knows none of the flags.
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        assert!(Toolchain::first(&[&cargo]).is_err());
    }

    #[test]
    fn a_compiler_tells_what_it_is() {
        let toolchain = Toolchain::find().expect("these tests need a C++20 compiler");
        let macros = String::from_utf8_lossy(toolchain.identity()).into_owned();
        assert!(macros.contains("__VERSION__") && macros.contains("__cplusplus"), "{macros}");
    }
}
