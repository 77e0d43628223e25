//! What a manifest must keep: memory that fits, reorders that a memtile can do, figures that make sense.

use super::{ImageKind, ImageSpec, KGranule, KernelSpec, Limits, Manifest};
use crate::Arch;

/// Memory of a core, bytes (mlir-aie: AIETargetModel.h).
const CORE_MEMORY_BYTES: u64 = 65536;
/// Dimensions of a memtile's DMA, the widest wrap (10 bits) and the longest step (17 bits), in words (same source).
const MEMTILE_DIMS: usize = 4;
const MEMTILE_WRAP: u32 = 1023;
const MEMTILE_STEP: u32 = 1 << 17;
/// Words of an object in a memtile.
const OBJECT_WORDS: [(&str, usize); 3] = [("a", 4096), ("b", 1024), ("c", 2048)];

/// Everything that is wrong, empty if nothing is.
pub(super) fn faults(manifest: &Manifest) -> Vec<String> {
    let mut faults = Vec::new();
    if manifest.version != 1 {
        faults.push(format!("version {} is not 1", manifest.version));
    }
    let streamed = manifest.images.iter().any(|image| image.kind == ImageKind::Streamed);
    match &manifest.reorder {
        Some(reorder) => {
            for ((name, words), dims) in OBJECT_WORDS.into_iter().zip([&reorder.a, &reorder.b, &reorder.c]) {
                faults.extend(reorder_fault(dims, words).map(|why| format!("reorder {name}: {why}")));
            }
        }
        None if streamed => faults.push("there are streamed images and no reorder".into()),
        None => {}
    }
    match &manifest.limits {
        Some(limits) => faults.extend(limits_fault(limits)),
        None if streamed => faults.push("there are streamed images and no limits".into()),
        None => {}
    }
    faults.extend(repeated(manifest.images.iter().map(|image| image.name.as_str()), "image"));
    faults.extend(repeated(manifest.kernels.iter().map(|kernel| kernel.name.as_str()), "kernel"));
    for image in &manifest.images {
        let about = |why| format!("image {}: {why}", image.name);
        faults.extend(image_faults(image, manifest).into_iter().map(about));
    }
    for kernel in &manifest.kernels {
        let about = |why| format!("kernel {}: {why}", kernel.name);
        faults.extend(match manifest.image(&kernel.image) {
            Some(image) => kernel_faults(kernel, image).into_iter().map(about).collect(),
            None => vec![about(format!("there is no image {}", kernel.image))],
        });
    }
    faults
}

/// Granules that no problem could keep, or sums that could leave int32.
fn limits_fault(limits: &Limits) -> Option<String> {
    let KGranule { bf16, i8 } = limits.k_granule;
    let granules = [limits.m_granule, bf16, i8, limits.n_granule_per_column, limits.head_dim];
    // The largest product of int8 is 2^14, the largest int32 2^31 − 1.
    let sums_fit = u64::from(limits.max_k_i8) << 14 < 1 << 31;
    (granules.contains(&0) || !sums_fit).then(|| format!("limits of {limits:?}"))
}

fn repeated<'a>(names: impl Iterator<Item = &'a str>, what: &str) -> Option<String> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| format!("there are two {what}s {}", pair[0]))
}

/// Whether a memtile can walk `dims`, and visits each of `words` words once.
fn reorder_fault(dims: &[[u32; 2]], words: usize) -> Option<String> {
    if dims.len() > MEMTILE_DIMS {
        return Some(format!("{} dimensions, a memtile has {MEMTILE_DIMS}", dims.len()));
    }
    if let Some(dim) = dims.iter().find(|[size, stride]| *size > MEMTILE_WRAP || *stride > MEMTILE_STEP) {
        return Some(format!("{dim:?} is beyond a wrap of {MEMTILE_WRAP} or a step of {MEMTILE_STEP} words"));
    }
    let steps: u64 = dims.iter().map(|&[size, _]| u64::from(size)).product();
    if steps != words as u64 {
        return Some(format!("it walks {steps} words of an object of {words}"));
    }
    let mut seen = vec![false; words];
    for index in 0..words {
        let (mut rest, mut word) = (index, 0);
        for &[size, stride] in dims.iter().rev() {
            word += rest % size as usize * stride as usize;
            rest /= size as usize;
        }
        if seen.get_mut(word).is_none_or(|seen| std::mem::replace(seen, true)) {
            return Some(format!(
                "its step {index} goes to word {word}, which is outside or was visited before"
            ));
        }
    }
    None
}

fn image_faults(image: &ImageSpec, manifest: &Manifest) -> Vec<String> {
    let mut faults = Vec::new();
    let buffers: u64 = image.l1.iter().map(|buffer| u64::from(buffer.bytes) * u64::from(buffer.count)).sum();
    let used = buffers + u64::from(image.stack_bytes);
    if used > CORE_MEMORY_BYTES {
        faults.push(format!(
            "{buffers} bytes of buffers and {} of stack are more than a core's {CORE_MEMORY_BYTES}",
            image.stack_bytes
        ));
    }
    // Peano's default of 1 KiB overruns the buffers next to it in silence, so it must be said.
    if image.stack_bytes < 1024 || !image.stack_bytes.is_multiple_of(32) {
        faults.push(format!("a stack of {} bytes", image.stack_bytes));
    }
    if let Some(buffer) = image.l1.iter().find(|buffer| buffer.bytes % 4 != 0 || buffer.bytes == 0) {
        faults.push(format!("buffer {} has {} bytes, not whole words", buffer.name, buffer.bytes));
    }
    if image.arches.is_empty() {
        faults.push("it is built for no generation".into());
    }
    if manifest.kernels_of(&image.name).next().is_none() {
        faults.push("it has no kernel".into());
    }
    let mut operations: Vec<_> = manifest.kernels_of(&image.name).filter_map(|kernel| kernel.op).collect();
    operations.sort_unstable();
    if let Some(pair) = operations.windows(2).find(|pair| pair[0] == pair[1]) {
        faults.push(format!("two kernels are operation {}", pair[0]));
    }
    faults
}

fn kernel_faults(kernel: &KernelSpec, image: &ImageSpec) -> Vec<String> {
    let mut faults = Vec::new();
    match image.kind {
        ImageKind::Streamed => {
            let numbers = [kernel.op, kernel.m, kernel.k, kernel.n];
            let types = [kernel.a, kernel.b, kernel.accumulate, kernel.c];
            if numbers.contains(&None) || types.contains(&None) {
                faults.push("a kernel of a streamed image has op, a, b, accumulate, c, m, k and n".into());
            }
        }
        ImageKind::Direct => {
            if kernel.call.is_none() || kernel.arguments.is_empty() {
                faults.push("a kernel of a direct image has call and arguments".into());
            }
            let bytes: u64 = kernel.arguments.iter().map(|argument| u64::from(argument.bytes)).sum();
            if bytes + u64::from(image.stack_bytes) > CORE_MEMORY_BYTES {
                faults.push(format!("arguments of {bytes} bytes do not fit a core"));
            }
        }
    }
    for arch in image.arches.iter().map(|&arch| Arch::from(arch)) {
        match kernel.mmul.of(arch) {
            Some(shape) if shape.iter().all(|&side| side > 0) => {
                let tile = [kernel.m, kernel.k, kernel.n];
                let parts = tile.into_iter().zip(shape);
                if parts.into_iter().any(|(side, part)| side.is_some_and(|side| side % part != 0)) {
                    faults.push(format!("its tile is not made of mmuls of {shape:?} on {arch:?}"));
                }
            }
            shape => faults.push(format!("an mmul shape of {shape:?} on {arch:?}")),
        }
        match (kernel.peak_macs.of(arch), kernel.efficiency.of(arch)) {
            (Some(peak), Some(share)) if peak > 0.0 && share > 0.0 && share <= 1.0 => {}
            (peak, share) => {
                faults.push(format!("a peak of {peak:?} and an efficiency of {share:?} on {arch:?}"))
            }
        }
        for cycles in [
            kernel.finish_cycles_per_element,
            kernel.gelu_cycles_per_element,
            kernel.softmax_cycles_per_element,
            kernel.scale_cycles_per_element,
        ] {
            if !cycles.of(arch).is_some_and(|cycles| cycles >= 0.0 && cycles.is_finite()) {
                faults.push(format!("{:?} cycles for an element on {arch:?}", cycles.of(arch)));
            }
        }
    }
    faults
}
