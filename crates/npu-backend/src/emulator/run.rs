//! The device at work: the next chain of launches, on the bytes and on the clock.

use std::time::Duration;

use crate::device::{KernelEntry, Modelled};
use crate::emulator::array::{Output, Work};
use crate::emulator::contexts::Context;
use crate::emulator::faults::Fault;
use crate::emulator::memory::Memory;
use crate::emulator::packet::{Bound, Packet, Verdict};
use crate::emulator::queue::{Chain, Failure};
use crate::emulator::receipt::Ledger;
use crate::emulator::{CostModel, Emulator, Executor};
use crate::{CommandState, ContextId, Launch};

/// How one launch went.
enum End {
    Completed,
    /// It alone failed.
    Failed(String),
    /// The driver finds it without progress, and says so by this state.
    Hung(CommandState, String),
    /// The firmware started anew.
    Reset,
    /// The device is gone.
    Gone,
}

impl Emulator {
    /// Runs the chain that is first in the queue; whoever waits reads how it ended.
    pub(super) fn step(&mut self) {
        let Some(chain) = self.queue.waiting.pop_front() else { return };
        let Some(flight) = self.queue.flights.get(&chain.ticket) else { return };
        let (end, failure) = if flight.failure.is_some() {
            // An earlier chain of the batch has failed: this one does not run, and the first failure stands.
            (flight.end, None)
        } else if chain.submitted < self.clock.reset {
            let why = "it was queued when the device was reset".into();
            let failure = Failure { index: chain.launches.start, state: CommandState::Abort, why };
            (self.clock.reset, Some(failure))
        } else {
            self.run_chain(&chain)
        };
        self.queue.ended(&chain, end, failure);
    }

    /// When the chain ends, and its first failure.
    fn run_chain(&mut self, chain: &Chain) -> (Duration, Option<Failure>) {
        let mut now = self.clock.start_of(chain.submitted);
        let mut spent = Modelled::default();
        // A chain that was submitted while the array was busy has had its latency by then: what is left of it counts.
        // (xrt-smi validate on Phoenix: 90–100 µs a command alone, about 30 µs each when queued; amd/xdna-driver#1355.)
        let queued_for = now.saturating_sub(chain.submitted);
        let pipelined = !queued_for.is_zero() && self.clock.resident == Some(chain.context);
        if pipelined {
            let latency = self.costs.first_launch.saturating_sub(self.costs.chained_launch);
            spent.launch = latency.saturating_sub(queued_for);
            spent.device = spent.launch;
            now = now.saturating_add(spent.launch);
        }
        if self.clock.resident.replace(chain.context) != Some(chain.context) {
            spent.switch = self.costs.context_switch;
            spent.device = spent.switch;
            now = now.saturating_add(spent.switch);
        }
        let mut failure = None;
        for index in chain.launches.clone() {
            let Some(flight) = self.queue.flights.get(&chain.ticket) else { break };
            let Some(launch) = flight.launches.get(index).cloned() else { break };
            let (cost, end) =
                self.run_launch(&launch, chain.context, pipelined || index > chain.launches.start);
            now = now.saturating_add(cost.device);
            let (state, why) = match end {
                End::Completed => continue,
                End::Failed(why) => (CommandState::Error, why),
                End::Hung(state, why) => {
                    let limit = self.costs.hang_limit;
                    spent.recovery = limit;
                    spent.device = spent.device.saturating_add(limit);
                    now = now.saturating_add(limit);
                    self.clock.reset_at(now);
                    (state, why)
                }
                End::Reset => {
                    self.clock.reset_at(now);
                    (CommandState::Abort, "the firmware was reset while it ran".into())
                }
                End::Gone => {
                    let why = format!("it went away at launch {index} of {:?}", chain.ticket);
                    self.lost = Some(why.clone());
                    (CommandState::NoResponse, why)
                }
            };
            failure = Some(Failure { index, state, why });
            break;
        }
        self.clock.array_free = now;
        self.ledger.modelled = self.ledger.modelled.plus(&spent);
        (now, failure)
    }

    /// Time of one launch, without the driver's wait for a hung one, and how it went.
    fn run_launch(&mut self, launch: &Launch, context: ContextId, chained: bool) -> (Modelled, End) {
        let idle = self.costs.launch(&Work::default(), chained);
        let known = self.contexts.get(context);
        let Some((context, entry)) = known.and_then(|c| Some((c, c.entries.get(launch.kernel.entry())?)))
        else {
            // `submit` checked it, and `unload` refuses contexts of unfinished tickets.
            return (idle, End::Failed("the context is gone".into()));
        };
        let fault = self.faults.next();
        let hung = |why: &str| End::Hung(CommandState::Timeout, why.into());
        let (cost, end) = match fault {
            _ if self.wedged => {
                let why = "the firmware does not answer; open the device again".into();
                (idle, End::Hung(CommandState::Abort, why))
            }
            Some(Fault::Error) => (idle, End::Failed("the firmware reports an error".into())),
            Some(Fault::Hang) => (idle, hung("it made no progress")),
            Some(Fault::Wedge) => (idle, hung("it made no progress, and the firmware stopped answering")),
            Some(Fault::FirmwareReset) => (idle, End::Reset),
            Some(Fault::Vanish) => (idle, End::Gone),
            _ => {
                let memory = &mut self.memory;
                let (work, end) = Site { executor: &self.executor, memory, context, entry }.run(
                    launch,
                    fault,
                    &mut self.ledger,
                );
                self.costs.bounded(&work, chained, fault, end)
            }
        };
        self.ledger.launch(&entry.name, &cost);
        self.wedged |= fault == Some(Fault::Wedge);
        (cost, end)
    }
}

impl CostModel {
    /// Time of a launch that ended as `end` says; one that completed too late for the driver hangs instead.
    fn bounded(&self, work: &Work, chained: bool, fault: Option<Fault>, end: End) -> (Modelled, End) {
        let mut cost = self.launch(work, chained);
        let delay = fault.map_or(Duration::ZERO, Fault::delay);
        cost.launch = cost.launch.saturating_add(delay);
        cost.device = cost.device.saturating_add(delay);
        if matches!(end, End::Completed) && cost.run > self.hang_limit {
            let why = format!("it runs for {:?} by the model, longer than the driver waits", cost.run);
            return (self.launch(&Work::default(), chained), End::Hung(CommandState::Timeout, why));
        }
        (cost, end)
    }
}

/// Where a launch runs.
struct Site<'a> {
    executor: &'a Executor,
    memory: &'a mut Memory,
    context: &'a Context,
    entry: &'a KernelEntry,
}

impl Site<'_> {
    /// What it did, and how it went.
    fn run(&mut self, launch: &Launch, fault: Option<Fault>, ledger: &mut Ledger) -> (Work, End) {
        let slot = self.context.slot;
        let mut packet = Packet::new(launch, self.entry, slot);
        if let Some(fault) = fault {
            let len = |&buffer| self.memory.bound(buffer).map_or(0, |object| object.len_bytes);
            let lens: Vec<usize> = launch.buffers.iter().map(len).collect();
            fault.bend(&mut packet, self.entry, slot, &lens);
        }
        let (verdict, warning) = packet.verdict(self.entry, slot);
        if let Some(warning) = warning {
            ledger.warn(warning);
        }
        let lost = match verdict {
            Verdict::Run { lost } => lost,
            Verdict::Ignore => return (Work::default(), End::Completed),
            Verdict::Refuse(why) => return (Work::default(), End::Failed(why)),
        };
        launch.buffers.iter().for_each(|&buffer| self.memory.around_launch(buffer));
        let (work, mut outputs) = match self.execute(launch, &packet) {
            Ok(done) => done,
            Err(end) => return (Work::default(), end),
        };
        if let Some(fault) = fault {
            fault.spoil(&mut outputs);
        }
        let kept = outputs.iter().filter(|output| !lost.contains(&(output.tap.argument as usize)));
        let broken = kept.map(|output| self.write(launch, output)).find_map(Result::err);
        launch.buffers.iter().for_each(|&buffer| self.memory.around_launch(buffer));
        (work, broken.map_or(End::Completed, End::Failed))
    }

    /// Computes on the device's copies; writes nothing yet.
    fn execute(&self, launch: &Launch, packet: &Packet) -> Result<(Work, Vec<Output>), End> {
        let device_copy = |bound: &Option<Bound>| -> &[u8] {
            let Some(bound) = bound else { return &[] };
            let all = self.memory.bound(bound.buffer).map_or(&[][..], |object| object.lines.device());
            &all[..bound.reach.unwrap_or(all.len()).min(all.len())]
        };
        let arguments: Vec<&[u8]> = packet.arguments.iter().map(device_copy).collect();
        self.executor.run(&self.context.loaded, launch.kernel.entry(), &arguments).map_err(|stopped| {
            if stopped.hangs {
                End::Hung(CommandState::Timeout, stopped.why)
            } else {
                End::Failed(stopped.why)
            }
        })
    }

    /// Puts what a launch wrote into memory.
    fn write(&mut self, launch: &Launch, output: &Output) -> Result<(), String> {
        let argument = output.tap.argument as usize;
        let written = self.entry.arguments.get(argument).is_some_and(|spec| spec.role.device_writes());
        let buffer = launch.buffers.get(argument).filter(|_| written);
        let Some(&buffer) = buffer else {
            return Err(format!("it writes argument {argument}, which it does not declare as written"));
        };
        let strict = self.memory.is_strict();
        let object = self.memory.bound_mut(buffer);
        match object.map(|object| object.lines.device_write(&output.tap, &output.bytes, strict)) {
            Some(true) => Ok(()),
            _ => Err(format!("a DMA leaves argument {argument}")),
        }
    }
}
