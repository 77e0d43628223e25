//! The overlay for the emulator: made here, from the manifest and the plans.

use super::images::Images;
use crate::Result;
use crate::device::{Arch, KernelImage};
use crate::kernel::{Program, image};

/// The name of the overlay in the manifest.
const OVERLAY: &str = "encoder";

/// Images that the emulator takes, and no silicon.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelledImages;

impl Images for ModelledImages {
    fn overlay(&self, arch: Arch) -> Result<KernelImage> {
        Ok(image::streamed(OVERLAY, arch, &[]))
    }

    fn words(&self, _name: &str, program: &Program) -> Result<Vec<u32>> {
        Ok(program.encode())
    }
}
