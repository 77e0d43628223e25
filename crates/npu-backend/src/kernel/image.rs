//! Which [`KernelImage`] a device gets: for the emulator, one made here; for silicon, files built by the kernels'
//! Makefile ([`folder`]).

pub mod folder;

use crate::kernel::Program;
use crate::kernel::fingerprint;
use crate::kernel::manifest::{ImageKind, Manifest};
use crate::{Arch, ArgumentSpec, Error, KernelEntry, KernelImage, Result};

/// First line of a modelled image's configuration.
const MODELLED: &str = "modelled image";
/// First words of a direct kernel's instructions: who reads them, and the format's version. The kernel's number among
/// those of its image follows.
const DIRECT: [u32; 2] = [0x4E50_5544, 1];

/// What a stream is called, what it does, and the buffers that it walks.
pub type Stream<'a> = (&'a str, &'a Program, &'a [ArgumentSpec]);

/// The hash of the kernels' files that this program carries, as images and indexes name it: FNV-1a of 128 bits over
/// the manifest, then each source's name and text in the order of names, each followed by a zero byte.
#[must_use]
pub fn sources_hash() -> String {
    fingerprint::of_kernels(npu_kernels::MANIFEST, npu_kernels::SOURCES)
}

/// A streamed image for the emulator, with these launches.
#[must_use]
pub fn streamed(name: &str, arch: Arch, streams: &[Stream]) -> KernelImage {
    let entries = streams.iter().map(|(name, program, arguments)| KernelEntry {
        name: (*name).into(),
        instructions: program.encode(),
        arguments: arguments.to_vec(),
    });
    KernelImage { arch, configuration: configuration(name, arch), entries: entries.collect() }
}

/// A direct image for the emulator, with every kernel that the manifest lists for it, in that order.
///
/// # Errors
/// [`Error::Image`] if the manifest has no such direct image.
pub fn direct(name: &str, arch: Arch) -> Result<KernelImage> {
    let manifest = Manifest::embedded()?;
    if manifest.image(name).is_none_or(|image| image.kind != ImageKind::Direct) {
        return Err(Error::Image { why: format!("the kernels' manifest has no direct image {name}") });
    }
    let entries = (0..).zip(manifest.kernels_of(name)).map(|(number, kernel)| KernelEntry {
        name: kernel.name.clone(),
        instructions: vec![DIRECT[0], DIRECT[1], number],
        arguments: kernel
            .arguments
            .iter()
            .map(|argument| ArgumentSpec {
                role: argument.role.buffer_role(),
                len_bytes: argument.bytes as usize,
            })
            .collect(),
    });
    Ok(KernelImage { arch, configuration: configuration(name, arch), entries: entries.collect() })
}

/// Number of the kernel among those of its image that these instructions run; `None` if they are no direct ones.
pub(crate) fn direct_number(instructions: &[u32]) -> Option<usize> {
    match *instructions {
        [magic, version, number] if [magic, version] == DIRECT => Some(number as usize),
        _ => None,
    }
}

fn configuration(name: &str, arch: Arch) -> Vec<u8> {
    format!("{MODELLED}\n{name}\n{}\n{}", arch.folder(), sources_hash()).into_bytes()
}

/// The name of a modelled image made by this very program.
///
/// # Errors
/// [`Error::Image`] if it is a real one, of another generation than it says, or of other kernel sources.
pub(crate) fn modelled_name(image: &KernelImage) -> Result<&str> {
    let refused = |why: &str| Err(Error::Image { why: why.into() });
    let text = std::str::from_utf8(&image.configuration).unwrap_or_default();
    let lines: Vec<&str> = text.split('\n').collect();
    let &[MODELLED, name, arch, hash] = lines.as_slice() else {
        return refused(
            "it is not one of the emulator's own (built files run on silicon only); make it by \
             `kernel::image::streamed` or `direct`",
        );
    };
    if arch != image.arch.folder() {
        return refused("its configuration is of another generation than the image says");
    }
    if hash != sources_hash() {
        return refused("it was made from other kernel sources than this program carries; make it again");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_modelled_image_tells_its_name_and_a_stale_or_foreign_one_is_refused() {
        let image = streamed("encoder", Arch::Aie2, &[]);
        assert_eq!(modelled_name(&image).unwrap(), "encoder");
        let text = String::from_utf8(image.configuration.clone()).unwrap();
        for (configuration, reason) in [
            (text.replace(&sources_hash(), &"0".repeat(32)), "other kernel sources"),
            (text.replace("aie2", "aie2p"), "another generation"),
            ("xclbin2".into(), "not one of the emulator's own"),
            (text.clone() + "\n", "not one of the emulator's own"),
        ] {
            let broken = KernelImage { configuration: configuration.into_bytes(), ..image.clone() };
            let error = modelled_name(&broken).unwrap_err().to_string();
            assert!(error.contains(reason), "`{error}` lacks `{reason}`");
        }
    }
}
