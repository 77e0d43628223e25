//! The rules about what is above the NPU's driver: AMD's runtime, this program's own files, the processor.

use super::facts::{Facts, Library, NoShim, Part};
use super::finding::{Check, Finding};
use super::npu;

/// The first runtime with run lists, by which launches are chained.
const FIRST_RUNTIME: (u32, u32) = (2, 17);
/// How to get AMD's runtime.
const INSTALL_XRT: &str = "install XRT 2.17 or later and its plugin for NPUs, as packages of your system or from \
                           github.com/amd/xdna-driver";

/// One finding for each check but the last, in the order in which one builds on the other.
pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    vec![
        processor(facts),
        npu::driver(facts),
        npu::npu(facts),
        npu::node(facts),
        npu::permission(facts),
        npu::locked_memory(facts),
        npu::firmware(facts),
        xrt(facts),
        shim(facts),
        images(facts),
        model(facts),
        compiler(facts),
    ]
}

fn processor(facts: &Facts) -> Finding {
    let threads = match facts.threads {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    };
    Finding::ok(Check::Processor, format!("{}, {threads}", facts.level))
}

fn xrt(facts: &Facts) -> Finding {
    if npu::chosen(facts).is_none() {
        return Finding::unchecked(Check::Xrt, npu::NO_NPU);
    }
    if let Err(NoShim { why, fix, of_runtime: true }) = &facts.shim {
        return Finding::problem(Check::Xrt, why, fix);
    }
    let part = |part: Part| facts.libraries.iter().find(|library| library.part == part);
    let Some(runtime) = part(Part::Runtime) else {
        return Finding::problem(
            Check::Xrt,
            "libxrt_coreutil.so is neither where the loader looks nor in /opt/xilinx/xrt",
            INSTALL_XRT,
        );
    };
    let shown = shown(runtime);
    if let Some(version) = runtime.version.as_deref().and_then(two_numbers)
        && version < FIRST_RUNTIME
    {
        return Finding::problem(Check::Xrt, format!("{shown} cannot chain launches"), INSTALL_XRT);
    }
    if part(Part::Plugin).is_none() {
        return Finding::problem(
            Check::Xrt,
            format!("{shown} is there, but its plugin for NPUs is not (libxrt_driver_xdna.so.2)"),
            "install it (Debian and Ubuntu: libxrt-npu2; AMD's own packages: xrt_plugin-amdxdna), of the same version as XRT",
        );
    }
    let note = if runtime.searched {
        ""
    } else {
        "; the loader does not look there: run `source /opt/xilinx/xrt/setup.sh` first"
    };
    Finding::ok(Check::Xrt, format!("{shown}{note}"))
}

fn shown(library: &Library) -> String {
    let version = library.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("XRT{version}, {}", library.path.display())
}

/// The first two numbers of a version that has at least two.
fn two_numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn shim(facts: &Facts) -> Finding {
    match &facts.shim {
        // Nobody needs it then, and it opens AMD's runtime, which is not there either.
        _ if npu::chosen(facts).is_none() => Finding::unchecked(Check::Shim, npu::NO_NPU),
        Ok(path) => Finding::ok(Check::Shim, path.display().to_string()),
        Err(NoShim { of_runtime: true, .. }) => {
            Finding::unchecked(Check::Shim, "it is there, and cannot be opened without what xrt lacks")
        }
        Err(NoShim { why, fix, .. }) => Finding::problem(Check::Shim, why, fix),
    }
}

fn images(facts: &Facts) -> Finding {
    let Some((_, kind)) = npu::chosen(facts) else {
        return Finding::unchecked(Check::Images, npu::NO_NPU);
    };
    let Some(generation) = kind.generation else {
        return Finding::unchecked(Check::Images, "there are no kernels for this NPU");
    };
    let with_index =
        facts.images.iter().find(|images| images.indexed.iter().any(|indexed| indexed == generation));
    if let Some(images) = with_index {
        return Finding::ok(Check::Images, images.root.join(generation).display().to_string());
    }
    let what = match facts.images.first() {
        Some(images) => format!("{} has no index of {generation}", images.root.display()),
        None => {
            format!("no folder images/{generation} is beside the program, nor here, nor in your data folder")
        }
    };
    let fix = "build them on a machine with mlir-aie and Peano: `make -C kernels` (see kernels/README.md)";
    Finding::problem(Check::Images, what, fix)
}

fn model(facts: &Facts) -> Finding {
    match &facts.model {
        Ok(folder) => Finding::ok(Check::Model, folder.display().to_string()),
        Err((why, fix)) => Finding::problem(Check::Model, why, fix),
    }
}

fn compiler(facts: &Facts) -> Finding {
    match (&facts.compiler, &facts.cxx) {
        (Some(path), _) => Finding::ok(Check::Compiler, path.display().to_string()),
        (None, Some(cxx)) => Finding::problem(
            Check::Compiler,
            format!("the environment variable CXX names {cxx}, which is not there"),
            "set CXX to a C++20 compiler, or unset it",
        ),
        (None, None) => Finding::problem(
            Check::Compiler,
            "there is no C++ compiler (c++, g++, clang++)",
            "only --device emulator needs one: install g++ or clang (C++20), or name one in the environment variable CXX",
        ),
    }
}

#[cfg(test)]
mod tests;
