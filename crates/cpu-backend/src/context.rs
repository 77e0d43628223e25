//! Where the arithmetic runs: a level and a pool of threads.

use crate::error::Error;
use crate::kernels::Number;
use crate::level::Level;
use crate::pool::Pool;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::fmt;
use std::sync::Arc;

/// Who does the work.
#[derive(Clone)]
enum Threads {
    Caller,
    Own(Arc<Pool>),
    Rayon(Arc<rayon::ThreadPool>),
}

/// What products of many rows may round their activations to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activations {
    /// bf16 where the weights are.
    Default,
    F32,
    /// int8 where the weights are, bf16 where those are.
    Int8,
    /// 16 bits, of few rows too, where the weights are int8, bf16 where those are.
    Int16,
}

/// A level and the threads that share each operation. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct Context {
    level: Level,
    pool: Threads,
    threads: usize,
    activations: Activations,
}

impl Context {
    /// A context with `threads` threads, the caller of each operation and others of its own; 0 means one per
    /// available core. The others watch for work up to 100 µs after an operation, then sleep.
    ///
    /// Clones share these threads, and one operation at a time has them: one that begins meanwhile on another thread of
    /// the program is done by that thread alone. Results are the same.
    ///
    /// On levels with products in bf16, [`crate::attention()`] and layers kept in bf16 round what they multiply to it,
    /// see [`Context::with_f32_activations`].
    ///
    /// # Errors
    /// When the operating system refuses to start the threads.
    pub fn new(level: Level, threads: usize) -> Result<Self, Error> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        if threads == 1 {
            return Ok(Self::single(level));
        }
        let pool = Pool::new(threads).map_err(|e| {
            Error::new(format!("starting {threads} threads"), e.to_string(), "ask for fewer threads")
        })?;
        let threads = pool.threads();
        Ok(Self { level, pool: Threads::Own(Arc::new(pool)), threads, activations: Activations::Default })
    }

    /// A context that runs everything on the calling thread.
    #[must_use]
    pub fn single(level: Level) -> Self {
        Self { level, pool: Threads::Caller, threads: 1, activations: Activations::Default }
    }

    /// A context on an existing rayon pool, with as many threads as that has. Short operations
    /// (a decoding step) pay more for their coordination than with [`Context::new`].
    #[must_use]
    pub fn with_pool(level: Level, pool: Arc<rayon::ThreadPool>) -> Self {
        let threads = pool.current_num_threads();
        Self { level, pool: Threads::Rayon(pool), threads, activations: Activations::Default }
    }

    /// This context where its threads are the caller's or its own; where they are rayon's, one with as many of its own.
    ///
    /// A rayon thread that waits takes up other work meanwhile. Whoever computes under a lock must not wait so: the work
    /// taken up may want the same lock.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn apart_from_rayon(self) -> Result<Self, Error> {
        match self.pool {
            Threads::Rayon(_) => {
                Ok(Self { activations: self.activations, ..Self::new(self.level, self.threads)? })
            }
            Threads::Own(_) | Threads::Caller => Ok(self),
        }
    }

    /// The same threads at another level.
    #[must_use]
    pub fn at(&self, level: Level) -> Self {
        Self { level, ..self.clone() }
    }

    /// Forbids rounding the activations to bf16. Otherwise products of more than 8 rows with weights kept as bf16, and
    /// [`crate::attention()`], do so where the level has bf16 products, which doubles their rate; sums are f32 in any case.
    #[must_use]
    pub fn with_f32_activations(self) -> Self {
        Self { activations: Activations::F32, ..self }
    }

    /// Lets products of more than 8 rows with weights kept as int8 round the activations to 8 bits too, with one scale and
    /// zero point per row, where the level has VNNI: about twice the rate of bf16 products. The steps are a 255th of a
    /// row's range, in which up to 16 outliers need not lie: what exceeds it is multiplied in f32. [`crate::attention()`]
    /// rounds to 8 bits likewise. A loss of accuracy still: a context never does so unasked.
    ///
    /// At the AVX2 level it is 16 bits instead, 1.3 times the rate of f32 products: at most 65534 steps between ∓ a row's largest
    /// number, fewer where a sum of as many products as there are inputs would leave 32 bits (16382 for 2048 inputs). In
    /// attention both factors are activations, and the steps 11584 for heads of 64 and 8190 for values and their weights.
    #[must_use]
    pub fn with_int8_activations(self) -> Self {
        Self { activations: Activations::Int8, ..self }
    }

    /// Lets all products with weights kept as int8 round the activations to 16 bits, with one scale per row (65534 steps
    /// between ∓ its largest number), where the level has VNNI; at the AVX2 level, those of up to 8 rows, and those of more and
    /// [`crate::attention()`] as [`Context::with_int8_activations`] says. An error of 2⁻¹⁶ of a row's largest number is less than
    /// most weights were rounded by; with VNNI up to six rows cost hardly more than one, and many rows as much as in bf16.
    #[must_use]
    pub fn with_int16_activations(self) -> Self {
        Self { activations: Activations::Int16, ..self }
    }

    /// Whether products with int8 weights round the activations to 16 bits.
    pub(crate) fn word_products(&self) -> bool {
        self.level.multiplies_words() && self.activations == Activations::Int16
    }

    /// Whether products of many rows with int8 weights, and attention, round to 8 bits.
    pub(crate) fn int8_products(&self) -> bool {
        self.level.has_vnni() && self.activations == Activations::Int8
    }

    /// Whether products of many rows with int8 weights, and attention, round to 16 bits for want of faster ones.
    pub(crate) fn i16_products(&self) -> bool {
        self.level.multiplies(Number::I16)
            && matches!(self.activations, Activations::Int8 | Activations::Int16)
    }

    /// Whether products of many rows with bf16 weights round the activations to bf16.
    pub(crate) fn bf16_products(&self) -> bool {
        self.level.has_bf16() && self.activations != Activations::F32
    }

    /// The level.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many threads share an operation.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `task(0..tasks)`, each once, on the pool's threads; returns when all are done. A thread's tile registers,
    /// at levels that have them, are released after each.
    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Send + Sync) {
        let task = |index| {
            let _tiles = self.level.hold_tiles();
            task(index);
        };
        match &self.pool {
            Threads::Own(pool) => pool.run(tasks, &task),
            Threads::Rayon(pool) if tasks > 1 => pool.install(|| (0..tasks).into_par_iter().for_each(task)),
            _ => (0..tasks).for_each(task),
        }
    }

    /// Cuts `items` into one contiguous share per thread, each at least `least` items, and calls `task` with
    /// every share that is not empty.
    pub(crate) fn split(
        &self,
        items: usize,
        least: usize,
        task: impl Fn(std::ops::Range<usize>) + Send + Sync,
    ) {
        let shares = (items / least.max(1)).clamp(1, self.threads);
        self.run(shares, |share| {
            let range = items * share / shares..items * (share + 1) / shares;
            if !range.is_empty() {
                task(range);
            }
        });
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}, {} threads, {:?} activations)", self.level, self.threads, self.activations)
    }
}
