//! The seam between scheduling and silicon: one trait, its contract, and the plain types that cross it.

mod buffer;
mod counters;
pub(crate) mod ids;
mod image;
mod info;
mod launch;
mod state;

use std::ops::Range;
use std::time::Duration;

pub use buffer::{Buffer, BufferId, BufferRole};
pub use counters::{Counters, Modelled};
pub use image::{ArgumentSpec, ContextId, KernelEntry, KernelId, KernelImage};
pub use info::{Arch, DeviceInfo};
pub use launch::{Batch, Launch, Progress, Ticket};
pub use state::CommandState;

use crate::Result;

/// Bytes of a cache line: the unit in which the two copies of a buffer are kept, and mixed up by who forgets to sync.
pub const LINE_BYTES: usize = 64;

/// One open device: bytes, launches and tickets.
///
/// # Contract
///
/// Every implementor keeps these clauses; `tests/contract` checks each of them on every device that there is.
///
/// 1. **Two copies.** A buffer has a host copy and a device copy; both start as zeros. What the host writes is given to
///    launches by a [`push`](Self::push) of that range before their [`submit`](Self::submit); what a launch writes is
///    given to the host by a [`pull`](Self::pull) of that range after the ticket has finished. Bytes written on one
///    side and not given to the other are *unspecified* there: old, new, or neither. Three rules follow from caches,
///    whose unit is the line: [`LINE_BYTES`] bytes at a multiple of them.
///    - Host and launches do not write the same line without a push or pull of it in between.
///    - What the host has written is pushed before a launch writes those lines and before they are pulled, or the
///      host's lines may overwrite what the launch wrote. That holds for an output buffer that the host has cleared.
///    - What a launch has written is pulled before the host pushes those lines.
/// 2. **Order.** Batches of one context finish in the order of submission, and the launches of a batch run in the
///    order of the batch; each sees what those before it wrote, without a push or pull. Nothing is promised between
///    contexts: a batch that would race with an unfinished one of another context, for a buffer that either writes,
///    is refused as [`Busy`](crate::Error::Busy).
/// 3. **Lifetime.** A ticket is unfinished until a [`wait`](Self::wait) has ended it, however long ago the device was
///    done. Its buffers and its context stay alive and are left alone: [`free`](Self::free) takes effect when the
///    ticket has finished, while [`host_mut`](Self::host_mut), [`push`](Self::push), [`pull`](Self::pull) and
///    [`unload`](Self::unload) answer [`Busy`](crate::Error::Busy), as [`host`](Self::host) does for a buffer that the
///    ticket writes. A buffer that launches only read may be shared by any number of tickets, and read by the host. The id of a freed buffer is unknown at once. Streams may be
///    [added](Self::add_kernel) to a context at any time.
/// 4. **Failure.** What can be checked is refused at [`submit`](Self::submit), before anything runs and without a
///    trace. What fails afterwards is told by [`wait`](Self::wait), which names the first failed launch of the batch.
///    The launches after it in the same chain did not run; those of later chains (a batch is cut into chains of
///    [`launches_per_chain`](DeviceInfo::launches_per_chain)) may have, since hardware holds them in its queue already.
///    Unspecified are the contents of the buffers that the failed launch and those of later chains write. A later batch
///    that reads them is another batch: it runs, and answers [`Done`](Progress::Done) on rubbish if it was submitted
///    before the failure was told. A device that recovers by a reset fails the other unfinished batches too, of every
///    context, and keeps contexts and buffers; one whose context the driver has given up makes it anew at the next
///    [`submit`](Self::submit).
/// 5. **Loss.** After [`DeviceLost`](crate::Error::DeviceLost) every verb but [`info`](Self::info) and
///    [`counters`](Self::counters) answers it at once: nothing hangs.
/// 6. **No panic.** No verb panics, whatever its arguments: an id of another device, a range outside its buffer and a
///    length of zero are errors. Ranges are bytes, half open; an empty range within the buffer does nothing, and is
///    never busy.
///
/// A device is used by one thread at a time (`&mut self`) and may move between threads. Dropping it waits for what is
/// in flight and releases everything.
pub trait Device: Send {
    /// What the device is and what its limits are.
    fn info(&self) -> &DeviceInfo;

    /// Loads an image into a hardware context of its own; its entries are then kernels
    /// ([`ContextId::kernel`]).
    ///
    /// # Errors
    /// [`WrongArch`](crate::Error::WrongArch), [`Image`](crate::Error::Image), [`NoContext`](crate::Error::NoContext),
    /// [`ContextRefused`](crate::Error::ContextRefused),
    /// [`Alloc`](crate::Error::Alloc) if its instruction streams find no room.
    fn load(&mut self, image: &KernelImage) -> Result<ContextId>;

    /// Adds an instruction stream to a loaded image: one configuration serves any number of shapes.
    ///
    /// # Errors
    /// [`UnknownContext`](crate::Error::UnknownContext), [`Image`](crate::Error::Image) if the device refuses it,
    /// [`Alloc`](crate::Error::Alloc) if it finds no room.
    fn add_kernel(&mut self, context: ContextId, entry: &KernelEntry) -> Result<KernelId>;

    /// Gives a context back.
    ///
    /// # Errors
    /// [`UnknownContext`](crate::Error::UnknownContext), [`Busy`](crate::Error::Busy).
    fn unload(&mut self, context: ContextId) -> Result<()>;

    /// Makes a buffer of `len_bytes` for `role`, both copies zero.
    ///
    /// # Errors
    /// [`Alloc`](crate::Error::Alloc) if the length is 0 or memory is short.
    fn alloc(&mut self, len_bytes: usize, role: BufferRole) -> Result<Buffer>;

    /// Frees a buffer, at once or when the last ticket that uses it has finished.
    ///
    /// # Errors
    /// [`UnknownBuffer`](crate::Error::UnknownBuffer) if it belongs to another device; the handle is gone all the same,
    /// and its own device gives the memory back when it is dropped.
    fn free(&mut self, buffer: Buffer) -> Result<()>;

    /// The host copy, all of it.
    ///
    /// # Errors
    /// [`UnknownBuffer`](crate::Error::UnknownBuffer), [`Busy`](crate::Error::Busy) while an unfinished ticket writes it.
    fn host(&self, buffer: BufferId) -> Result<&[u8]>;

    /// The host copy, to be written.
    ///
    /// # Errors
    /// [`UnknownBuffer`](crate::Error::UnknownBuffer), [`Busy`](crate::Error::Busy).
    fn host_mut(&mut self, buffer: BufferId) -> Result<&mut [u8]>;

    /// Makes the device copy of `range` equal the host copy.
    ///
    /// # Errors
    /// [`UnknownBuffer`](crate::Error::UnknownBuffer), [`Range`](crate::Error::Range), [`Busy`](crate::Error::Busy).
    fn push(&mut self, buffer: BufferId, range: Range<usize>) -> Result<()>;

    /// Makes the host copy of `range` equal the device copy.
    ///
    /// # Errors
    /// [`UnknownBuffer`](crate::Error::UnknownBuffer), [`Range`](crate::Error::Range), [`Busy`](crate::Error::Busy).
    fn pull(&mut self, buffer: BufferId, range: Range<usize>) -> Result<()>;

    /// Starts a batch and returns at once, or, when the context's queue is full, as soon as a place is free.
    ///
    /// # Errors
    /// [`UnknownKernel`](crate::Error::UnknownKernel), [`UnknownBuffer`](crate::Error::UnknownBuffer),
    /// [`ArgumentCount`](crate::Error::ArgumentCount), [`ArgumentBuffer`](crate::Error::ArgumentBuffer),
    /// [`ArgumentAlias`](crate::Error::ArgumentAlias), [`Busy`](crate::Error::Busy); [`Alloc`](crate::Error::Alloc) if
    /// there is no memory for its commands; what [`load`](Self::load) gives, where the context must be made anew.
    fn submit(&mut self, batch: &Batch) -> Result<Ticket>;

    /// Waits for a ticket, at most `timeout` if one is given.
    ///
    /// [`Progress::Done`] ends the ticket: all its launches have completed. [`Progress::Running`] means that only the
    /// wait has expired: the ticket goes on, its buffers are as busy as before, and it is to be waited for again.
    /// Giving up on a launch is the driver's business, which has a limit of its own.
    ///
    /// # Errors
    /// [`Launch`](crate::Error::Launch), which ends the ticket too; [`UnknownTicket`](crate::Error::UnknownTicket) for
    /// one that has ended.
    fn wait(&mut self, ticket: Ticket, timeout: Option<Duration>) -> Result<Progress>;

    /// What was done since the device was opened.
    fn counters(&self) -> Counters;

    /// Tells a modelled clock that the host has worked for `span` since the last verb, so that what overlaps is seen.
    /// Hardware has its own clock and ignores it.
    fn host_spends(&mut self, _span: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only while the trait is object safe and its objects move between threads.
    #[test]
    fn a_device_is_an_object_that_moves_between_threads() {
        fn moves<T: Send + ?Sized>() -> usize {
            std::mem::size_of::<&T>()
        }
        // A reference to a trait object is two words: the object and its table of verbs.
        assert_eq!(moves::<dyn Device>(), 2 * std::mem::size_of::<usize>());
        assert_eq!(moves::<Box<dyn Device>>(), std::mem::size_of::<usize>());
    }

    #[test]
    fn what_crosses_the_seam_moves_between_threads_and_is_shared() {
        fn plain<T: Send + Sync + 'static>() {}
        plain::<Buffer>();
        plain::<Batch>();
        plain::<Ticket>();
        plain::<Counters>();
        plain::<KernelImage>();
        plain::<DeviceInfo>();
        plain::<crate::Error>();
    }
}
