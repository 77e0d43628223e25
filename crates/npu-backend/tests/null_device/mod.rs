//! A device that does nothing and costs next to nothing: what is measured in front of it is our own.

use std::ops::Range;
use std::time::Duration;

use npu_backend::ops::{Images, ModelledImages};
use npu_backend::{
    Arch, Batch, Buffer, BufferId, BufferRole, ContextId, Counters, Device, DeviceInfo, Error, KernelEntry,
    KernelId, KernelImage, Progress, Result, Ticket,
};

/// Buffers on the host alone; launches that are done at once.
pub(crate) struct NullDevice {
    info: DeviceInfo,
    buffers: Vec<Vec<u8>>,
    kernels: usize,
    counters: Counters,
}

const CONTEXT: ContextId = ContextId(0);

impl NullDevice {
    /// An engine on a new one, with the geometry of the first generation.
    pub(crate) fn engine() -> npu_backend::ops::Engine {
        let info = DeviceInfo {
            name: "nothing".into(),
            arch: Arch::Aie2,
            modelled: true,
            columns: 4,
            cores_per_column: 4,
            core_memory_bytes: 64 << 10,
            memtile_bytes: 512 << 10,
            contexts: 1,
            launches_per_chain: 24,
            queued_submissions: 4,
        };
        let device = Self { info, buffers: Vec::new(), kernels: 0, counters: Counters::default() };
        let images: Box<dyn Images> = Box::new(ModelledImages);
        npu_backend::ops::Engine::new(Box::new(device), images).expect("nothing is refused")
    }

    fn at(buffer: BufferId) -> usize {
        usize::try_from(buffer.0).unwrap_or(usize::MAX)
    }
}

impl Device for NullDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, _image: &KernelImage) -> Result<ContextId> {
        Ok(CONTEXT)
    }

    fn add_kernel(&mut self, context: ContextId, _entry: &KernelEntry) -> Result<KernelId> {
        self.kernels += 1;
        Ok(context.kernel(self.kernels - 1))
    }

    fn unload(&mut self, _context: ContextId) -> Result<()> {
        Ok(())
    }

    fn alloc(&mut self, len_bytes: usize, role: BufferRole) -> Result<Buffer> {
        self.buffers.push(vec![0; len_bytes]);
        Ok(Buffer::new(BufferId(self.buffers.len() as u64 - 1), len_bytes, role))
    }

    fn free(&mut self, _buffer: Buffer) -> Result<()> {
        Ok(())
    }

    fn host(&self, buffer: BufferId) -> Result<&[u8]> {
        self.buffers.get(Self::at(buffer)).map(Vec::as_slice).ok_or(Error::UnknownBuffer(buffer))
    }

    fn host_mut(&mut self, buffer: BufferId) -> Result<&mut [u8]> {
        self.buffers.get_mut(Self::at(buffer)).map(Vec::as_mut_slice).ok_or(Error::UnknownBuffer(buffer))
    }

    fn push(&mut self, _buffer: BufferId, _range: Range<usize>) -> Result<()> {
        self.counters.pushes += 1;
        Ok(())
    }

    fn pull(&mut self, _buffer: BufferId, _range: Range<usize>) -> Result<()> {
        self.counters.pulls += 1;
        Ok(())
    }

    fn submit(&mut self, batch: &Batch) -> Result<Ticket> {
        self.counters.batches += 1;
        self.counters.launches += batch.launches().len() as u64;
        Ok(Ticket(self.counters.batches))
    }

    fn wait(&mut self, _ticket: Ticket, _timeout: Option<Duration>) -> Result<Progress> {
        Ok(Progress::Done)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
