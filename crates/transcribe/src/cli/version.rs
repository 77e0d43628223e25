//! What `--version` shows.

use cpu_backend::Level;

/// The processor's level, and why a faster one is passed over.
pub(crate) fn level() -> String {
    let level = Level::detect();
    Level::passed_over().map_or_else(|| level.to_string(), |why| format!("{level} ({why})"))
}

/// Version, system, processor level and what was built in.
#[must_use]
pub fn long() -> String {
    let debug = if cfg!(debug_assertions) { "\nbuilt with debug assertions" } else { "" };
    format!(
        "{}\nsystem: {}-{}\ndevices: cpu, npu (through AMD's XRT, opened when it is asked for), emulator\ncpu: {}\nmodel: bundled {}{debug}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        level(),
        crate::model::locate::BUNDLED,
    )
}
