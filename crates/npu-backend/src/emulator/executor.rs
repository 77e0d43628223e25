//! Who computes what a launch asks for: the array of cores, or the probe programs.

use crate::emulator::array::{Arithmetic, Array, ArrayFault, LoadedImage, Output, Work};
use crate::emulator::probe::{self, LoadedProbe};
use crate::{Arch, KernelImage, Result};

/// Why a launch did not run to its end; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stopped {
    /// Whether it would wait for ever, rather than break.
    pub(super) hangs: bool,
    pub(super) why: String,
}

/// What runs launches.
pub(super) enum Executor {
    Array(Box<Array>),
    Probe,
}

/// An image as its executor keeps it.
pub(super) enum Loaded {
    Array(Box<LoadedImage>),
    Probe(LoadedProbe),
}

impl Executor {
    pub(super) fn array(arch: Arch, arithmetic: Arithmetic) -> Result<Self> {
        Array::new(arch, arithmetic).map(|array| Self::Array(Box::new(array)))
    }

    pub(super) fn load(&self, image: &KernelImage) -> Result<Loaded> {
        match self {
            Self::Array(array) => array.load(image).map(|loaded| Loaded::Array(Box::new(loaded))),
            Self::Probe => probe::load(image).map(Loaded::Probe),
        }
    }

    pub(super) fn run(
        &self,
        loaded: &Loaded,
        entry: usize,
        arguments: &[&[u8]],
    ) -> std::result::Result<(Work, Vec<Output>), Stopped> {
        match (self, loaded) {
            (Self::Array(array), Loaded::Array(image)) => {
                array.run(image, entry, arguments).map_err(|fault| Stopped {
                    hangs: matches!(fault, ArrayFault::Hang { .. }),
                    why: fault.to_string(),
                })
            }
            (Self::Probe, Loaded::Probe(image)) => {
                probe::run(image, entry, arguments).map_err(|why| Stopped { hangs: false, why })
            }
            // One emulator has one executor, and it alone makes its images.
            _ => Err(Stopped { hangs: false, why: "the image was loaded by another executor".into() }),
        }
    }
}
