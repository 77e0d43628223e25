//! Loading an image: its streams decoded once, and everything checked that needs no data.

use super::cost::Work;
use super::direct::DirectEntry;
use super::fault::Port;
use super::l1::{A_L2_BYTES, C_BYTES, OBJECT_BYTES};
use super::streams::Feed;
use crate::kernel::manifest::{ImageKind, KernelSpec, Manifest};
use crate::kernel::{Channel, Drain, Program, Tap, image};
use crate::{Arch, Error, KernelEntry, KernelImage, Result};

/// Memory of a memtile, bytes (mlir-aie: AIETargetModel.h).
const MEMTILE_BYTES: usize = 512 * 1024;
/// Objects of a stream that a memtile holds at least while they pass.
const PASSING: usize = 2;

/// Objects that one launch may send in all: some 64 GiB of streams, far beyond any use. A longer one is damage.
const MOST_OBJECTS: usize = 1 << 24;

/// An image that the array can run.
#[derive(Debug)]
pub(crate) enum LoadedImage {
    /// Driven by streams.
    Streamed(Vec<StreamedEntry>),
    /// One core, whole buffers.
    Direct(Vec<DirectEntry>),
}

/// One launch of a streamed image.
#[derive(Debug)]
pub(crate) struct StreamedEntry {
    /// Streams of the rows.
    pub(crate) a: Vec<Feed>,
    /// Streams of the columns.
    pub(crate) b: Vec<Feed>,
    /// Where each column's output goes, in order.
    pub(crate) c: Vec<Vec<Tap>>,
    /// What it costs but for the cores' work.
    pub(crate) work: Work,
}

/// Columns of cores that images can use, and rows.
pub(crate) fn geometry(arch: Arch) -> (u32, u32) {
    match arch {
        Arch::Aie2 => (4, 4),
        Arch::Aie2p => (8, 4),
    }
}

impl LoadedImage {
    /// Decodes and checks `loaded` for an array of `arch`.
    ///
    /// # Errors
    /// [`Error::WrongArch`], [`Error::Image`].
    pub(crate) fn new(loaded: &KernelImage, arch: Arch, manifest: &Manifest) -> Result<Self> {
        if loaded.arch != arch {
            return Err(Error::WrongArch { image: loaded.arch, device: arch });
        }
        let name = image::modelled_name(loaded)?;
        let Some(spec) = manifest.image(name) else {
            return Err(Error::Image { why: format!("the kernels' manifest has no image {name}") });
        };
        if !spec.arches.iter().any(|&built| Arch::from(built) == arch) {
            return Err(Error::Image { why: format!("image {name} is not built for {arch:?}") });
        }
        let kernels: Vec<&KernelSpec> = manifest.kernels_of(name).collect();
        let entries = loaded.entries.iter();
        Ok(match spec.kind {
            ImageKind::Streamed => Self::Streamed(entries.map(|e| streamed(e, arch)).collect::<Result<_>>()?),
            ImageKind::Direct => {
                Self::Direct(entries.map(|e| direct(e, &kernels, arch)).collect::<Result<_>>()?)
            }
        })
    }
}

fn broken(entry: &KernelEntry, why: impl std::fmt::Display) -> Error {
    Error::Image { why: format!("entry {}: {why}", entry.name) }
}

fn direct(entry: &KernelEntry, kernels: &[&KernelSpec], arch: Arch) -> Result<DirectEntry> {
    let number = image::direct_number(&entry.instructions);
    let Some(&kernel) = number.and_then(|number| kernels.get(number)) else {
        return Err(broken(entry, "its instructions name no kernel of this direct image"));
    };
    let declared = kernel.arguments.iter().map(|argument| argument.bytes as usize);
    if !declared.eq(entry.arguments.iter().map(|argument| argument.len_bytes)) {
        return Err(broken(entry, format!("its arguments are not those of {} in the manifest", kernel.name)));
    }
    DirectEntry::new(kernel, arch).map_err(|why| broken(entry, why))
}

fn streamed(entry: &KernelEntry, arch: Arch) -> Result<StreamedEntry> {
    let program = Program::decode(&entry.instructions).map_err(|why| broken(entry, why))?;
    let (columns, rows) = geometry(arch);
    if (program.columns, program.rows) != (columns, rows) {
        return Err(broken(
            entry,
            format!(
                "it is for {} columns of {}, the array has {columns} of {rows}",
                program.columns, program.rows
            ),
        ));
    }
    let mut sent = 0;
    for segment in &program.segments {
        let objects = (segment.tap.len_bytes() / OBJECT_BYTES).saturating_mul(segment.replay as usize);
        sent = objects.saturating_add(sent);
        if sent > MOST_OBJECTS {
            return Err(broken(entry, format!("its streams have more than {MOST_OBJECTS} objects")));
        }
        let whole = match segment.channel {
            Channel::A(_) => A_L2_BYTES,
            Channel::B(_) => OBJECT_BYTES,
        };
        check_tap(&segment.tap, whole, entry).map_err(|why| broken(entry, why))?;
    }
    for Drain { tap, .. } in &program.drains {
        check_tap(tap, rows as usize * C_BYTES, entry).map_err(|why| broken(entry, why))?;
        if !entry.arguments[tap.argument as usize].role.device_writes() {
            return Err(broken(
                entry,
                format!("it drains to argument {}, which is not written", tap.argument),
            ));
        }
    }
    check_memtiles(&program).map_err(|why| broken(entry, why))?;
    let feed = |port, channel| Feed::new(port, program.segments.iter().filter(move |s| s.channel == channel));
    let drains = |column| program.drains.iter().filter(move |drain| drain.column == column);
    Ok(StreamedEntry {
        a: (0..rows).map(|row| feed(Port::A(row), Channel::A(row))).collect(),
        b: (0..columns).map(|column| feed(Port::B(column), Channel::B(column))).collect(),
        c: (0..columns).map(|column| drains(column).map(|drain| drain.tap).collect()).collect(),
        work: Work::of_program(&program),
    })
}

/// What a DMA could not walk, or would leave a memtile waiting for the rest of an object.
fn check_tap(tap: &Tap, whole: usize, entry: &KernelEntry) -> std::result::Result<(), String> {
    let strides = tap.dims.iter().map(|dim| dim.stride_bytes);
    if [tap.offset_bytes, tap.run_bytes].into_iter().chain(strides).any(|bytes| bytes % 4 != 0) {
        return Err(format!("a DMA moves whole 4-byte words, not {tap:?}"));
    }
    if !tap.len_bytes().is_multiple_of(whole) {
        return Err(format!(
            "a memtile takes objects of {whole} bytes, not {} bytes: {tap:?}",
            tap.len_bytes()
        ));
    }
    if tap.argument as usize >= entry.arguments.len() {
        return Err(format!("there is no argument {}: {tap:?}", tap.argument));
    }
    Ok(())
}

/// Whether what each memtile must hold at a time fits: a segment that is replayed as a whole, one that is not as it
/// passes, and the join of C once.
fn check_memtiles(program: &Program) -> std::result::Result<(), String> {
    // With more columns than rows, the rows' streams come through every so-many-th memtile.
    let spacing = (program.columns / program.rows).max(1);
    let mut held = vec![program.rows as usize * C_BYTES; program.columns as usize];
    let kept = |channel, object: usize| {
        let segments = program.segments.iter().filter(move |segment| segment.channel == channel);
        let bytes = segments.map(|segment| match segment.replay {
            1 => segment.tap.len_bytes().min(PASSING * object),
            _ => segment.tap.len_bytes(),
        });
        bytes.max().unwrap_or(0)
    };
    for row in 0..program.rows {
        let memtile = (row * spacing) as usize % held.len();
        held[memtile] += kept(Channel::A(row), A_L2_BYTES);
    }
    for (column, held) in (0..).zip(&mut held) {
        *held += kept(Channel::B(column), OBJECT_BYTES);
        if *held > MEMTILE_BYTES {
            return Err(format!(
                "memtile {column} would have to hold {held} of {MEMTILE_BYTES} bytes at a time"
            ));
        }
    }
    Ok(())
}
