//! A loaded image: its hardware context, its kernel, its instruction streams.

use std::ffi::CStr;

use super::failure::{Cause, Failure, errno};
use super::handles::{Accelerator, Bo, Direction, HardwareContext, Kernel, Kind, Xclbin};
use super::library::Shim;
use crate::{ArgumentSpec, Error, KernelEntry, KernelImage, Result};

/// First bytes of every container that configures an array.
const MAGIC: &[u8] = b"xclbin2\0";
/// mlir-aie's compiler names the kernel so.
const KERNEL: &CStr = c"MLIR_AIE";

/// Arguments of the runtime's own: what to do, the stream, its length in words; then the buffers.
pub(super) const OPCODE: u32 = 0;
pub(super) const STREAM: u32 = 1;
pub(super) const STREAM_WORDS: u32 = 2;
pub(super) const FIRST_BUFFER: u32 = 3;

/// The bank of a group: its low half; all ones is none. Above it is the context's slot, which no check compares.
fn bank(group: u32) -> u32 {
    group & 0xFFFF
}
const NO_BANK: u32 = 0xFFFF;

/// One context.
pub(super) struct Context {
    streams: Vec<Stream>,
    /// The hardware's part. It is made again when the driver has lost it; none where that has failed so far.
    loaded: Option<Loaded>,
    xclbin: Xclbin,
    /// A submission was refused or forgotten: the driver may have given the context up.
    pub(super) suspect: bool,
}

struct Loaded {
    kernel: Kernel,
    hardware: HardwareContext,
}

/// One instruction stream.
pub(super) struct Stream {
    bo: Bo,
    words: u32,
    arguments: Vec<ArgumentSpec>,
}

impl Stream {
    pub(super) fn bo(&self) -> &Bo {
        &self.bo
    }

    /// Its length, in the unit that the runtime wants.
    pub(super) fn words(&self) -> u32 {
        self.words
    }

    pub(super) fn arguments(&self) -> &[ArgumentSpec] {
        &self.arguments
    }
}

impl Loaded {
    fn open(device: &Accelerator, xclbin: &Xclbin, places: Places) -> Result<Self> {
        let hardware =
            HardwareContext::open(device, xclbin).map_err(|failure| no_context(&failure, places))?;
        let kernel = Kernel::open(&hardware, xclbin, KERNEL)
            .map_err(|failure| failure.of_image("its kernel cannot be opened"))?;
        Ok(Self { kernel, hardware })
    }
}

/// The hardware contexts of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// How many it has.
    pub(super) limit: usize,
    /// How many of them are ours, without the one that is asked for.
    pub(super) held: usize,
}

/// Where no context is left, the driver says EINVAL (of the firmware's NOAVAIL), but that of other things too, and not whose the
/// others are.
fn no_context(failure: &Failure, places: Places) -> Error {
    match failure.cause {
        Cause::System(errno::EINVAL) if places.held >= places.limit => {
            Error::NoContext { limit: places.limit }
        }
        Cause::System(errno::EINVAL) => Error::ContextRefused { why: failure.why.clone() },
        _ => failure.of_image("the driver gives no hardware context for it"),
    }
}

impl Context {
    /// Loads an image. Its streams are made by [`Self::add`].
    pub(super) fn open(
        shim: Shim,
        device: &Accelerator,
        image: &KernelImage,
        places: Places,
    ) -> Result<Self> {
        if !image.configuration.starts_with(MAGIC) {
            return Err(Error::Image {
                why: "it is no xclbin (modelled images run on the emulator only); build the kernels: `make -C kernels`"
                    .into(),
            });
        }
        let xclbin = Xclbin::read(shim, &image.configuration)
            .map_err(|failure| failure.of_image("XRT cannot read it"))?;
        device.register(&xclbin).map_err(|failure| failure.of_image("the device refuses it"))?;
        let loaded = Loaded::open(device, &xclbin, places)?;
        Ok(Self { streams: Vec::new(), loaded: Some(loaded), xclbin, suspect: false })
    }

    /// Makes the hardware's part anew, for the same image. Commands of the old one are worthless afterwards.
    pub(super) fn renew(&mut self, device: &Accelerator, places: Places) -> Result<()> {
        // The old one goes first: there may be no place for both.
        self.loaded = None;
        self.loaded = Some(Loaded::open(device, &self.xclbin, places)?);
        self.suspect = false;
        Ok(())
    }

    fn loaded(&self) -> Result<&Loaded> {
        let gone =
            || Error::Image { why: "its hardware context is gone; unload it and load it again".into() };
        self.loaded.as_ref().ok_or_else(gone)
    }

    /// The memory group of the first buffer argument: where data lies.
    pub(super) fn data_group(&self) -> Result<u32> {
        self.group(FIRST_BUFFER)
    }

    fn group(&self, argument: u32) -> Result<u32> {
        let group = self.loaded()?.kernel.group_id(argument);
        group.map_err(|failure| failure.of_image(&format!("its kernel has no argument {argument}")))
    }

    /// Adds an instruction stream, whose buffers must lie where data lies. XRT (2.17 to 2.25: xrt_kernel.cpp,
    /// validate_bo_at_index) binds a copy of its own instead of a buffer of another bank: without a host side, so binding fails
    /// as EINVAL (seen with 2.25, tests/real.rs), or with one, and results would stay in the copy. Newer ones bind it as it is
    /// where XRT's configuration says so.
    pub(super) fn add(&mut self, device: &Accelerator, entry: &KernelEntry, data: u32) -> Result<usize> {
        let refuse = |why: String| Error::Image { why: format!("{}: {why}", entry.name) };
        if entry.instructions.is_empty() {
            return Err(refuse("it has no instructions".into()));
        }
        for argument in (FIRST_BUFFER..).take(entry.arguments.len()) {
            let connected = self.group(argument)?;
            if bank(connected) != bank(data) || bank(connected) == NO_BANK {
                return Err(refuse(format!(
                    "argument {argument} of the kernel is connected to memory bank {:#x}, data lies in {:#x}",
                    bank(connected),
                    bank(data)
                )));
            }
        }
        let len_bytes = entry.instructions.len() * 4;
        let failed = |failure: Failure| failure.of_alloc(len_bytes);
        let words = u32::try_from(entry.instructions.len()).map_err(|_| refuse("it is too long".into()))?;
        let mut bo = Bo::create(device, len_bytes, Kind::Cacheable, self.group(STREAM)?).map_err(failed)?;
        for (bytes, word) in bo.host_mut().chunks_exact_mut(4).zip(&entry.instructions) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bo.sync(Direction::ToDevice, 0, len_bytes).map_err(failed)?;
        self.streams.push(Stream { bo, words, arguments: entry.arguments.clone() });
        Ok(self.streams.len() - 1)
    }

    pub(super) fn stream(&self, entry: usize) -> Option<&Stream> {
        self.streams.get(entry)
    }

    pub(super) fn kernel(&self) -> Result<&Kernel> {
        self.loaded().map(|loaded| &loaded.kernel)
    }

    pub(super) fn hardware(&self) -> Result<&HardwareContext> {
        self.loaded().map(|loaded| &loaded.hardware)
    }
}
