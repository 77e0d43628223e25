//! What is loaded: an array configuration and the instruction streams that run on it.

use crate::device::{Arch, BufferRole};

/// A loaded image: one hardware context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u64);

impl ContextId {
    /// The kernel made of the image's `entry`-th entry.
    #[must_use]
    pub fn kernel(self, entry: usize) -> KernelId {
        KernelId { context: self, entry }
    }
}

/// One entry of a loaded image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelId {
    context: ContextId,
    entry: usize,
}

impl KernelId {
    /// The context it runs in.
    #[must_use]
    pub fn context(self) -> ContextId {
        self.context
    }

    /// Number of its entry in the image.
    #[must_use]
    pub fn entry(self) -> usize {
        self.entry
    }
}

/// An array configuration with one or more instruction streams; loading it takes one hardware context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// Generation that it was built for.
    pub arch: Arch,
    /// The container that configures the array, as its file has it.
    pub configuration: Vec<u8>,
    /// What can be launched.
    pub entries: Vec<KernelEntry>,
}

/// One instruction stream and the buffers that it walks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEntry {
    /// Its name in messages.
    pub name: String,
    /// Words of the controller's program. The device passes their number in the unit that its runtime wants.
    pub instructions: Vec<u32>,
    /// Its buffers in order. The runtime's own leading arguments (opcode, stream, length) are not among them.
    pub arguments: Vec<ArgumentSpec>,
}

/// One buffer argument. Drivers do not check these, so devices do, at submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentSpec {
    /// What the kernel does with it.
    pub role: BufferRole,
    /// Bytes that the stream touches: a buffer may be longer, not shorter.
    pub len_bytes: usize,
}
