//! A pool of threads for operations that last microseconds.
//!
//! A decoding step is some sixty products of 10–100 µs each. Handing such work to a general work-stealing pool
//! costs more than it saves (measured: a product that takes one thread 13 µs took rayon's two 19–25 µs and takes
//! this pool's two 6–12 µs), because its threads go to sleep between operations. Here a thread that has run out of work watches for more for a short while
//! ([`SPINS`]) before it sleeps, so an idle pool costs no CPU time and a busy one no wake-ups.
//!
//! One operation is a *job*: a function called with 0, 1, …, each number once, by whichever thread is free. The
//! caller takes part and never waits for a thread that has not begun: when no numbers are left it closes the
//! job, and only waits for those inside. On a crowded machine the caller thus does the work of the late.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle, Thread};

/// How often a thread looks for work before it sleeps: 50–100 µs.
const SPINS: u32 = 2_000;
/// How often the caller looks whether the others are done before it lets other processes run.
const PATIENCE: u32 = 20_000;

/// The low bits of [`Shared::state`]: how many workers are inside the job.
const INSIDE: u64 = 0xffff;
/// Set while workers may enter the job.
const OPEN: u64 = 1 << 16;
/// One more job.
const JOB: u64 = 1 << 17;

/// A job's function, its lifetime forgotten.
#[derive(Clone, Copy)]
struct Task(*const (dyn Fn(usize) + Sync));

// SAFETY: what it points to is Sync, and only used between a worker's entering and leaving an open job, during
// which `Pool::run` has not returned.
unsafe impl Send for Task {}

struct Shared {
    /// Number of jobs so far, whether the last is open, how many workers are inside.
    state: AtomicU64,
    /// The job's next number.
    next: AtomicUsize,
    /// The job's function and how many numbers it has. Written while no job is open and nobody inside.
    job: Mutex<Option<(Task, usize)>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleeping: Vec<AtomicBool>,
    quit: AtomicBool,
}

/// `threads − 1` workers; the caller of [`Pool::run`] is the last thread.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    handles: Vec<Thread>,
    /// Held by the thread whose job it is.
    turn: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so poison says nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let count = threads.saturating_sub(1).min(INSIDE as usize);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            job: Mutex::new(None),
            panic: Mutex::new(None),
            sleeping: (0..count).map(|_| AtomicBool::new(false)).collect(),
            quit: AtomicBool::new(false),
        });
        let mut pool = Self { shared, workers: Vec::new(), handles: Vec::new(), turn: Mutex::new(()) };
        for index in 0..count {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(format!("cpu-backend-{index}"));
            // On failure `pool` is dropped, which ends the workers already there.
            let worker = builder.spawn(move || shared.work(index))?;
            pool.handles.push(worker.thread().clone());
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(0..tasks)`, each once; returns when all calls have. A panic of any comes out here.
    ///
    /// Called while another thread uses the pool, or from inside a task, it runs on the calling thread alone.
    pub(crate) fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks < 2 || self.workers.is_empty() {
            (0..tasks).for_each(task);
            return;
        }
        let turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            // A task panicked under it; nothing was left half done.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                (0..tasks).for_each(task);
                return;
            }
        };
        let shared = &*self.shared;
        // SAFETY: only forgets the lifetime. Workers call it only inside this job; below, this function returns
        // (or unwinds: the calls in `take_part` are caught) only after it has closed the job and all have left.
        let forgotten = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(
                task,
            )
        };
        *lock(&shared.job) = Some((Task(forgotten), tasks));
        shared.next.store(0, Ordering::Relaxed);
        shared.state.fetch_add(JOB | OPEN, Ordering::SeqCst);
        for (sleeping, worker) in shared.sleeping.iter().zip(&self.handles).take(tasks - 1) {
            if sleeping.load(Ordering::SeqCst) {
                worker.unpark();
            }
        }
        shared.take_part(task, tasks);
        shared.state.fetch_and(!OPEN, Ordering::SeqCst);
        let mut looks = 0;
        while shared.state.load(Ordering::SeqCst) & INSIDE != 0 {
            looks += 1;
            if looks < PATIENCE { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = lock(&shared.panic).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Shared {
    /// Calls `task` with numbers until none are left.
    fn take_part(&self, task: &(dyn Fn(usize) + Sync), tasks: usize) {
        let all = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                if number >= tasks {
                    break;
                }
                task(number);
            }
        }));
        if let Err(panic) = all {
            self.next.store(tasks, Ordering::Relaxed);
            *lock(&self.panic) = Some(panic);
        }
    }

    /// A worker's life.
    fn work(&self, index: usize) {
        let mut done = 0;
        let mut looks = 0;
        while !self.quit.load(Ordering::SeqCst) {
            let state = self.state.load(Ordering::SeqCst);
            if state & OPEN != 0 && state / JOB != done {
                if self.state.compare_exchange(state, state + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    done = state / JOB;
                    looks = 0;
                    let job = *lock(&self.job);
                    if let Some((task, tasks)) = job {
                        // SAFETY: this worker is inside the job, so `run` is still on its caller's stack and with
                        // it what the pointer points to.
                        self.take_part(unsafe { &*task.0 }, tasks);
                    }
                    self.state.fetch_sub(1, Ordering::SeqCst);
                }
                continue;
            }
            looks += 1;
            if looks < SPINS {
                std::hint::spin_loop();
                continue;
            }
            self.sleeping[index].store(true, Ordering::SeqCst);
            // Looked at once more after the flag is up: whoever opens a job after this sees the flag.
            let state = self.state.load(Ordering::SeqCst);
            if (state & OPEN == 0 || state / JOB == done) && !self.quit.load(Ordering::SeqCst) {
                thread::park();
            }
            self.sleeping[index].store(false, Ordering::SeqCst);
            looks = 0;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        self.handles.iter().for_each(Thread::unpark);
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics; there is nothing to report.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_once_whatever_the_pause_between_jobs() {
        for threads in [1, 2, 3, 5] {
            let pool = Pool::new(threads).expect("threads start");
            assert_eq!(pool.threads(), threads);
            for round in 0..300 {
                let tasks = round % 17;
                let calls: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|i| {
                    calls[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    calls.iter().all(|c| c.load(Ordering::Relaxed) == 1),
                    "{threads} threads, round {round}"
                );
                if round % 50 == 0 {
                    // Long enough for the workers to go to sleep.
                    thread::sleep(std::time::Duration::from_millis(2));
                }
            }
        }
    }

    #[test]
    fn nested_and_concurrent_calls_run_too() {
        let pool = Pool::new(3).expect("threads start");
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.run(4, &|_| {
                            pool.run(4, &|_| {
                                count.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 3 * 50 * 16);
    }

    #[test]
    fn a_panic_of_a_single_task_leaves_the_pool_parallel() {
        let pool = Pool::new(2).expect("threads start");
        let caught = catch_unwind(AssertUnwindSafe(|| pool.run(1, &|_| panic!("alone"))));
        assert!(caught.is_err());
        // Two tasks that wait for each other end only if two threads take part.
        let both = std::sync::Barrier::new(2);
        pool.run(2, &|_| {
            both.wait();
        });
    }

    #[test]
    fn a_panic_comes_out_and_the_pool_lives_on() {
        let pool = Pool::new(2).expect("threads start");
        for bad in [0, 7] {
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(8, &|i| assert!(i != bad, "task {bad}"))));
            assert!(caught.is_err());
        }
        let count = AtomicUsize::new(0);
        pool.run(8, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 8);
    }
}
