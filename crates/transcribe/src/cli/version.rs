//! What `--version` shows.

/// The widest instruction set of this processor that the kernels know.
#[must_use]
pub fn cpu_level() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        use std::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512vl") {
            return if has!("avx512vnni") { "avx512-vnni" } else { "avx512" };
        }
        if has!("avx2") && has!("fma") {
            return "avx2";
        }
    }
    "portable"
}

/// Version, system, processor level and what was built in.
#[must_use]
pub fn long() -> String {
    let debug = if cfg!(debug_assertions) { "\nbuilt with debug assertions" } else { "" };
    format!(
        "{}\nsystem: {}-{}\ncpu: {}\nmodel: bundled {}{debug}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        cpu_level(),
        crate::model::locate::BUNDLED,
    )
}
