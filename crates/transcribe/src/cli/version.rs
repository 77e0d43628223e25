//! What `--version` shows.

/// Version, system, processor level and what was built in.
#[must_use]
pub fn long() -> String {
    let debug = if cfg!(debug_assertions) { "\nbuilt with debug assertions" } else { "" };
    format!(
        "{}\nsystem: {}-{}\ndevices: cpu, npu (through AMD's XRT, opened when it is asked for), emulator\ncpu: {}\nmodel: bundled {}{debug}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        cpu_backend::Level::detect(),
        crate::model::locate::BUNDLED,
    )
}
