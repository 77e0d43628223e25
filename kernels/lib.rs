//! The kernels' files, carried by the binary: what they are ([`MANIFEST`]) and their C++ ([`SOURCES`]).
//!
//! On silicon the files built from them are loaded; the emulator compiles the C++ itself, against [`HOST_HEADERS`].

#![forbid(unsafe_code)]

/// `manifest.toml`: every image and kernel with its types, tile shapes, layouts, limits.
pub const MANIFEST: &str = include_str!("manifest.toml");

/// Names each file of a folder with its text.
macro_rules! files {
    ($folder:literal, $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!($folder, $name)))),+]
    };
}

/// Tile code: file name and text. Those that end in `.cc` are compiled.
pub const SOURCES: &[(&str, &str)] = files!(
    "src/",
    "attention.cc",
    "attention_i8.cc",
    "attention_state.h",
    "block_product.h",
    "exp2.h",
    "finish.cc",
    "gelu.h",
    "gemm.cc",
    "host.cc",
    "layout.h",
    "pair.h",
    "seed_attention.cc",
    "seed_matmul.cc",
);

/// The host's thin `aie_api`: path below the include folder, and text.
pub const HOST_HEADERS: &[(&str, &str)] = files!(
    "host/",
    "aie_api/accum.hpp",
    "aie_api/aie.hpp",
    "aie_api/arithmetic.hpp",
    "aie_api/lanes.hpp",
    "aie_api/mmul.hpp",
    "aie_api/modes.hpp",
    "aie_api/vector.hpp",
    "aie_api/vmac.hpp",
);
