//! Images built for silicon: a folder for each generation, with an index that the kernels' Makefile writes.
//!
//! ```toml
//! version = 1
//! sources = "…"                     # the hash of the kernels' files they were built from
//! [[image]]
//! name = "encoder"
//! configuration = "encoder.xclbin"  # files lie beside the index
//! [[image.entry]]
//! name = "gemm_bf16_1536x512x2048"
//! instructions = "gemm_bf16_1536x512x2048.insts"   # little-endian 32-bit words
//! arguments = [{ role = "input", bytes = 1572864 }, …]
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::sources_hash;
use crate::{Arch, ArgumentSpec, BufferRole, Error, KernelEntry, KernelImage, Result};

/// Name of the index in a generation's folder.
const INDEX: &str = "index.toml";
const BUILD: &str =
    "build them on a machine with mlir-aie and Peano: `make -C kernels` (see kernels/README.md)";

/// A folder with the images of one generation.
#[derive(Clone, Debug)]
pub struct Folder {
    arch: Arch,
    path: PathBuf,
    index: Index,
}

#[derive(Clone, Debug, Deserialize)]
struct Index {
    version: u32,
    sources: String,
    #[serde(default, rename = "image")]
    images: Vec<BuiltImage>,
}

#[derive(Clone, Debug, Deserialize)]
struct BuiltImage {
    name: String,
    configuration: String,
    #[serde(default, rename = "entry")]
    entries: Vec<BuiltEntry>,
}

#[derive(Clone, Debug, Deserialize)]
struct BuiltEntry {
    name: String,
    instructions: String,
    arguments: Vec<BuiltArgument>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct BuiltArgument {
    role: BuiltRole,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BuiltRole {
    Input,
    Output,
    Weight,
    Scratch,
}

impl Folder {
    /// Opens `root/<generation>`.
    ///
    /// # Errors
    /// [`Error::Image`]: not built yet, built from other sources, or damaged.
    pub fn open(root: &Path, arch: Arch) -> Result<Self> {
        let path = root.join(arch.folder());
        let text = fs::read_to_string(path.join(INDEX)).map_err(|error| Error::Image {
            why: format!("the kernels are not built yet: {}: {error}; {BUILD}", path.join(INDEX).display()),
        })?;
        let folder =
            |why: String| Error::Image { why: format!("{}: {why}; {BUILD}", path.join(INDEX).display()) };
        let index: Index = toml::from_str(&text).map_err(|error| folder(error.to_string()))?;
        if index.version != 1 {
            return Err(folder(format!("version {} is not 1", index.version)));
        }
        if index.sources != sources_hash() {
            return Err(folder("built from other kernel sources than this program carries".into()));
        }
        Ok(Self { arch, path, index })
    }

    /// Whether `root` has something built for this generation, whole or not.
    #[must_use]
    pub fn holds(root: &Path, arch: Arch) -> bool {
        root.join(arch.folder()).join(INDEX).exists()
    }

    /// Names of the images and their entries.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let images = self.index.images.iter();
        images.flat_map(|image| image.entries.iter().map(|entry| (image.name.as_str(), entry.name.as_str())))
    }

    /// Reads the image called `name` without its entries.
    ///
    /// # Errors
    /// As [`Self::image`].
    pub fn overlay(&self, name: &str) -> Result<KernelImage> {
        let configuration = self.read(&self.built(name)?.configuration)?;
        Ok(KernelImage { arch: self.arch, configuration, entries: Vec::new() })
    }

    /// Reads the instructions of the entry of image `name` that was built for the program of this key
    /// ([`Program::key`](crate::kernel::Program::key)), which is the last part of its name.
    ///
    /// # Errors
    /// [`Error::Image`] if none was built, or its file is missing or damaged.
    pub fn instructions(&self, name: &str, key: &str) -> Result<Vec<u32>> {
        let of_key = |entry: &&BuiltEntry| entry.name.rsplit_once('.').is_some_and(|(_, last)| last == key);
        match self.built(name)?.entries.iter().find(of_key) {
            Some(entry) => self.words(&entry.instructions),
            None => Err(Error::Image {
                why: format!(
                    "image {name} in {} has no launch of key {key}; built are {}; {BUILD}",
                    self.path.display(),
                    self.launches(name)
                ),
            }),
        }
    }

    /// Names of the launches of image `name`, without their keys.
    fn launches(&self, name: &str) -> String {
        let of_image = self.entries().filter(|(image, _)| *image == name);
        let names: BTreeSet<&str> =
            of_image.map(|(_, entry)| entry.rsplit_once('.').map_or(entry, |(name, _)| name)).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    fn built(&self, name: &str) -> Result<&BuiltImage> {
        self.index.images.iter().find(|image| image.name == name).ok_or_else(|| Error::Image {
            why: format!("no image {name} in {}; {BUILD}", self.path.display()),
        })
    }

    /// Reads the image called `name` with all its entries.
    ///
    /// # Errors
    /// [`Error::Image`] if it is not in the index, or a file is missing or damaged.
    pub fn image(&self, name: &str) -> Result<KernelImage> {
        let image = self.built(name)?;
        let entries = image.entries.iter().map(|entry| {
            Ok(KernelEntry {
                name: entry.name.clone(),
                instructions: self.words(&entry.instructions)?,
                arguments: entry.arguments.iter().map(BuiltArgument::spec).collect(),
            })
        });
        Ok(KernelImage {
            arch: self.arch,
            configuration: self.read(&image.configuration)?,
            entries: entries.collect::<Result<_>>()?,
        })
    }

    fn words(&self, name: &str) -> Result<Vec<u32>> {
        let bytes = self.read(name)?;
        match bytes.as_chunks() {
            (words, []) => Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect()),
            _ => Err(Error::Image {
                why: format!("{name}: {} bytes are not whole 32-bit words; {BUILD}", bytes.len()),
            }),
        }
    }

    /// A file beside the index; an empty one is a build that was cut short.
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let refused =
            |why: String| Error::Image { why: format!("{name} in {}: {why}; {BUILD}", self.path.display()) };
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(refused("the index names a file outside its folder".into()));
        }
        match fs::read(self.path.join(name)) {
            Ok(bytes) if bytes.is_empty() => Err(refused("it is empty".into())),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(refused(error.to_string())),
        }
    }
}

impl BuiltArgument {
    fn spec(&self) -> ArgumentSpec {
        let role = match self.role {
            BuiltRole::Input => BufferRole::Input,
            BuiltRole::Output => BufferRole::Output,
            BuiltRole::Weight => BufferRole::Weight,
            BuiltRole::Scratch => BufferRole::Scratch,
        };
        ArgumentSpec { role, len_bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn built(index: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("aie2");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(INDEX), index.replace("HASH", &sources_hash())).unwrap();
        fs::write(folder.join("e.xclbin"), b"xclbin2\0").unwrap();
        fs::write(folder.join("g.insts"), [1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
        fs::write(folder.join("odd.insts"), [1, 0, 0]).unwrap();
        root
    }

    const GOOD: &str = r#"
version = 1
sources = "HASH"
[[image]]
name = "encoder"
configuration = "e.xclbin"
[[image.entry]]
name = "g"
instructions = "g.insts"
arguments = [{ role = "weight", bytes = 64 }, { role = "output", bytes = 128 }]
"#;

    #[test]
    fn built_files_are_read() {
        let root = built(GOOD);
        let folder = Folder::open(root.path(), Arch::Aie2).unwrap();
        assert_eq!(folder.entries().collect::<Vec<_>>(), [("encoder", "g")]);
        let image = folder.image("encoder").unwrap();
        assert_eq!((image.arch, image.configuration.as_slice()), (Arch::Aie2, &b"xclbin2\0"[..]));
        assert_eq!(image.entries[0].instructions, [1, 2]);
        assert_eq!(
            image.entries[0].arguments,
            [
                ArgumentSpec { role: BufferRole::Weight, len_bytes: 64 },
                ArgumentSpec { role: BufferRole::Output, len_bytes: 128 }
            ]
        );
    }

    #[test]
    fn a_launch_is_found_by_its_key_and_read_alone() {
        let root = built(&GOOD.replace("name = \"g\"", "name = \"gemm_1x2.0_3.abc\""));
        let folder = Folder::open(root.path(), Arch::Aie2).unwrap();
        let overlay = folder.overlay("encoder").unwrap();
        assert_eq!((overlay.configuration, overlay.entries.len()), (b"xclbin2\0".to_vec(), 0));
        assert_eq!(folder.instructions("encoder", "abc").unwrap(), [1, 2]);
        for (image, key, reason) in
            [("encoder", "0_3.abc", "no launch of key"), ("seed", "abc", "no image seed")]
        {
            let error = folder.instructions(image, key).unwrap_err().to_string();
            assert!(error.contains(reason), "`{error}` lacks `{reason}`");
        }
    }

    #[test]
    fn what_is_not_built_says_how_to_build_it() {
        let root = tempfile::tempdir().unwrap();
        let text = Folder::open(root.path(), Arch::Aie2p).unwrap_err().to_string();
        for part in ["not built yet", "aie2p", "make -C kernels", "kernels/README.md"] {
            assert!(text.contains(part), "`{text}` lacks `{part}`");
        }
    }

    #[test]
    fn damage_is_told() {
        for (from, to, reason) in [
            ("version = 1", "version = 2", "version 2"),
            ("HASH", "0", "other kernel sources"),
            ("[[image]]", "[[image", "aie2"),
            ("e.xclbin", "none.xclbin", "none.xclbin"),
            ("g.insts", "odd.insts", "3 bytes"),
            ("g.insts", "../g.insts", "outside its folder"),
            ("\"encoder\"", "\"other\"", "no image encoder"),
        ] {
            let root = built(&GOOD.replace(from, to));
            let got = Folder::open(root.path(), Arch::Aie2).and_then(|folder| folder.image("encoder"));
            let error = got.unwrap_err().to_string();
            assert!(error.contains(reason), "{from} → {to}: `{error}` lacks `{reason}`");
        }
    }
}
