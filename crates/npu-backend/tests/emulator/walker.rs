//! A correct caller with a simple model of what it should see: buffers are byte vectors, launches are functions.

use std::collections::VecDeque;
use std::time::Duration;

use npu_backend::BufferRole::{Scratch, Weight};
use npu_backend::emulator::probe::{ADD, BUMP, COPY};
use npu_backend::emulator::{Emulator, Eviction, Fault, FaultPlan, probe};
use npu_backend::{Arch, Batch, Buffer, CommandState, ContextId, Device, Error, Launch, Progress, Ticket};

/// Buffers of each context.
const BUFFERS: usize = 5;
const CONTEXTS: usize = 2;
const LEN: usize = 300;

/// Numbers from a seed (a 64-bit linear congruential generator, Knuth's constants), high bits first.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// One launch as the model sees it: a kernel, and numbers of scratch buffers.
#[derive(Clone, Copy, Debug)]
struct Step {
    entry: usize,
    from: usize,
    to: usize,
}

struct Flight {
    ticket: Ticket,
    context: usize,
    steps: Vec<Step>,
}

/// A device, and what its buffers must hold. `None`: unspecified, after a failure.
pub(crate) struct Walker {
    device: Emulator,
    plan: Vec<Option<Fault>>,
    contexts: Vec<ContextId>,
    scratch: Vec<Vec<Buffer>>,
    weight: Buffer,
    truth: Vec<Vec<Option<Vec<u8>>>>,
    flights: VecDeque<Flight>,
    /// Launches that the device has begun.
    begun: usize,
    /// Launches of finished batches that completed.
    pub(crate) completed: usize,
    /// Waits that told a failure.
    pub(crate) failures: usize,
}

/// Whether the device is to be opened again.
pub(crate) enum Alive {
    Yes,
    No,
}

impl Walker {
    pub(crate) fn new(eviction: Eviction, plan: Vec<Option<Fault>>) -> Self {
        let faults = (0..).zip(&plan).filter_map(|(at, fault)| fault.map(|fault| (at, fault)));
        let faults = faults.fold(FaultPlan::none(), |plan, (at, fault)| plan.at(at, fault));
        let mut device = Emulator::builder().eviction(eviction).faults(faults).probe().open().unwrap();
        let image = probe::image(Arch::Aie2, u32::try_from(LEN).unwrap(), 50_000);
        let contexts = (0..CONTEXTS).map(|_| device.load(&image).unwrap()).collect();
        let mut scratch = Vec::new();
        for _ in 0..CONTEXTS {
            scratch.push((0..BUFFERS).map(|_| device.alloc(LEN, Scratch).unwrap()).collect());
        }
        let weight = device.alloc(LEN, Weight).unwrap();
        device.host_mut(weight.id()).unwrap().copy_from_slice(&weights());
        device.push(weight.id(), 0..LEN).unwrap();
        let truth = vec![vec![Some(vec![0; LEN]); BUFFERS]; CONTEXTS];
        let (flights, begun, completed, failures) = (VecDeque::new(), 0, 0, 0);
        Self { device, plan, contexts, scratch, weight, truth, flights, begun, completed, failures }
    }

    /// One random verb, or a few that belong together.
    pub(crate) fn act(&mut self, dice: &mut Dice) -> Alive {
        let context = dice.below(CONTEXTS);
        let buffer = dice.below(BUFFERS);
        match dice.below(8) {
            0..=2 => self.submit(context, dice),
            3 | 4 => self.wait(dice),
            5 => self.write(context, buffer, dice),
            6 => self.check(context, buffer, dice),
            _ => self.replace(context, buffer),
        }
    }

    fn idle(&self, context: usize, buffer: usize) -> bool {
        let uses = |flight: &Flight| {
            flight.context == context
                && flight.steps.iter().any(|step| step.from == buffer || step.to == buffer)
        };
        !self.flights.iter().any(uses)
    }

    fn submit(&mut self, context: usize, dice: &mut Dice) -> Alive {
        let steps: Vec<Step> = (0..1 + dice.below(30))
            .map(|_| {
                let from = dice.below(BUFFERS);
                let to = (from + 1 + dice.below(BUFFERS - 1)) % BUFFERS;
                match dice.below(3) {
                    0 => Step { entry: BUMP, from, to: from },
                    1 => Step { entry: COPY, from, to },
                    _ => Step { entry: ADD, from, to },
                }
            })
            .collect();
        let launch = |step: &Step| {
            let id = |buffer: usize| self.scratch[context][buffer].id();
            let buffers = match step.entry {
                BUMP => vec![id(step.from)],
                COPY => vec![id(step.from), id(step.to)],
                _ => vec![id(step.from), self.weight.id(), id(step.to)],
            };
            Launch { kernel: self.contexts[context].kernel(step.entry), buffers }
        };
        let batch = Batch::new(steps.iter().map(launch).collect()).unwrap();
        match self.device.submit(&batch) {
            Ok(ticket) => self.flights.push_back(Flight { ticket, context, steps }),
            Err(error) => return self.lost(&error),
        }
        Alive::Yes
    }

    /// Waits for the oldest batch: only so can the model know which launches have begun.
    fn wait(&mut self, dice: &mut Dice) -> Alive {
        let Some(flight) = self.flights.front() else { return Alive::Yes };
        let timeout = [None, Some(Duration::from_micros(300)), Some(Duration::MAX)][dice.below(3)];
        match self.device.wait(flight.ticket, timeout) {
            Ok(Progress::Running) => assert!(timeout == Some(Duration::from_micros(300))),
            Ok(Progress::Done) => self.done(None),
            Err(Error::Launch { index, state, why, .. }) => self.done(Some((index, state, why))),
            Err(error) => return self.lost(&error),
        }
        Alive::Yes
    }

    /// The oldest batch has ended: moves the model on.
    fn done(&mut self, failure: Option<(usize, CommandState, String)>) {
        let flight = self.flights.pop_front().unwrap();
        let truth = &mut self.truth[flight.context];
        let Some((index, state, why)) = failure else {
            for step in &flight.steps {
                let fault = self.plan.get(self.begun).copied().flatten();
                assert!(fault.is_none_or(|fault| fault.is_silent() || fault.is_harmless()), "{fault:?}");
                let made = match (fault, truth[step.from].as_ref()) {
                    (Some(Fault::CompletedWithZeros), _) => Some(vec![0; LEN]),
                    (Some(Fault::CompletedWithNan), _) => Some([0xC0, 0x7F].repeat(LEN / 2)),
                    (Some(Fault::WrongBank | Fault::ShiftedArguments), _) => truth[step.to].clone(),
                    (_, None) => None,
                    (_, Some(from)) => Some(computed(step.entry, from)),
                };
                truth[step.to] = made;
                self.begun += 1;
            }
            self.completed += flight.steps.len();
            return;
        };
        self.failures += 1;
        if why.contains("queued") {
            // Not its own fault: the device was reset before this launch began.
            assert_eq!(state, CommandState::Abort);
            self.begun += index;
        } else {
            let fault = self.plan.get(self.begun + index).copied().flatten();
            let want = match fault {
                Some(Fault::Hang) => CommandState::Timeout,
                Some(Fault::FirmwareReset) => CommandState::Abort,
                Some(Fault::Error | Fault::ShortBuffer | Fault::StreamLength | Fault::Opcode) => {
                    CommandState::Error
                }
                other => panic!("launch {index} of {:?} failed for no reason: {other:?}", flight.ticket),
            };
            assert_eq!(state, want, "{fault:?}");
            self.begun += index + 1;
        }
        for step in &flight.steps {
            truth[step.to] = None;
        }
    }

    /// New bytes in a range, by the rules: fetch the lines, change them, push them.
    fn write(&mut self, context: usize, buffer: usize, dice: &mut Dice) -> Alive {
        if !self.idle(context, buffer) {
            let id = self.scratch[context][buffer].id();
            return match self.device.host_mut(id).map(drop) {
                Err(Error::Busy { .. }) => Alive::Yes,
                Err(error) => self.lost(&error),
                Ok(()) => panic!("a buffer in flight is not busy"),
            };
        }
        let id = self.scratch[context][buffer].id();
        // What is unspecified is written anew, all of it.
        let known = self.truth[context][buffer].clone();
        let (start, end) = match &known {
            Some(_) => (dice.below(LEN), dice.below(LEN + 1)),
            None => (0, LEN),
        };
        let range = start.min(end)..start.max(end);
        let value = u8::try_from(dice.below(256)).unwrap();
        let mut bytes = known.unwrap_or_else(|| vec![0; LEN]);
        bytes[range.clone()].fill(value);
        let device = &mut self.device;
        let written = device
            .pull(id, range.clone())
            .and_then(|()| device.host_mut(id).map(|host| host[range.clone()].fill(value)))
            .and_then(|()| device.push(id, range));
        match written {
            Ok(()) => self.truth[context][buffer] = Some(bytes),
            Err(error) => return self.lost(&error),
        }
        Alive::Yes
    }

    fn check(&mut self, context: usize, buffer: usize, dice: &mut Dice) -> Alive {
        if !self.idle(context, buffer) {
            return Alive::Yes;
        }
        let id = self.scratch[context][buffer].id();
        let (start, end) = (dice.below(LEN), dice.below(LEN + 1));
        let range = start.min(end)..start.max(end);
        if let Err(error) = self.device.pull(id, range.clone()) {
            return self.lost(&error);
        }
        if let Some(truth) = &self.truth[context][buffer] {
            let got = &self.device.host(id).unwrap()[range.clone()];
            assert_eq!(got, &truth[range], "context {context}, buffer {buffer}");
        }
        Alive::Yes
    }

    /// Frees a buffer, idle or not, and allocates another in its place.
    fn replace(&mut self, context: usize, buffer: usize) -> Alive {
        if !self.idle(context, buffer) {
            // The model would have to follow a buffer that has no name any more.
            return Alive::Yes;
        }
        let new = match self.device.alloc(LEN, Scratch) {
            Ok(new) => new,
            Err(error) => return self.lost(&error),
        };
        let old = std::mem::replace(&mut self.scratch[context][buffer], new);
        self.truth[context][buffer] = Some(vec![0; LEN]);
        match self.device.free(old) {
            Ok(()) => Alive::Yes,
            Err(error) => self.lost(&error),
        }
    }

    /// The only error that may come here, and only if it was planned.
    fn lost(&self, error: &Error) -> Alive {
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
        assert!(self.plan.contains(&Some(Fault::Vanish)));
        Alive::No
    }

    /// Ends what is in flight and compares everything.
    pub(crate) fn settle(&mut self, dice: &mut Dice) -> Alive {
        while !self.flights.is_empty() {
            if let Alive::No = self.wait(dice) {
                return Alive::No;
            }
        }
        for context in 0..CONTEXTS {
            for buffer in 0..BUFFERS {
                let id = self.scratch[context][buffer].id();
                self.device.pull(id, 0..LEN).unwrap();
                if let Some(truth) = &self.truth[context][buffer] {
                    assert_eq!(self.device.host(id).unwrap(), truth, "context {context}, buffer {buffer}");
                }
            }
        }
        assert_eq!(self.device.host(self.weight.id()).unwrap(), weights());
        Alive::Yes
    }
}

fn weights() -> Vec<u8> {
    (0..LEN).map(|index| u8::try_from(index * 7 % 256).unwrap()).collect()
}

fn computed(entry: usize, from: &[u8]) -> Vec<u8> {
    match entry {
        BUMP => from.iter().map(|byte| byte.wrapping_add(1)).collect(),
        COPY => from.to_vec(),
        _ => from.iter().zip(weights()).map(|(byte, weight)| byte.wrapping_add(weight)).collect(),
    }
}
