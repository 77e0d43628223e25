//! One error type: a variant for each cause that a caller can act on.

use crate::device::{Arch, BufferId, BufferRole, CommandState, ContextId, KernelId, Ticket};

/// `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What stands between a program and a device, for callers that know more of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// This program's library above AMD's runtime.
    Shim,
    /// AMD's runtime.
    Runtime,
    /// The runtime's plugin for NPUs.
    Plugin,
    /// The kernel's driver.
    Driver,
    /// The device's node.
    Node,
    /// The right to open the node.
    Permission,
    /// The limit of locked memory.
    LockedMemory,
    /// There is a device, but of a generation without kernels.
    Generation,
    /// What compiles and keeps the emulator's kernels.
    Toolchain,
    /// Another cause.
    Other,
}

/// Why a device could not be opened or would not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device that was asked for by name cannot be opened. Never answered by a silent fallback.
    #[error("the {device} device cannot be opened: {why}; {hint}")]
    Unavailable {
        /// The device asked for.
        device: &'static str,
        /// What kind of cause it is.
        obstacle: Obstacle,
        /// The cause.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// The device was reset or has gone; every verb answers this from now on.
    #[error("the device is lost: {why}; open it again")]
    DeviceLost {
        /// What the driver said.
        why: String,
    },
    /// The image was made for another generation. Running it would give wrong numbers, not an error.
    #[error("the kernel image is for {image:?}, the device is {device:?}")]
    WrongArch {
        /// Generation of the image.
        image: Arch,
        /// Generation of the device.
        device: Arch,
    },
    /// The image is damaged, or the device refuses it.
    #[error("the kernel image cannot be loaded: {why}")]
    Image {
        /// What is wrong with it.
        why: String,
    },
    /// No hardware context is free.
    #[error("all {limit} hardware contexts are in use; unload one first")]
    NoContext {
        /// How many the device has for us.
        limit: usize,
    },
    /// The driver gives no hardware context, although this device holds fewer than there are.
    #[error("the driver gives no hardware context ({why}); other programs may hold them all")]
    ContextRefused {
        /// What the driver said.
        why: String,
    },
    /// The device has no memory for a buffer, or the length is not possible.
    #[error("cannot allocate a buffer of {len_bytes} bytes: {why}")]
    Alloc {
        /// The length asked for, bytes.
        len_bytes: usize,
        /// Why not: zero length, memory lock limit, device heap full.
        why: String,
    },
    /// No such buffer, or it was freed.
    #[error("there is no buffer {0:?}")]
    UnknownBuffer(BufferId),
    /// No such context, or it was unloaded.
    #[error("there is no context {0:?}")]
    UnknownContext(ContextId),
    /// No such kernel, or its context was unloaded.
    #[error("there is no kernel {0:?}")]
    UnknownKernel(KernelId),
    /// Never issued, or waited for already.
    #[error("there is no unfinished {0:?}")]
    UnknownTicket(Ticket),
    /// A byte range that does not lie in the buffer.
    #[error("bytes {start}..{end} do not lie in {buffer:?} of {len_bytes} bytes")]
    Range {
        /// The buffer.
        buffer: BufferId,
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
        /// Its length, bytes.
        len_bytes: usize,
    },
    /// A buffer or context that an unfinished ticket still uses.
    #[error("{what} is in use until {ticket:?} has finished: wait for it first")]
    Busy {
        /// The buffer or context.
        what: String,
        /// The ticket that holds it.
        ticket: Ticket,
    },
    /// A batch that is empty or spans contexts.
    #[error("the batch cannot be made: {why}")]
    Batch {
        /// What is wrong with it.
        why: String,
    },
    /// A launch binds the wrong number of buffers.
    #[error("launch {index}: {kernel:?} takes {want} buffers, got {got}")]
    ArgumentCount {
        /// Number of the launch in its batch.
        index: usize,
        /// The kernel.
        kernel: KernelId,
        /// Buffers that it takes.
        want: usize,
        /// Buffers bound.
        got: usize,
    },
    /// A launch binds a buffer of another role or length than the kernel's argument has.
    #[error(
        "launch {index}, argument {argument}: wants {want_len} bytes as {want_role:?}, got {got_len} bytes as {got_role:?}"
    )]
    ArgumentBuffer {
        /// Number of the launch in its batch.
        index: usize,
        /// Number of the argument, from 0.
        argument: usize,
        /// Role that the kernel declares.
        want_role: BufferRole,
        /// Length that the kernel declares, bytes.
        want_len: usize,
        /// Role of the buffer.
        got_role: BufferRole,
        /// Length of the buffer, bytes.
        got_len: usize,
    },
    /// A problem that no kernel can take.
    #[error("no kernel takes this shape: {why}")]
    Shape {
        /// What does not fit.
        why: String,
    },
    /// Values that int8 cannot hold.
    #[error(
        "row {row} of the {what} is not finite, which int8 cannot hold; multiply it in bf16 or on the CPU"
    )]
    NotFinite {
        /// Which operand.
        what: &'static str,
        /// Its row.
        row: usize,
    },
    /// A launch binds one buffer twice and writes it: its own reads and writes would race.
    #[error(
        "launch {index}: arguments {first} and {second} are both {buffer:?}, and the kernel writes one of them"
    )]
    ArgumentAlias {
        /// Number of the launch in its batch.
        index: usize,
        /// The buffer.
        buffer: BufferId,
        /// Number of the argument that binds it first.
        first: usize,
        /// Number of the argument that binds it again.
        second: usize,
    },
    /// A launch failed after it was submitted; told at the wait for its ticket.
    #[error("launch {index} of {ticket:?} ({kernel:?}) ended as {state:?}: {why}")]
    Launch {
        /// The ticket waited for.
        ticket: Ticket,
        /// Number of the first launch that failed, from 0.
        index: usize,
        /// Its kernel.
        kernel: KernelId,
        /// How it ended; never [`CommandState::Completed`].
        state: CommandState,
        /// What the device said.
        why: String,
    },
}
