//! The kernels' files, carried by the binary: what they are ([`MANIFEST`]) and their C++ ([`SOURCES`]).
//!
//! On silicon the files built from them are loaded; the emulator compiles the C++ itself, against [`HOST_HEADERS`].

#![forbid(unsafe_code)]

/// `manifest.toml`: every image and kernel with its types, tile shapes, layouts, limits.
pub const MANIFEST: &str = include_str!("manifest.toml");

/// Tile code: file name and text. Those that end in `.cc` are compiled.
pub const SOURCES: &[(&str, &str)] = &[];

/// The host's thin `aie_api`: path below the include folder, and text.
pub const HOST_HEADERS: &[(&str, &str)] = &[];
