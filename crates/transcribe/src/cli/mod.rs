//! The command line: options, resolution, progress, exit codes.

/// Runs the command with `std::env::args`; returns the exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
