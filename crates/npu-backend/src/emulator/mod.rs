//! A model of an NPU in software, faithful at the level of launches.
//!
//! It keeps two copies of each buffer as incoherent caches do, the limits and the order of the driver's queues, the
//! ways in which hardware fails, and a virtual clock from published costs. It shares no code with what prepares its
//! inputs: tiles move by the layouts that the kernels declare, and the kernels' own code computes.
//!
//! | file | what it models |
//! |---|---|
//! | `lines`, `memory` | caches and main memory; allocation limits |
//! | `contexts`, `packet` | slots, memory banks, the command that the driver gets |
//! | `queue`, `run` | chains of launches, order, failure, recovery |
//! | `clock`, `cost`, `gemm_cost` | modelled time |
//! | `faults` | what goes wrong in the field |
//! | `executor`, `probe`, `array` | what launches compute |
//! | `bare` | that alone, for the test double of the kernel driver |
//!
//! Launches are computed lazily, when the virtual clock has to move: in [`wait`](Device::wait), or in
//! [`submit`](Device::submit) when the queue is full. What the host does
//! between calls the clock learns only by [`host_spends`](Device::host_spends).
//!
//! What is simplified: contexts take turns on the whole array, in the order of submission; a launch that fails writes
//! nothing.

mod array;
#[doc(hidden)]
pub mod bare;
mod builder;
mod clock;
mod contexts;
pub mod cost;
mod executor;
pub mod faults;
pub mod gemm_cost;
mod lines;
mod memory;
mod packet;
pub mod probe;
mod queue;
mod random;
mod receipt;
mod run;

use std::ops::Range;
use std::time::Duration;

pub use array::Arithmetic;
pub use builder::Builder;
pub use cost::CostModel;
pub use faults::{Fault, FaultPlan, OpenFault};
pub use memory::Eviction;
pub use receipt::{KernelReceipt, Receipt};

use crate::device::Counters;
use crate::emulator::clock::Clock;
use crate::emulator::contexts::{Context, Contexts};
use crate::emulator::executor::Executor;
use crate::emulator::faults::Faults;
use crate::emulator::memory::{Memory, Use};
use crate::emulator::queue::{Chain, Flight, Queue, chains};
use crate::emulator::receipt::Ledger;
use crate::{
    Batch, Buffer, BufferId, BufferRole, ContextId, Device, DeviceInfo, Error, KernelEntry, KernelId,
    KernelImage, Launch, Progress, Result, Ticket,
};

/// A modelled device.
pub struct Emulator {
    info: DeviceInfo,
    executor: Executor,
    memory: Memory,
    contexts: Contexts,
    queue: Queue,
    clock: Clock,
    costs: CostModel,
    faults: Faults,
    ledger: Ledger,
    /// Context of the last accepted batch.
    last_context: Option<ContextId>,
    /// The firmware does not answer any more.
    wedged: bool,
    lost: Option<String>,
}

impl Emulator {
    /// One to be opened, by default with all as usual.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What happened so far, and what it took by the model.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        self.ledger.receipt(self.clock.now)
    }

    /// The virtual clock: time since opening, by the model.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.now
    }

    fn alive(&self) -> Result<()> {
        match &self.lost {
            Some(why) => Err(Error::DeviceLost { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Checks a batch; answers what it does with each buffer.
    fn check(&self, batch: &Batch) -> Result<Vec<(BufferId, bool)>> {
        let context = batch.context();
        let mut uses: Vec<(BufferId, bool)> = Vec::new();
        for (index, launch) in batch.launches().iter().enumerate() {
            for (buffer, writes) in self.check_launch(index, launch)? {
                match uses.iter_mut().find(|(known, _)| *known == buffer) {
                    Some((_, written)) => *written |= writes,
                    None => uses.push((buffer, writes)),
                }
            }
        }
        for &(buffer, writes) in &uses {
            let races = |other: &&Use| other.context != context && (other.writes || writes);
            if let Some(other) = self.memory.object(buffer)?.uses.iter().find(races) {
                return Err(Error::Busy {
                    what: format!("{buffer:?}, which another context uses and one of both writes,"),
                    ticket: other.ticket,
                });
            }
        }
        Ok(uses)
    }

    fn check_launch(&self, index: usize, launch: &Launch) -> Result<Vec<(BufferId, bool)>> {
        let kernel = launch.kernel;
        let context = self.contexts.get(kernel.context()).ok_or(Error::UnknownKernel(kernel))?;
        let entry = context.entries.get(kernel.entry()).ok_or(Error::UnknownKernel(kernel))?;
        let (want, got) = (entry.arguments.len(), launch.buffers.len());
        if want != got {
            return Err(Error::ArgumentCount { index, kernel, want, got });
        }
        let mut uses = Vec::with_capacity(got);
        for (argument, (spec, &buffer)) in entry.arguments.iter().zip(&launch.buffers).enumerate() {
            let object = self.memory.object(buffer)?;
            if !object.role.fits(spec.role) || object.len_bytes < spec.len_bytes {
                return Err(Error::ArgumentBuffer {
                    index,
                    argument,
                    want_role: spec.role,
                    want_len: spec.len_bytes,
                    got_role: object.role,
                    got_len: object.len_bytes,
                });
            }
            let writes = spec.role.device_writes();
            let again = uses.iter().position(|&(known, written)| known == buffer && (written || writes));
            if let Some(first) = again {
                return Err(Error::ArgumentAlias { index, buffer, first, second: argument });
            }
            uses.push((buffer, writes));
        }
        Ok(uses)
    }

    /// Blocks, in virtual time, until the context's queue has a place.
    fn admit(&mut self, context: ContextId) -> Result<()> {
        while self.queue.in_flight(context, self.clock.now) >= self.info.queued_submissions {
            match self.queue.next_end(context) {
                Some(end) => self.clock.sleep_until(end),
                None => self.step(),
            }
            self.alive()?;
        }
        Ok(())
    }

    /// Forgets a ticket that has ended.
    fn retire(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.queue.flights.remove(&ticket)?;
        for &buffer in &flight.buffers {
            self.memory.release(buffer, ticket);
        }
        Some(flight)
    }

    /// The host flushes its caches over `len_bytes`.
    fn flush(&mut self, len_bytes: usize) {
        let span = self.costs.flush(len_bytes);
        self.clock.host_spends(span);
        self.ledger.modelled.host = self.ledger.modelled.host.saturating_add(span);
    }
}

impl Device for Emulator {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, image: &KernelImage) -> Result<ContextId> {
        self.alive()?;
        if image.arch != self.info.arch {
            return Err(Error::WrongArch { image: image.arch, device: self.info.arch });
        }
        let slot = self.contexts.free_slot()?;
        let loaded = self.executor.load(image)?;
        let mut streams = Vec::with_capacity(image.entries.len());
        for entry in &image.entries {
            match self.memory.alloc_instructions(entry.instructions.len().saturating_mul(4)) {
                Ok(block) => streams.push(block),
                Err(error) => {
                    streams.iter().for_each(|block| self.memory.free_instructions(block));
                    return Err(error);
                }
            }
        }
        self.clock.host_spends(self.costs.context_create);
        self.ledger.modelled.create = self.ledger.modelled.create.saturating_add(self.costs.context_create);
        self.ledger.counters.loads += 1;
        Ok(self.contexts.insert(Context {
            slot,
            loaded,
            configuration: image.configuration.clone(),
            entries: image.entries.clone(),
            streams,
        }))
    }

    fn add_kernel(&mut self, context: ContextId, entry: &KernelEntry) -> Result<KernelId> {
        self.alive()?;
        let there = self.contexts.get(context).ok_or(Error::UnknownContext(context))?;
        let mut image = KernelImage {
            arch: self.info.arch,
            configuration: there.configuration.clone(),
            entries: there.entries.clone(),
        };
        image.entries.push(entry.clone());
        let loaded = self.executor.load(&image)?;
        let stream = self.memory.alloc_instructions(entry.instructions.len().saturating_mul(4))?;
        let there = self.contexts.get_mut(context).ok_or(Error::UnknownContext(context))?;
        there.loaded = loaded;
        there.entries.push(entry.clone());
        there.streams.push(stream);
        Ok(context.kernel(there.entries.len() - 1))
    }

    fn unload(&mut self, context: ContextId) -> Result<()> {
        self.alive()?;
        if let Some(ticket) = self.queue.user_of(context) {
            return Err(Error::Busy { what: format!("{context:?}"), ticket });
        }
        let gone = self.contexts.remove(context).ok_or(Error::UnknownContext(context))?;
        gone.streams.iter().for_each(|block| self.memory.free_instructions(block));
        Ok(())
    }

    fn alloc(&mut self, len_bytes: usize, role: BufferRole) -> Result<Buffer> {
        self.alive()?;
        self.memory.alloc(len_bytes, role)
    }

    fn free(&mut self, buffer: Buffer) -> Result<()> {
        self.alive()?;
        self.memory.free(buffer.id())
    }

    fn host(&self, buffer: BufferId) -> Result<&[u8]> {
        self.alive()?;
        Ok(self.memory.unwritten(buffer)?.lines.host())
    }

    fn host_mut(&mut self, buffer: BufferId) -> Result<&mut [u8]> {
        self.alive()?;
        Ok(self.memory.idle(buffer)?.lines.host_mut())
    }

    fn push(&mut self, buffer: BufferId, range: Range<usize>) -> Result<()> {
        self.alive()?;
        let Some(object) = self.memory.ranged(buffer, &range)? else { return Ok(()) };
        object.lines.push(range.clone());
        self.flush(range.len());
        self.ledger.counters.pushes += 1;
        self.ledger.counters.pushed_bytes += range.len() as u64;
        self.memory.disturb_one();
        Ok(())
    }

    fn pull(&mut self, buffer: BufferId, range: Range<usize>) -> Result<()> {
        self.alive()?;
        self.memory.disturb_one();
        let Some(object) = self.memory.ranged(buffer, &range)? else { return Ok(()) };
        object.lines.pull(range.clone());
        self.flush(range.len());
        self.ledger.counters.pulls += 1;
        self.ledger.counters.pulled_bytes += range.len() as u64;
        Ok(())
    }

    fn submit(&mut self, batch: &Batch) -> Result<Ticket> {
        self.alive()?;
        let (context, launches) = (batch.context(), batch.launches());
        let uses = self.check(batch)?;
        let ticket = Ticket(crate::device::ids::fresh());
        for &(buffer, writes) in &uses {
            self.memory.object_mut(buffer)?.uses.push(Use { ticket, context, writes });
        }
        let cut: Vec<_> = chains(launches.len(), self.info.launches_per_chain).collect();
        let flight = Flight {
            context,
            launches: launches.to_vec(),
            buffers: uses.into_iter().map(|(buffer, _)| buffer).collect(),
            chains_left: cut.len(),
            end: self.clock.now,
            failure: None,
        };
        self.queue.flights.insert(ticket, flight);
        let counters = &mut self.ledger.counters;
        counters.batches += 1;
        counters.submissions += cut.len() as u64;
        counters.launches += launches.len() as u64;
        counters.context_switches += u64::from(self.last_context.replace(context) != Some(context));
        for launches in cut {
            self.admit(context)?;
            self.queue.waiting.push_back(Chain { ticket, context, launches, submitted: self.clock.now });
        }
        self.memory.disturb_one();
        Ok(ticket)
    }

    fn wait(&mut self, ticket: Ticket, timeout: Option<Duration>) -> Result<Progress> {
        self.alive()?;
        self.memory.disturb_one();
        let deadline = timeout.map_or(Duration::MAX, |timeout| self.clock.now.saturating_add(timeout));
        let end = loop {
            let flight = self.queue.flights.get(&ticket).ok_or(Error::UnknownTicket(ticket))?;
            match self.queue.waiting.front() {
                Some(next) if flight.chains_left > 0 => {
                    if self.clock.start_of(next.submitted) > deadline {
                        break Duration::MAX;
                    }
                }
                _ => break flight.end,
            }
            self.step();
            self.alive()?;
        };
        if end > deadline {
            self.clock.sleep_until(deadline);
            return Ok(Progress::Running);
        }
        self.clock.sleep_until(end);
        let flight = self.retire(ticket).ok_or(Error::UnknownTicket(ticket))?;
        let Some(failure) = flight.failure else { return Ok(Progress::Done) };
        self.ledger.counters.failed_batches += 1;
        Err(Error::Launch {
            ticket,
            index: failure.index,
            kernel: flight.launches[failure.index].kernel,
            state: failure.state,
            why: failure.why,
        })
    }

    fn host_spends(&mut self, span: Duration) {
        self.clock.host_spends(span);
    }

    fn counters(&self) -> Counters {
        self.ledger.counters(self.clock.now)
    }
}
