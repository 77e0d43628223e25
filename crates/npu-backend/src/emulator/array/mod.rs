//! The array: memtiles, cores and what runs on them, at the level of a launch.
//!
//! A launch is executed as its stream says, object by object: taps gather bytes from the arguments, memtiles reorder
//! them by the manifest's dimensions, cores do what the parameter objects tell them with the kernels' own compiled C++,
//! and drains say where the outputs go. Nothing here knows how matrices were packed, so a packing that is wrong on
//! silicon is wrong here.

mod cache;
mod compile;
mod compute;
mod cost;
mod direct;
mod fault;
mod l1;
mod load;
mod native;
mod parameters;
mod reorder;
mod streams;
mod toolchain;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rayon::prelude::*;

pub(crate) use cost::Work;
pub(crate) use fault::ArrayFault;
pub(crate) use load::LoadedImage;

use crate::kernel::Tap;
use crate::kernel::manifest::{ImageKind, Manifest};
use crate::{Arch, Error, KernelImage, Result};
use compute::Worker;
use cost::Costs;
use fault::{Core, Port};
use l1::C_BYTES;
use load::StreamedEntry;
use native::Kernels;
use reorder::Reorder;
use streams::{Feed, Stream};
use worker::{Job, Lengths};

/// How the kernels' arithmetic is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// With the device's rounding of every step, as far as it is known.
    Exact,
    /// Plain f32 accumulation, vectorised.
    #[default]
    Fast,
    /// Not at all: outputs are poison, only modelled times are right.
    Off,
}

/// What a launch writes; the caller applies it to the device copy of the argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Number of the argument.
    pub(crate) argument: usize,
    /// Where.
    pub(crate) tap: Tap,
    /// What, in the order of the walk.
    pub(crate) bytes: Vec<u8>,
}

impl Output {
    fn new(tap: Tap, bytes: Vec<u8>) -> Self {
        Self { argument: tap.argument as usize, tap, bytes }
    }

    /// What stands where nobody computed.
    fn poison(tap: &Tap) -> Self {
        Self::new(*tap, vec![POISON; tap.len_bytes()])
    }
}

/// The byte of outputs that nobody computed.
const POISON: u8 = 0xA5;

/// The cores and memtiles of one device.
#[derive(Debug)]
pub(crate) struct Array {
    arch: Arch,
    manifest: Manifest,
    /// Of the streamed image.
    reorders: Reorders,
    costs: Costs,
    /// None with [`Arithmetic::Off`].
    kernels: Option<Arc<Kernels>>,
    /// The threads that play the cores, where there are kernels.
    pool: Option<rayon::ThreadPool>,
}

#[derive(Debug)]
struct Reorders {
    a: Reorder,
    b: Reorder,
    c: Reorder,
}

impl Array {
    /// An array that runs the kernels this program carries; compiles them if this machine has not done so before.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a C++ compiler, [`Error::Image`] if the manifest is broken.
    pub(crate) fn new(arch: Arch, arithmetic: Arithmetic) -> Result<Self> {
        let manifest = Manifest::embedded()?;
        let streamed = manifest.images.iter().find(|image| image.kind == ImageKind::Streamed);
        let (Some(image), Some(dims)) = (streamed, &manifest.reorder) else {
            return Err(Error::Image { why: "the kernels' manifest has no streamed image".into() });
        };
        let pool = match arithmetic {
            Arithmetic::Exact | Arithmetic::Fast => Some(pool()?),
            Arithmetic::Off => None,
        };
        Ok(Self {
            arch,
            pool,
            reorders: Reorders {
                a: Reorder::new(&dims.a),
                b: Reorder::new(&dims.b),
                c: Reorder::new(&dims.c),
            },
            costs: Costs::new(&manifest, &image.name, arch)?,
            kernels: match arithmetic {
                Arithmetic::Exact => Some(compile::embedded(true)?),
                Arithmetic::Fast => Some(compile::embedded(false)?),
                Arithmetic::Off => None,
            },
            manifest,
        })
    }

    /// Decodes and checks an image.
    ///
    /// # Errors
    /// [`Error::WrongArch`], [`Error::Image`].
    pub(crate) fn load(&self, image: &KernelImage) -> Result<LoadedImage> {
        LoadedImage::new(image, self.arch, &self.manifest)
    }

    /// Runs one entry of an image on the device copies of its arguments; the caller applies the outputs.
    ///
    /// # Errors
    /// What would hang, fault or silently go wrong on silicon; nothing is written then.
    pub(crate) fn run(
        &self,
        image: &LoadedImage,
        entry: usize,
        arguments: &[&[u8]],
    ) -> std::result::Result<(Work, Vec<Output>), ArrayFault> {
        match image {
            LoadedImage::Streamed(entries) => {
                let entry =
                    entries.get(entry).ok_or(ArrayFault::NoEntry { entry, entries: entries.len() })?;
                self.run_streamed(entry, arguments)
            }
            LoadedImage::Direct(entries) => {
                let entry =
                    entries.get(entry).ok_or(ArrayFault::NoEntry { entry, entries: entries.len() })?;
                entry.run(self.kernels.as_deref(), arguments)
            }
        }
    }

    fn run_streamed(
        &self,
        entry: &StreamedEntry,
        arguments: &[&[u8]],
    ) -> std::result::Result<(Work, Vec<Output>), ArrayFault> {
        entry.a.iter().chain(&entry.b).try_for_each(|feed| feed.check(arguments))?;
        for (column, taps) in (0..).zip(&entry.c) {
            taps.iter().try_for_each(|tap| streams::check(Port::C(column), tap, arguments))?;
        }
        let cores = self.jobs(entry, arguments)?;
        let mut work = entry.work;
        for (_, jobs) in &cores {
            let (cycles, macs) = self.costs.of_jobs(jobs);
            work.compute_cycles = work.compute_cycles.max(cycles);
            work.macs += macs;
        }
        let outputs = match (&self.kernels, &self.pool) {
            (Some(kernels), Some(pool)) => apart(pool, || self.compute(entry, kernels, &cores, arguments))?,
            _ => entry.c.iter().flatten().map(Output::poison).collect(),
        };
        Ok((work, outputs))
    }

    /// What each core does, column by column. The rows of a column get the same B stream, but are walked one by one: a
    /// fault names the core that meets it.
    fn jobs(
        &self,
        entry: &StreamedEntry,
        arguments: &[&[u8]],
    ) -> std::result::Result<Vec<(Core, Vec<Job>)>, ArrayFault> {
        let (columns, rows) = load::geometry(self.arch);
        let cores = (0..columns).flat_map(|column| (0..rows).map(move |row| Core { row, column }));
        let jobs = cores.map(|core| {
            let (a, b) = (&entry.a[core.row as usize], &entry.b[core.column as usize]);
            let drained: usize = entry.c[core.column as usize].iter().map(Tap::len_bytes).sum();
            let lengths = Lengths { a: a.len(), b: b.len(), c: drained / (C_BYTES * rows as usize) };
            let header = |position| b.header(position, &self.reorders.b, arguments);
            Ok((core, worker::jobs(core, columns, lengths, header)?))
        });
        jobs.collect()
    }

    /// Moves the streams in, lets the cores work, and joins what they put out.
    fn compute(
        &self,
        entry: &StreamedEntry,
        kernels: &Kernels,
        cores: &[(Core, Vec<Job>)],
        arguments: &[&[u8]],
    ) -> std::result::Result<Vec<Output>, ArrayFault> {
        let (columns, rows) = load::geometry(self.arch);
        let a = gather(&entry.a, &self.reorders.a, arguments)?;
        let b = gather(&entry.b, &self.reorders.b, arguments)?;
        let put_out: Vec<_> = cores
            .par_iter()
            .map(|(core, jobs)| {
                let (row, column) = (core.row as usize, core.column as usize);
                Worker { kernels, column, columns: columns as usize, a: &a[row], b: &b[column] }.run(jobs)
            })
            .collect();
        // Cores stand column by column, as `jobs` made them.
        let columns = entry.c.par_iter().zip(put_out.par_chunks_exact(rows as usize));
        let joined = columns.flat_map_iter(|(taps, cores)| {
            let mut next = 0;
            taps.iter().map(move |tap| {
                let mut bytes = vec![0; tap.len_bytes()];
                for object in bytes.chunks_exact_mut(C_BYTES * rows as usize) {
                    for (part, core) in object.chunks_exact_mut(C_BYTES).zip(cores) {
                        self.reorders.c.apply(&core[next].0, 0, part);
                    }
                    next += 1;
                }
                Output::new(*tap, bytes)
            })
        });
        Ok(joined.collect())
    }
}

fn pool() -> Result<rayon::ThreadPool> {
    let named = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("emulated-cores-{index}"));
    named.build().map_err(|error| Error::Unavailable {
        device: "emulator",
        obstacle: crate::Obstacle::Other,
        why: format!("its threads cannot be started: {error}"),
        hint: "raise the limit of processes (ulimit -u)".into(),
    })
}

/// Runs `work` in `pool` and waits as a device is waited for: asleep. The caller may be a thread of another rayon pool,
/// under a lock; if it waited inside rayon, it would take up other work meanwhile, which may want that lock.
fn apart<T: Send>(pool: &rayon::ThreadPool, work: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| scope.spawn(|| pool.install(work)).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves the streams of all rows, or of all columns, into the array.
fn gather<'a>(
    feeds: &'a [Feed],
    reorder: &Reorder,
    arguments: &[&[u8]],
) -> std::result::Result<Vec<Stream<'a>>, ArrayFault> {
    feeds.par_iter().map(|feed| feed.gather(reorder, arguments)).collect()
}
