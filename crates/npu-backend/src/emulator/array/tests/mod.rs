//! The array against plain arithmetic: launches packed here, by hand and slowly, knowing only what the layouts say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gemm;
mod launch;

use std::sync::{Arc, OnceLock};

use super::compile::{Sources, library};
use super::native::Kernels;
use super::toolchain::Toolchain;
use super::*;

const TEMPORARY: &str = r#"
version = 1
[reorder]
a = [[16, 4], [16, 256], [4, 64], [4, 1]]
b = [[4, 256], [16, 2], [8, 32], [2, 1]]
c = [[16, 128], [4, 2], [16, 8], [2, 1]]
[[image]]
name = "encoder"
kind = "streamed"
arches = ["aie2", "aie2p"]
design = "designs/encoder.py"
stack_bytes = 3328
l1 = [ { name = "A", bytes = 4096, count = 2 } ]
"#;

fn array(arch: Arch, arithmetic: Arithmetic) -> Array {
    let mut manifest = TEMPORARY.to_owned();
    for (op, name) in (1..).zip(["a", "b", "c", "d", "e", "f"]) {
        manifest += &format!(
            "[[kernel]]\nname=\"{name}\"\nimage=\"encoder\"\nop={op}\nm=64\nk=32\nn=64\npeak_macs=128\nefficiency=0.78\n"
        );
    }
    static OPEN: [OnceLock<Arc<Kernels>>; 2] = [const { OnceLock::new() }; 2];
    let kernels = |exact| {
        let open = || {
            let mut tiles = npu_kernels::SOURCES.to_vec();
            tiles.push(("stub.cc", "extern \"C\" { void attention_i8_scores(){} void attention_i8_softmax(){} void attention_i8_values(){} void attention_i8_end(){} }"));
            let sources = Sources { tiles: &tiles, headers: npu_kernels::HOST_HEADERS };
            let cache = cache::Cache::of_user().unwrap();
            Arc::new(library(sources, exact, &Toolchain::find().unwrap(), &cache).unwrap())
        };
        Arc::clone(OPEN[usize::from(exact)].get_or_init(open))
    };
    let kernels = match arithmetic {
        Arithmetic::Exact => Some(kernels(true)),
        Arithmetic::Fast => Some(kernels(false)),
        Arithmetic::Off => None,
    };
    Array::with(arch, kernels, Manifest::parse(&manifest).unwrap()).unwrap()
}
