//! One device with the overlay loaded: operations become launches, launches become batches.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use super::images::{Images, Operation};
use super::pool::Pool;
use super::weights::DeviceWeights;
use crate::device::{
    ArgumentSpec, Batch, Buffer, BufferId, BufferRole, ContextId, Device, DeviceInfo, KernelEntry, KernelId,
    Launch, Ticket,
};
use crate::kernel::{Program, Tap};
use crate::schedule::pack::{self, PackTag, Weights};
use crate::schedule::{AttentionProblem, GemmProblem, Grid, Int8AttentionProblem};
use crate::{Error, Result};

/// One device, its overlay in one hardware context, and the streams made so far.
///
/// Launches are made once for each operation and shape and run any number of times; running one allocates nothing here.
pub struct Engine {
    device: Box<dyn Device>,
    images: Box<dyn Images>,
    context: ContextId,
    grid: Grid,
    streams: HashMap<Operation, KernelId>,
    pool: Pool,
}

impl Engine {
    /// Loads the overlay.
    ///
    /// # Errors
    /// What the device and the images give.
    pub fn new(mut device: Box<dyn Device>, images: Box<dyn Images>) -> Result<Self> {
        let grid = Grid::of(device.info());
        let overlay = images.overlay(device.info().arch)?;
        let context = device.load(&overlay)?;
        Ok(Self { device, images, context, grid, streams: HashMap::new(), pool: Pool::default() })
    }

    /// What the device is.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// The cores that plans spread over.
    #[must_use]
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The device, for its counters.
    #[must_use]
    pub fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// A buffer, zeroed on both sides: one that was given back, or a new one.
    ///
    /// # Errors
    /// [`Error::Alloc`], when what lies idle has been given up for it in vain.
    pub fn buffer(&mut self, len_bytes: usize, role: BufferRole) -> Result<Buffer> {
        if let Some(buffer) = self.pool.take(len_bytes, role) {
            match self.clear(&buffer) {
                Ok(()) => return Ok(buffer),
                // Given back before its ticket was waited for.
                Err(Error::Busy { .. }) => self.device.free(buffer)?,
                Err(error) => return Err(error),
            }
        }
        loop {
            match self.device.alloc(len_bytes, role) {
                Err(Error::Alloc { .. }) if self.give_up_oldest()? => {}
                made => return made,
            }
        }
    }

    /// Gives a buffer back: it is kept for the next of its length and role.
    ///
    /// # Errors
    /// [`Error::UnknownBuffer`] if it is another device's.
    pub fn free(&mut self, buffer: Buffer) -> Result<()> {
        // Nothing is pushed; but a buffer of another device is told.
        self.device.push(buffer.id(), 0..0)?;
        self.pool.give(buffer);
        while let Some(surplus) = self.pool.surplus() {
            self.device.free(surplus)?;
        }
        Ok(())
    }

    /// Zeros on both sides.
    fn clear(&mut self, buffer: &Buffer) -> Result<()> {
        let (id, whole) = (buffer.id(), 0..buffer.len_bytes());
        if buffer.role().device_writes() {
            // Or these lines, older than what launches wrote, would be pushed in part.
            self.device.pull(id, whole.clone())?;
        }
        self.device.host_mut(id)?.fill(0);
        self.device.push(id, whole)
    }

    /// Whether something was idle.
    fn give_up_oldest(&mut self) -> Result<bool> {
        let Some(buffer) = self.pool.oldest() else { return Ok(false) };
        self.device.free(buffer)?;
        Ok(true)
    }

    /// Packs weights for products like `problem` (any `m`, any place of its operands) and makes them resident.
    ///
    /// # Errors
    /// [`Error::Alloc`].
    pub fn weights(&mut self, problem: &GemmProblem, weights: &Weights<'_>) -> Result<DeviceWeights> {
        let packed = pack::weights(self.grid, problem, weights);
        let buffer = self.buffer(packed.len(), BufferRole::Weight)?;
        self.write(buffer.id(), 0..packed.len(), |bytes| bytes.copy_from_slice(&packed))?;
        let tag = PackTag::new(self.device.info().arch, problem.kind);
        Ok(DeviceWeights { buffer, tag, k: problem.k, n: problem.n, residual: problem.residual.is_some() })
    }

    /// Gives weights back.
    ///
    /// # Errors
    /// [`Error::UnknownBuffer`].
    pub fn free_weights(&mut self, weights: DeviceWeights) -> Result<()> {
        self.device.free(weights.buffer)
    }

    /// The launch of a product.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not fit the array or the weights; [`Error::Image`] if no stream was built for it.
    pub fn gemm(
        &mut self,
        problem: &GemmProblem,
        a: BufferId,
        weights: &DeviceWeights,
        c: BufferId,
        residual: Option<BufferId>,
    ) -> Result<Launch> {
        weights.check(problem, PackTag::new(self.device.info().arch, problem.kind))?;
        let kernel = self.stream(Operation::Gemm(*problem))?;
        let mut buffers = vec![a, weights.buffer(), c];
        match (problem.residual, residual) {
            (Some(_), Some(residual)) => buffers.push(residual),
            (None, None) => {}
            _ => return Err(Error::Shape { why: "the residual's buffer and region go together".into() }),
        }
        Ok(Launch { kernel, buffers })
    }

    /// The launch of attention; `params` holds [`AttentionProblem::params`], pushed.
    ///
    /// # Errors
    /// As [`Self::gemm`].
    pub fn attention(
        &mut self,
        problem: &AttentionProblem,
        qkv: BufferId,
        params: BufferId,
        out: BufferId,
    ) -> Result<Launch> {
        let kernel = self.stream(Operation::Attention(*problem))?;
        Ok(Launch { kernel, buffers: vec![qkv, params, out] })
    }

    /// The launch of attention in int8, over what [`Int8AttentionProblem::pack_queries`] and
    /// [`Int8AttentionProblem::pack_keys`] packed.
    ///
    /// # Errors
    /// As [`Self::gemm`].
    pub fn attention_int8(
        &mut self,
        problem: &Int8AttentionProblem,
        queries: BufferId,
        keys: BufferId,
        out: BufferId,
    ) -> Result<Launch> {
        let kernel = self.stream(Operation::Int8Attention(*problem))?;
        Ok(Launch { kernel, buffers: vec![queries, keys, out] })
    }

    /// Lets `fill` write `range` of a buffer's host copy, and pushes it.
    ///
    /// # Errors
    /// What [`Device::host_mut`] and [`Device::push`] give.
    pub fn write(
        &mut self,
        buffer: BufferId,
        range: Range<usize>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        let host = self.device.host_mut(buffer)?;
        let (start, end, len_bytes) = (range.start, range.end, host.len());
        let bytes = host.get_mut(range.clone()).ok_or(Error::Range { buffer, start, end, len_bytes })?;
        fill(bytes);
        self.device.push(buffer, range)
    }

    /// Pulls `range` of a buffer and lends its host copy.
    ///
    /// # Errors
    /// What [`Device::pull`] and [`Device::host`] give.
    pub fn read<T>(
        &mut self,
        buffer: BufferId,
        range: Range<usize>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        self.device.pull(buffer, range.clone())?;
        let host = self.device.host(buffer)?;
        let (start, end, len_bytes) = (range.start, range.end, host.len());
        Ok(take(host.get(range).ok_or(Error::Range { buffer, start, end, len_bytes })?))
    }

    /// Tells a modelled clock that the host has gone through `bytes` of memory by itself since the last verb: rows
    /// added, normed, converted. At the 15 GB/s that Phoenix's memory gives one user of it (arXiv 2512.13282).
    pub fn host_works(&mut self, bytes: usize) {
        #[allow(clippy::cast_precision_loss, reason = "a modelled time")]
        let seconds = bytes as f64 / 15e9;
        self.device.host_spends(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }

    /// Starts a batch.
    ///
    /// # Errors
    /// What [`Device::submit`] gives.
    pub fn submit(&mut self, batch: &Batch) -> Result<Ticket> {
        self.device.submit(batch)
    }

    /// Waits for a batch to finish.
    ///
    /// # Errors
    /// What [`Device::wait`] gives.
    pub fn wait(&mut self, ticket: Ticket) -> Result<()> {
        self.device.wait(ticket, None).map(|_| ())
    }

    /// Submits and waits.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Self::wait`].
    pub fn run(&mut self, batch: &Batch) -> Result<()> {
        let ticket = self.submit(batch)?;
        self.wait(ticket)
    }

    fn stream(&mut self, operation: Operation) -> Result<KernelId> {
        if let Some(&kernel) = self.streams.get(&operation) {
            return Ok(kernel);
        }
        let program = operation.plan(self.grid)?;
        let name = operation.name(self.grid);
        let instructions = self.images.words(&name, &program)?;
        let entry = KernelEntry { name, instructions, arguments: arguments(operation, &program) };
        let kernel = self.device.add_kernel(self.context, &entry)?;
        self.streams.insert(operation, kernel);
        Ok(kernel)
    }
}

/// The buffers that a stream walks: role by operand, length by the farthest tap.
fn arguments(operation: Operation, program: &Program) -> Vec<ArgumentSpec> {
    let roles: &[BufferRole] = match operation {
        Operation::Gemm(problem) if problem.residual.is_some() => {
            &[BufferRole::Input, BufferRole::Weight, BufferRole::Output, BufferRole::Input]
        }
        Operation::Gemm(_) => &[BufferRole::Input, BufferRole::Weight, BufferRole::Output],
        Operation::Attention(_) => &[BufferRole::Input, BufferRole::Weight, BufferRole::Output],
        Operation::Int8Attention(_) => &[BufferRole::Input, BufferRole::Input, BufferRole::Output],
    };
    let taps: Vec<&Tap> =
        program.segments.iter().map(|s| &s.tap).chain(program.drains.iter().map(|d| &d.tap)).collect();
    let len = |argument: usize| {
        let of_it = taps.iter().filter(|tap| tap.argument as usize == argument);
        of_it.filter_map(|tap| tap.end_bytes()).max().unwrap_or(0)
    };
    roles.iter().enumerate().map(|(index, &role)| ArgumentSpec { role, len_bytes: len(index) }).collect()
}
