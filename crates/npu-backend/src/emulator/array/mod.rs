//! The array of cores: what a launch computes and what it costs. A stand-in that knows no image yet.

use crate::kernel::Tap;
use crate::{Arch, Error, KernelImage, Result};

/// How the kernels' arithmetic is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// The device's own rounding, bit for bit as far as it is known.
    Exact,
    /// Plain f32 accumulation, vectorised.
    #[default]
    Fast,
    /// None: outputs are poison, only modelled times are right.
    Off,
}

/// What a launch costs, in the units of the array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Cycles of the slowest core.
    pub(crate) compute_cycles: u64,
    /// Cycles of the busiest stream.
    pub(crate) stream_cycles: u64,
    /// Bytes read from main memory.
    pub(crate) ddr_read_bytes: u64,
    /// Bytes written to main memory.
    pub(crate) ddr_written_bytes: u64,
    /// Both, weighted by the short-run penalty.
    pub(crate) ddr_weighted_bytes: u64,
    /// Bytes read before the first core can begin.
    pub(crate) prologue_bytes: u64,
    /// Bytes written after the last core has ended.
    pub(crate) drain_bytes: u64,
    /// Multiply-accumulates.
    pub(crate) macs: u64,
}

/// Bytes for one argument; the caller applies them to the device copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Number of the argument.
    pub(crate) argument: usize,
    /// Where the bytes go.
    pub(crate) tap: Tap,
    /// In the order of the walk.
    pub(crate) bytes: Vec<u8>,
}

/// Why a launch did not run to its end. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArrayFault {
    /// Someone waits for an object that never comes.
    #[error("{waiter} waits for ever")]
    Hang {
        /// Who.
        waiter: String,
    },
}

/// An image as the array keeps it.
#[derive(Debug)]
pub(crate) struct LoadedImage {}

/// Cores, memtiles and their streams.
#[derive(Debug)]
pub(crate) struct Array {}

impl Array {
    pub(crate) fn new(_arch: Arch, _arithmetic: Arithmetic) -> Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn load(&self, _image: &KernelImage) -> Result<LoadedImage> {
        Err(Error::Image { why: "the emulator's array is not in this build".into() })
    }

    pub(crate) fn run(
        &self,
        _image: &LoadedImage,
        _entry: usize,
        _arguments: &[&[u8]],
    ) -> std::result::Result<(Work, Vec<Output>), ArrayFault> {
        Err(ArrayFault::Hang { waiter: "the emulator's array, which is not in this build,".into() })
    }
}
