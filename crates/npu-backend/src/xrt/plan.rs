//! Batches made into commands. A plan is made at the first submission of a batch, and the same batch runs by it from then on:
//! nothing is made or bound again.

use std::time::{Duration, Instant};

use super::context::{Context, FIRST_BUFFER, OPCODE, STREAM, STREAM_WORDS};
use super::failure::Failure;
use super::handles::{Answer, Run, RunList, Waited};
use super::memory::Memory;
use crate::{Batch, BufferId, CommandState, ContextId, Error, Launch, Result, Ticket};

/// "Run this instruction stream" (XRT:xrt_kernel.cpp:2924).
const OPCODE_TRANSACTION: u64 = 3;
/// Commands of plans that nobody runs, kept for the next time. Each holds a page that is locked in memory.
const IDLE_COMMANDS: usize = 2048;

/// What the driver gets in one submission.
enum Command {
    One(Run),
    Chain(RunList),
}

/// One submission of a batch.
pub(super) struct Submission {
    /// Number of its first launch in the batch.
    pub(super) first: usize,
    command: Command,
}

impl Submission {
    pub(super) fn start(&mut self) -> Answer<()> {
        match &mut self.command {
            Command::One(run) => run.start(),
            Command::Chain(list) => list.execute(),
        }
    }

    /// Waits; `Some(0)` only looks.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Answer<Waited> {
        match &mut self.command {
            Command::One(run) => run.wait(timeout),
            Command::Chain(list) => list.wait(timeout),
        }
    }

    /// Of a device that is gone. XRT lets a list go however it stands.
    pub(super) fn give_up(&mut self) {
        if let Command::One(run) = &mut self.command {
            run.give_up();
        }
    }
}

/// A batch as commands.
pub(super) struct Plan {
    pub(super) context: ContextId,
    pub(super) launches: Vec<Launch>,
    /// Each buffer once, and whether a launch writes it.
    pub(super) uses: Vec<(BufferId, bool)>,
    pub(super) submissions: Vec<Submission>,
}

impl Plan {
    /// Of a batch that was checked: `uses` are its buffers.
    pub(super) fn make(
        batch: &Batch,
        uses: Vec<(BufferId, bool)>,
        context: &Context,
        memory: &Memory,
        launches_per_chain: usize,
    ) -> Result<Self> {
        let refuse = |failure: Failure| {
            if failure.is_loss() {
                return failure.lost();
            }
            // A command is a buffer object of one page.
            failure.of_alloc(4096)
        };
        let mut submissions = Vec::new();
        let mut first = 0;
        for launches in batch.launches().chunks(launches_per_chain.max(1)) {
            let command = if let [launch] = launches {
                Command::One(run(launch, context, memory)?.map_err(refuse)?)
            } else {
                let mut list = RunList::create(context.hardware()?).map_err(refuse)?;
                for launch in launches {
                    list.add(run(launch, context, memory)?.map_err(refuse)?).map_err(refuse)?;
                }
                Command::Chain(list)
            };
            submissions.push(Submission { first, command });
            first += launches.len();
        }
        Ok(Self { context: batch.context(), launches: batch.launches().to_vec(), uses, submissions })
    }

    fn is_of(&self, batch: &Batch) -> bool {
        self.context == batch.context() && self.launches == batch.launches()
    }
}

/// A command with its arguments bound.
fn run(launch: &Launch, context: &Context, memory: &Memory) -> Result<Answer<Run>> {
    let stream = context.stream(launch.kernel.entry()).ok_or(Error::UnknownKernel(launch.kernel))?;
    let kernel = context.kernel()?;
    let mut bound = Vec::with_capacity(launch.buffers.len());
    for &buffer in &launch.buffers {
        bound.push(memory.object(buffer)?.bo().ok_or(Error::UnknownBuffer(buffer))?);
    }
    let make = || {
        let mut run = Run::create(kernel)?;
        run.set_u64(OPCODE, OPCODE_TRANSACTION)?;
        run.set_bo(STREAM, stream.bo())?;
        run.set_u32(STREAM_WORDS, stream.words())?;
        for (argument, bo) in (FIRST_BUFFER..).zip(bound) {
            run.set_bo(argument, bo)?;
        }
        Ok(run)
    };
    Ok(make())
}

/// Plans that nobody runs, the oldest first.
#[derive(Default)]
pub(super) struct Idle(Vec<Plan>);

impl Idle {
    /// The plan of this batch, if it is known and idle.
    pub(super) fn take(&mut self, batch: &Batch) -> Option<Plan> {
        // From the end: what ran last mostly runs next. A model's whole encoder is some hundred plans.
        let at = self.0.iter().rposition(|plan| plan.is_of(batch))?;
        Some(self.0.remove(at))
    }

    /// Keeps a plan, and gives the oldest up if there are too many commands.
    pub(super) fn keep(&mut self, plan: Plan) {
        self.0.push(plan);
        let mut commands: usize = self.0.iter().map(|plan| plan.launches.len()).sum();
        while commands > IDLE_COMMANDS && self.0.len() > 1 {
            commands -= self.0.remove(0).launches.len();
        }
    }

    pub(super) fn forget_buffer(&mut self, buffer: BufferId) {
        self.0.retain(|plan| plan.uses.iter().all(|(one, _)| *one != buffer));
    }

    pub(super) fn forget_context(&mut self, context: ContextId) {
        self.0.retain(|plan| plan.context != context);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How a batch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) index: usize,
    pub(super) state: CommandState,
    pub(super) why: String,
}

/// A batch that no wait has ended.
pub(super) struct Flight {
    pub(super) ticket: Ticket,
    pub(super) plan: Plan,
    pub(super) begun: Instant,
    /// Submissions that the driver has taken.
    pub(super) submitted: usize,
    /// Of those, the ones that have ended.
    pub(super) ended: usize,
    /// Waits that did not say how the next one stands.
    pub(super) untold: u32,
    /// Why the driver did not take the next one.
    pub(super) refused: Option<Failure>,
    /// The first launch that failed.
    pub(super) failed: Option<Failed>,
}
