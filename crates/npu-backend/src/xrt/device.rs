//! [`Device`] on hardware.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::context::{Context, Places};
use super::failure::{Cause, Failure};
use super::handles::{Accelerator, Bo, Direction, Kind, Waited};
use super::library::Shim;
use super::memory::{Memory, Use};
use super::plan::{Failed, Flight, Idle, Plan, Submission};
use super::{checks, diagnose, find};
use crate::device::{Counters, ids};
use crate::{
    Batch, Buffer, BufferId, BufferRole, CommandState, ContextId, Device, DeviceInfo, Error, KernelEntry,
    KernelId, KernelImage, Progress, Result, Ticket,
};

/// How long a device that is dropped waits for what is in flight. AMD's driver gives a hung launch up after two seconds
/// (aie2_ctx.c, tdr_timeout_ms), that of Linux itself after up to sixty (HWCTX_MAX_TIMEOUT).
const LAST_WAIT: Duration = Duration::from_secs(10);

/// After this long a wait that has expired looks whether the device is there: what it leaves queued when it goes may stay so.
const LATE: Duration = Duration::from_secs(3);
/// Waits for a submission that may say nothing about it, one after another, and the pause after each. Then XRT is given up.
const MOST_UNTOLD: u32 = 100;
const UNTOLD_PAUSE: Duration = Duration::from_millis(10);

/// A device reached through XRT.
pub struct XrtDevice {
    // In the order in which they are to go.
    flights: Vec<Flight>,
    idle: Idle,
    contexts: BTreeMap<ContextId, Context>,
    memory: Memory,
    device: Accelerator,
    shim: Shim,
    info: DeviceInfo,
    counters: Counters,
    /// Context of the last accepted batch.
    last_context: Option<ContextId>,
    lost: Option<String>,
}

impl XrtDevice {
    /// Opens the first NPU of this machine.
    ///
    /// # Errors
    /// [`Error::Unavailable`], with the cause: no shim, no XRT, too old a one, no driver, no node, no permission, too little
    /// memory to lock, or a processor that this program does not know.
    pub fn open() -> Result<Self> {
        let shim = Shim::open().map_err(|error| diagnose::no_shim(&error))?;
        Self::open_through(shim)
    }

    pub(super) fn open_through(shim: Shim) -> Result<Self> {
        let (device, info) = find::first_npu(shim)?;
        Ok(Self {
            flights: Vec::new(),
            idle: Idle::default(),
            contexts: BTreeMap::new(),
            memory: Memory::default(),
            device,
            shim,
            info,
            counters: Counters::default(),
            last_context: None,
            lost: None,
        })
    }

    fn alive(&self) -> Result<()> {
        match &self.lost {
            Some(why) => Err(Error::DeviceLost { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Remembers a loss that an answer tells.
    fn noting<T>(&mut self, answer: Result<T>) -> Result<T> {
        if let Err(Error::DeviceLost { why }) = &answer {
            self.lost = Some(why.clone());
        }
        answer
    }

    fn load_image(&mut self, image: &KernelImage) -> Result<ContextId> {
        let places = Places { limit: self.info.contexts, held: self.contexts.len() };
        let mut context = Context::open(self.shim, &self.device, image, places)?;
        let group = self.memory.group().map_or_else(|| context.data_group(), Ok)?;
        for entry in &image.entries {
            context.add(&self.device, entry, group)?;
        }
        // Last: an image that is refused says nothing.
        self.memory.settle(&self.device, group)?;
        let id = ContextId(ids::fresh());
        self.contexts.insert(id, context);
        self.counters.loads += 1;
        Ok(id)
    }

    /// The commands of a batch: known ones, or new ones.
    fn plan(&mut self, batch: &Batch) -> Result<Plan> {
        self.mend(batch.context())?;
        if let Some(plan) = self.idle.take(batch) {
            return Ok(plan);
        }
        let uses = checks::uses(batch, &self.contexts, &self.memory)?;
        let context = self.contexts.get(&batch.context()).ok_or(Error::UnknownContext(batch.context()))?;
        Plan::make(batch, uses, context, &self.memory, self.info.launches_per_chain)
    }

    /// Makes a context anew that the driver has given up, once nothing of it is in flight.
    fn mend(&mut self, id: ContextId) -> Result<()> {
        let places = Places { limit: self.info.contexts, held: self.contexts.len().saturating_sub(1) };
        let Some(context) = self.contexts.get_mut(&id).filter(|context| context.suspect) else {
            return Ok(());
        };
        if self.flights.iter().any(|flight| flight.plan.context == id) {
            return Ok(());
        }
        self.idle.forget_context(id);
        context.renew(&self.device, places)
    }

    /// Starts what it can of a flight; what is refused is told at the wait.
    fn start(&mut self, mut flight: Flight) {
        for submission in &mut flight.plan.submissions {
            match submission.start() {
                Ok(()) => flight.submitted += 1,
                Err(failure) => {
                    flight.refused = Some(failure);
                    break;
                }
            }
        }
        self.flights.push(flight);
    }

    /// Waits for the submissions of a flight until `deadline`.
    fn finish(&mut self, at: usize, deadline: Option<Instant>) -> Result<Progress> {
        let flight = &mut self.flights[at];
        while flight.ended < flight.submitted {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let submission = &mut flight.plan.submissions[flight.ended];
            let first = submission.first;
            match submission.wait(left) {
                Ok(Waited::Done) => {}
                Ok(Waited::Expired) => {
                    let late = flight.begun.elapsed() > LATE;
                    let lost = late.then(|| gone(&self.device, &self.memory)).flatten();
                    return lost.map_or(Ok(Progress::Running), Err);
                }
                Err(failure) if failure.is_loss() => return Err(failure.lost()),
                Err(failure) => {
                    // What is in flight when a device goes away ends as ABORT; only the next call says why.
                    if let Some(lost) = gone(&self.device, &self.memory) {
                        return Err(lost);
                    }
                    let Some((state, index)) = failure.end() else {
                        // It may be under way, so nothing of it may be given back.
                        flight.untold += 1;
                        if flight.untold > MOST_UNTOLD {
                            let why = format!("XRT does not say how a launch stands: {}", failure.why);
                            return Err(Error::DeviceLost { why });
                        }
                        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                            return Ok(Progress::Running);
                        }
                        std::thread::sleep(UNTOLD_PAUSE);
                        continue;
                    };
                    if let (Cause::Forgotten, Some(context)) =
                        (failure.cause, self.contexts.get_mut(&flight.plan.context))
                    {
                        context.suspect = true;
                    }
                    let index = first + index;
                    flight.failed.get_or_insert(Failed { index, state, why: failure.why });
                }
            }
            (flight.ended, flight.untold) = (flight.ended + 1, 0);
        }
        if let Some(failure) = flight.refused.take() {
            if failure.is_loss() {
                return Err(failure.lost());
            }
            let index =
                flight.plan.submissions.get(flight.submitted).map_or(0, |submission| submission.first);
            let why = format!("the driver did not take it: {}", failure.why);
            flight.failed.get_or_insert(Failed { index, state: CommandState::Abort, why });
            if let Some(context) = self.contexts.get_mut(&flight.plan.context) {
                context.suspect = true;
            }
        }
        Ok(Progress::Done)
    }

    /// Ends a ticket.
    fn retire(&mut self, at: usize) -> Result<Progress> {
        let flight = self.flights.swap_remove(at);
        let (ticket, plan) = (flight.ticket, flight.plan);
        for &(buffer, _) in &plan.uses {
            self.memory.release(buffer, ticket);
        }
        let answer = match flight.failed {
            None => Ok(Progress::Done),
            Some(Failed { index, state, why }) => {
                self.counters.failed_batches += 1;
                let kernel = plan.launches[index.min(plan.launches.len() - 1)].kernel;
                Err(Error::Launch { ticket, index, kernel, state, why })
            }
        };
        let buffers_live = plan.uses.iter().all(|(buffer, _)| self.memory.object(*buffer).is_ok());
        if answer.is_ok() && buffers_live {
            self.idle.keep(plan);
        }
        answer
    }

    /// What is under way after the last wait keeps its memory, and its context with it: the driver lets neither go before the
    /// command has ended, and who unmaps the memory waits for that without limit (amd/xdna-driver: amdxdna_gem.c,
    /// amdxdna_hmm_invalidate).
    fn leave_what_is_under_way(&mut self) {
        let (under_way, ended): (Vec<_>, Vec<_>) =
            self.flights.drain(..).partition(|flight| flight.ended < flight.submitted);
        self.flights = ended;
        if under_way.is_empty() {
            return;
        }
        for flight in under_way {
            std::mem::forget(self.contexts.remove(&flight.plan.context));
            std::mem::forget(flight);
        }
        std::mem::forget(std::mem::take(&mut self.memory));
    }

    fn sync(&mut self, direction: Direction, id: BufferId, range: &Range<usize>) -> Result<bool> {
        self.alive()?;
        let Some(object) = self.memory.ranged(id, range)? else { return Ok(false) };
        // The range was checked, so what XRT refuses is a device that cannot be reached any more.
        let answer = object.sync(direction, range).map_err(|failure| failure.lost());
        self.noting(answer).map(|()| true)
    }
}

impl Device for XrtDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, image: &KernelImage) -> Result<ContextId> {
        self.alive()?;
        if image.arch != self.info.arch {
            return Err(Error::WrongArch { image: image.arch, device: self.info.arch });
        }
        let answer = self.load_image(image);
        self.noting(answer)
    }

    fn add_kernel(&mut self, context: ContextId, entry: &KernelEntry) -> Result<KernelId> {
        self.alive()?;
        let mended = self.mend(context);
        self.noting(mended)?;
        let there = self.contexts.get_mut(&context).ok_or(Error::UnknownContext(context))?;
        let data = self.memory.group().map_or_else(|| there.data_group(), Ok)?;
        let answer = there.add(&self.device, entry, data).map(|number| context.kernel(number));
        self.noting(answer)
    }

    fn unload(&mut self, context: ContextId) -> Result<()> {
        self.alive()?;
        if let Some(flight) = self.flights.iter().find(|flight| flight.plan.context == context) {
            return Err(Error::Busy { what: format!("{context:?}"), ticket: flight.ticket });
        }
        if !self.contexts.contains_key(&context) {
            return Err(Error::UnknownContext(context));
        }
        // Commands keep the hardware's context alive.
        self.idle.forget_context(context);
        self.contexts.remove(&context);
        Ok(())
    }

    fn alloc(&mut self, len_bytes: usize, role: BufferRole) -> Result<Buffer> {
        self.alive()?;
        let answer = self.memory.alloc(&self.device, len_bytes, role);
        self.noting(answer)
    }

    fn free(&mut self, buffer: Buffer) -> Result<()> {
        self.alive()?;
        self.memory.free(buffer.id())?;
        self.idle.forget_buffer(buffer.id());
        Ok(())
    }

    fn host(&self, buffer: BufferId) -> Result<&[u8]> {
        self.alive()?;
        Ok(self.memory.unwritten(buffer)?.host())
    }

    fn host_mut(&mut self, buffer: BufferId) -> Result<&mut [u8]> {
        self.alive()?;
        Ok(self.memory.idle(buffer)?.host_mut())
    }

    fn push(&mut self, buffer: BufferId, range: Range<usize>) -> Result<()> {
        if self.sync(Direction::ToDevice, buffer, &range)? {
            self.counters.pushes += 1;
            self.counters.pushed_bytes += range.len() as u64;
        }
        Ok(())
    }

    fn pull(&mut self, buffer: BufferId, range: Range<usize>) -> Result<()> {
        if self.sync(Direction::FromDevice, buffer, &range)? {
            self.counters.pulls += 1;
            self.counters.pulled_bytes += range.len() as u64;
        }
        Ok(())
    }

    fn submit(&mut self, batch: &Batch) -> Result<Ticket> {
        self.alive()?;
        let context = batch.context();
        let answer = self.plan(batch);
        let plan = self.noting(answer)?;
        if let Err(busy) = checks::races(&self.memory, context, &plan.uses) {
            self.idle.keep(plan);
            return Err(busy);
        }
        let ticket = Ticket(ids::fresh());
        for &(buffer, writes) in &plan.uses {
            self.memory.object_mut(buffer)?.uses.push(Use { ticket, context, writes });
        }
        self.counters.batches += 1;
        self.counters.submissions += plan.submissions.len() as u64;
        self.counters.launches += plan.launches.len() as u64;
        self.counters.context_switches += u64::from(self.last_context.replace(context) != Some(context));
        let begun = Instant::now();
        self.start(Flight {
            ticket,
            plan,
            begun,
            submitted: 0,
            ended: 0,
            untold: 0,
            refused: None,
            failed: None,
        });
        Ok(ticket)
    }

    fn wait(&mut self, ticket: Ticket, timeout: Option<Duration>) -> Result<Progress> {
        self.alive()?;
        let at = self.flights.iter().position(|flight| flight.ticket == ticket);
        let at = at.ok_or(Error::UnknownTicket(ticket))?;
        // A time that no clock reaches is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let answer = self.finish(at, deadline);
        match self.noting(answer)? {
            Progress::Running => Ok(Progress::Running),
            Progress::Done => self.retire(at),
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Drop for XrtDevice {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_WAIT;
        for at in 0..self.flights.len() {
            if self.lost.is_some() {
                break;
            }
            let answer = self.finish(at, Some(deadline));
            // Whatever it says, nobody is left to be told; a loss ends the waiting.
            let _ = self.noting(answer);
        }
        if self.lost.is_none() {
            self.leave_what_is_under_way();
        } else {
            let submissions = self.flights.iter_mut().flat_map(|flight| &mut flight.plan.submissions);
            submissions.for_each(Submission::give_up);
        }
        self.idle.clear();
    }
}

/// Asks the driver for a page, to see whether there is a device.
fn gone(device: &Accelerator, memory: &Memory) -> Option<Error> {
    let asked = Bo::create(device, 1, Kind::Host, memory.group()?);
    asked.err().filter(Failure::is_loss).map(|failure| failure.lost())
}
