//! The firmware: takes commands one after another, runs their launches, writes how they ended.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Instant;

use super::command::{self, Command, CommandState, Start};
use super::launch::{End, Engine, Launch};
use super::{DRIVER, State};
use crate::region::Memory;
use crate::settings::Fault;

/// A command that the driver has taken.
pub(super) struct Job {
    pub(super) fd: c_int,
    pub(super) context: u32,
    /// Its number in its context.
    pub(super) number: u64,
    pub(super) command: Arc<Memory>,
}

#[derive(Default)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
}

/// How a command failed: at which of its launches, how, and why.
struct Failure {
    index: usize,
    state: CommandState,
    why: String,
    /// The firmware started anew: what is queued ends, too.
    reset: bool,
}

impl Failure {
    fn new(index: usize, state: CommandState, why: impl Into<String>) -> Self {
        Self { index, state, why: why.into(), reset: false }
    }
}

static FAST: LazyLock<Mutex<Engine>> = LazyLock::new(|| Mutex::new(Engine::new(false)));
static EXACT: LazyLock<Mutex<Engine>> = LazyLock::new(|| Mutex::new(Engine::new(true)));

/// The array.
pub(super) fn engine(exact: bool) -> MutexGuard<'static, Engine> {
    if exact { &EXACT } else { &FAST }.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel's log would say, for whoever asks for it by `AMDXDNA_DOUBLE_LOG`.
pub(super) fn log(line: &str) {
    if std::env::var_os("AMDXDNA_DOUBLE_LOG").is_some() {
        writeln!(std::io::stderr(), "amdxdna-double: {line}").ok();
    }
}

impl State {
    /// Takes a command, which the context has counted.
    pub(super) fn submit(&mut self, job: Job) {
        static WORKER: Once = Once::new();
        WORKER.call_once(|| {
            // Without a thread nothing ever ends, as with a dead firmware; the waits of programs have their limits.
            std::thread::Builder::new().name("amdxdna-double".into()).spawn(work).ok();
        });
        self.queue.jobs.push_back(job);
    }

    /// Ends queued commands, without running them. `state`: as ABORT, or as NEW, which is to say that it is not written: so the
    /// driver leaves commands that it runs when its way to the firmware is gone (aie2_ctx.c, aie2_sched_job_run).
    pub(super) fn end_queued(&mut self, state: CommandState, which: impl Fn(&Job) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.queue.jobs).into_iter().partition(which);
        self.queue.jobs = kept;
        let gone: VecDeque<Job> = gone;
        for job in gone {
            let failure = Failure::new(0, state, "it was queued");
            self.end(&job, Some(&failure));
        }
    }

    /// Writes how a command ended, and tells who waits for it.
    fn end(&mut self, job: &Job, failure: Option<&Failure>) {
        match failure {
            None => command::set_state(job.command.host_mut(), CommandState::Completed),
            Some(Failure { state: CommandState::New, why, .. }) => {
                log(&format!("command {} of context {} was not run: {why}", job.number, job.context));
            }
            Some(failure) => {
                let first = match Command::parse(job.command.host()) {
                    Ok(Command::Chain(handles)) => self.chained(job.fd, &handles[..1]).ok(),
                    _ => None,
                };
                let first = first.as_ref().and_then(|first| first.first()).map(|first| first.host_mut());
                command::fail(job.command.host_mut(), first, failure.index, failure.state);
                log(&format!(
                    "command {} of context {}: launch {} ended as {:?}: {}",
                    job.number, job.context, failure.index, failure.state, failure.why
                ));
            }
        }
        if let Some(context) = self.contexts.all.get_mut(&job.context) {
            context.ended += 1;
            context.errors += u64::from(failure.is_some());
            let syncobj = context.syncobj;
            self.syncobjs.signal(syncobj, job.number);
        }
    }

    /// The command objects of a chain.
    fn chained(&mut self, fd: c_int, handles: &[u32]) -> Result<Vec<Arc<Memory>>, String> {
        let client = self.clients.get(&fd).ok_or("its program is gone")?;
        let find = |&handle: &u32| {
            let object = client.object(handle).ok().and_then(|object| object.shared()).cloned();
            object.ok_or_else(|| format!("a chain names object {handle}, which is no command"))
        };
        handles.iter().map(find).collect()
    }

    /// The launches of a command.
    fn starts(&mut self, job: &Job) -> Result<Vec<Start>, String> {
        let objects = match Command::parse(job.command.host())? {
            Command::Start(start) => return Ok(vec![start]),
            Command::Chain(handles) => self.chained(job.fd, &handles)?,
        };
        let parsed = objects.iter().map(|object| match Command::parse(object.host())? {
            Command::Start(start) => Ok(start),
            Command::Chain(_) => Err("a chain within a chain".to_owned()),
        });
        parsed.collect()
    }
}

/// The worker's life.
fn work() {
    let mut state = DRIVER.lock();
    loop {
        let Some(job) = state.queue.jobs.pop_front() else {
            state = DRIVER.wait(state);
            continue;
        };
        command::set_state(job.command.host_mut(), CommandState::New);
        let outcome;
        (state, outcome) = run(state, &job);
        state.end(&job, outcome.as_ref().err());
        if outcome.is_err_and(|failure| failure.reset) {
            let gone = state.settings.queued_stay_new && state.clients.values().any(|client| client.gone);
            state.end_queued(if gone { CommandState::New } else { CommandState::Abort }, |_| true);
        }
        // The last owner of the command's memory may be this one; unmapping needs no lock.
        drop(state);
        drop(job);
        DRIVER.changed.notify_all();
        state = DRIVER.lock();
    }
}

/// Runs the launches of a command.
fn run(
    mut state: MutexGuard<'static, State>,
    job: &Job,
) -> (MutexGuard<'static, State>, Result<(), Failure>) {
    let starts = match state.starts(job) {
        Ok(starts) => starts,
        Err(why) => return (state, Err(Failure::new(0, CommandState::Error, why))),
    };
    for (index, start) in starts.iter().enumerate() {
        let end;
        (state, end) = run_launch(state, job, start);
        let failure = match end {
            Ended::As(End::Completed) => continue,
            Ended::As(End::Failed(why)) => Failure::new(index, CommandState::Error, why),
            Ended::As(End::Hung(why)) => {
                state = recover(state);
                Failure { reset: true, ..Failure::new(index, CommandState::Timeout, why) }
            }
            Ended::Reset => Failure {
                reset: true,
                ..Failure::new(index, CommandState::Abort, "the firmware started anew")
            },
            Ended::Forgotten => Failure::new(index, CommandState::New, "it was to be forgotten"),
            Ended::Gone => {
                state.vanish();
                Failure { reset: true, ..Failure::new(index, CommandState::Abort, "the device went away") }
            }
        };
        return (state, Err(failure));
    }
    (state, Ok(()))
}

enum Ended {
    As(End),
    Reset,
    Forgotten,
    Gone,
}

fn run_launch(
    mut state: MutexGuard<'static, State>,
    job: &Job,
    start: &Start,
) -> (MutexGuard<'static, State>, Ended) {
    let number = state.launches;
    state.launches += 1;
    let fault = state.settings.fault_at(number);
    let ended = match fault {
        Some(Fault::Error) => Ended::As(End::Failed("it was to".into())),
        Some(Fault::Hang) => Ended::As(End::Hung("it was to".into())),
        Some(Fault::Reset) => Ended::Reset,
        Some(Fault::Forgotten) => Ended::Forgotten,
        Some(Fault::Vanish) => {
            let least = state.settings.launch;
            drop(state);
            std::thread::sleep(least);
            state = DRIVER.lock();
            Ended::Gone
        }
        _ if !state.settings.computes => Ended::As(End::Completed),
        _ => {
            let configuration = state
                .contexts
                .all
                .get(&job.context)
                .and_then(|context| context.units.get(start.unit))
                .cloned();
            let launch = state.clients.get(&job.fd).map(|client| Launch::new(&start.registers, client));
            let (exact, least) = (state.settings.exact, state.settings.launch);
            let begun = Instant::now();
            // The array works for long; programs go on meanwhile.
            drop(state);
            let end = match (launch, configuration) {
                (Some(launch), Some(configuration)) => engine(exact).run(&launch, &configuration, fault),
                (None, _) => End::Failed("its program is gone".into()),
                (_, None) => End::Failed(format!("the context has no compute unit {}", start.unit)),
            };
            std::thread::sleep(least.saturating_sub(begun.elapsed()));
            state = DRIVER.lock();
            Ended::As(end)
        }
    };
    (state, ended)
}

/// Lets the time pass after which the driver finds the device without progress.
fn recover(mut state: MutexGuard<'static, State>) -> MutexGuard<'static, State> {
    let until = Instant::now() + state.settings.recovery;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        state = DRIVER.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    state
}
