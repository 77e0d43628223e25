//! The overlay for silicon: files that the kernels' Makefile has built.

use std::env;
use std::path::{Path, PathBuf};

use super::images::Images;
use crate::device::{Arch, KernelImage};
use crate::kernel::Program;
use crate::kernel::image::folder::Folder;
use crate::{Error, Result};

/// The name of the overlay in the index.
const OVERLAY: &str = "encoder";
/// Names the folder of the images; nothing else is looked at then.
pub const IMAGES_VARIABLE: &str = "NPU_KERNEL_IMAGES";

/// Built images of one generation.
#[derive(Clone, Debug)]
pub struct BuiltImages {
    folder: Folder,
}

impl BuiltImages {
    /// Those of `root/<generation>`.
    ///
    /// # Errors
    /// [`Error::Image`] if they are not there, damaged, or of other kernel sources than this program's.
    pub fn open(root: &Path, arch: Arch) -> Result<Self> {
        Folder::open(root, arch).map(|folder| Self { folder })
    }

    /// Those of the first folder that has this generation.
    ///
    /// # Errors
    /// As [`Self::open`]; if no folder has it, with the folders that were looked at.
    pub fn find(arch: Arch) -> Result<Self> {
        let roots = roots(
            |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from),
            env::current_exe().ok().as_deref(),
            env::current_dir().ok().as_deref(),
        );
        let mut first = None;
        for root in roots.iter().filter(|root| root.is_dir()) {
            match Self::open(root, arch) {
                // Damage is told at once: another folder further away would be a surprise.
                Err(error) if Folder::holds(root, arch) => return Err(error),
                Err(error) => first = first.or(Some(error)),
                found => return found,
            }
        }
        Err(first.unwrap_or_else(|| Error::Image {
            why: format!(
                "there are no built kernels (looked for {IMAGES_VARIABLE}, and `kernels/images` at and above the program and the \
                 current folder); build them on a machine with mlir-aie and Peano: `make -C kernels` (see kernels/README.md)"
            ),
        }))
    }
}

impl Images for BuiltImages {
    fn overlay(&self, _arch: Arch) -> Result<KernelImage> {
        self.folder.overlay(OVERLAY)
    }

    fn words(&self, name: &str, program: &Program) -> Result<Vec<u32>> {
        self.folder.instructions(OVERLAY, &program.key()).map_err(|error| match error {
            Error::Image { why } => Error::Image { why: format!("{name}: {why}") },
            other => other,
        })
    }
}

/// Where images may be, the nearest first.
fn roots(
    variable: impl Fn(&str) -> Option<PathBuf>,
    program: Option<&Path>,
    current: Option<&Path>,
) -> Vec<PathBuf> {
    if let Some(named) = variable(IMAGES_VARIABLE) {
        return vec![named];
    }
    let beside = program.and_then(Path::parent);
    let above = [beside, current].into_iter().flatten().flat_map(Path::ancestors);
    let mut roots: Vec<PathBuf> =
        above.flat_map(|folder| [folder.join("images"), folder.join("kernels/images")]).collect();
    // Where the program's models are installed too.
    let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    roots.extend(data.map(|data| data.join("transcribe/images")));
    roots
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_named_folder_is_the_only_one() {
        let named = |name: &str| (name == IMAGES_VARIABLE).then(|| PathBuf::from("/named"));
        assert_eq!(roots(named, Some(Path::new("/a/x")), None), [Path::new("/named")]);
    }

    #[test]
    fn the_program_s_folder_comes_before_the_current_one_and_the_user_s_last() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/ada"));
        let found = roots(home, Some(Path::new("/r/target/x")), Some(Path::new("/w")));
        let at = |path: &str| found.iter().position(|root| root == Path::new(path)).unwrap();
        assert!(at("/r/target/images") < at("/r/kernels/images"));
        assert!(at("/r/kernels/images") < at("/w/kernels/images"));
        assert_eq!(found.last().unwrap(), Path::new("/home/ada/.local/share/transcribe/images"));
    }

    #[test]
    fn what_is_not_built_is_told_with_the_launch_that_misses_it() {
        let root = tempfile::tempdir().unwrap();
        let error = BuiltImages::open(root.path(), Arch::Aie2).unwrap_err();
        assert!(matches!(&error, Error::Image { why } if why.contains("make -C kernels")), "{error}");
    }
}
