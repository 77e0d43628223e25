//! Builds the XRT shim as a shared library of its own, if the feature `xrt-shim` asks for it; else does nothing.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "xrt-shim")]
    shim::build();
}

#[cfg(feature = "xrt-shim")]
mod shim {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Its file, which `src/xrt/library.rs` looks for.
    const LIBRARY: &str = "libnpu_xrt_shim.so";

    /// Where XRT is: its headers, and the library that programs link.
    struct Xrt {
        include: PathBuf,
        lib: PathBuf,
        /// Whether the loader looks there by itself.
        searched: bool,
    }

    pub(super) fn build() {
        for watched in ["shim/xrt_shim.cpp", "shim/waiting.h", "shim/xrt_shim.h"] {
            println!("cargo:rerun-if-changed={watched}");
        }
        println!("cargo:rerun-if-env-changed=XILINX_XRT");
        let xrt = find().unwrap_or_else(|tried| {
            panic!(
                "the XRT shim cannot be built: no XRT of version 2.17 or newer in {}; install its development \
                 package (Debian: libxrt-dev), or name its folder by XILINX_XRT, or build without `xrt-shim`",
                tried.join(", ")
            )
        });
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        let library = out.join(LIBRARY);
        let compiler = cc::Build::new().cpp(true).std("c++17").pic(true).warnings(true).get_compiler();
        let mut command: Command = compiler.to_command();
        command
            .args(["-shared", "-fvisibility=hidden", "shim/xrt_shim.cpp", "-o"])
            .arg(&library)
            .arg("-isystem")
            .arg(&xrt.include)
            .arg("-L")
            .arg(&xrt.lib)
            // XRT may have been built for a newer C library than that of this machine.
            .args(["-lxrt_coreutil", "-Wl,--allow-shlib-undefined"]);
        if !xrt.searched {
            command.arg(format!("-Wl,-rpath,{}", xrt.lib.display()));
        }
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => panic!(
                "the XRT shim cannot be built: the compiler's errors stand above; is this XRT 2.17 or newer?"
            ),
            Err(error) => {
                panic!("the XRT shim cannot be built: {command:?}: {error}; install a C++ compiler")
            }
        }
        // Beside the programs, where alone they look for it.
        let profile = out.ancestors().nth(3).expect("cargo keeps OUT_DIR three folders below the programs");
        let beside = profile.join(LIBRARY);
        std::fs::copy(&library, &beside)
            .unwrap_or_else(|error| panic!("the XRT shim cannot be copied to {}: {error}", beside.display()));
    }

    /// The first place that has both, or all that were tried.
    fn find() -> Result<Xrt, Vec<String>> {
        let named = env::var_os("XILINX_XRT").map(PathBuf::from);
        let usual = ["/opt/xilinx/xrt", "/usr"].map(PathBuf::from);
        let roots: Vec<PathBuf> = named.map_or_else(|| usual.to_vec(), |root| vec![root]);
        for root in &roots {
            let include = root.join("include");
            let libs = ["lib", "lib64", "lib/x86_64-linux-gnu"].map(|lib| root.join(lib));
            let lib = libs.into_iter().find(|lib| lib.join("libxrt_coreutil.so").exists());
            if let (true, Some(lib)) = (include.join("xrt/xrt_hw_context.h").exists(), lib) {
                return Ok(Xrt { include, lib, searched: root == Path::new("/usr") });
            }
        }
        Err(roots.iter().map(|root| root.display().to_string()).collect())
    }
}
