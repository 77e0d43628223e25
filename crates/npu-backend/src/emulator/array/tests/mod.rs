//! The array against plain arithmetic: launches packed here, by hand and slowly, knowing only what the layouts say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attention;
mod direct;
mod faults;
mod gemm;
mod launch;
mod reference;

use super::*;
use crate::kernel::Channel;

fn array(arch: Arch, arithmetic: Arithmetic) -> Array {
    Array::new(arch, arithmetic).unwrap()
}

#[test]
fn a_core_has_the_memory_that_the_manifest_gives_it() {
    let manifest = Manifest::embedded().unwrap();
    let l1 = &manifest.image("encoder").unwrap().l1;
    let bytes = |name: &str| l1.iter().find(|buffer| buffer.name == name).unwrap().bytes as usize;
    for (name, want) in [
        ("A", l1::OBJECT_BYTES),
        ("B", l1::OBJECT_BYTES),
        ("C", l1::C_BYTES),
        ("acc", l1::ACC_BYTES),
        ("ml", l1::ML_BYTES),
        ("params", l1::PARAMETER_BYTES),
    ] {
        assert_eq!(bytes(name), want, "{name}");
    }
    // The scores lie in the last two slots of the ring for A.
    let ring = l1.iter().find(|buffer| buffer.name == "A").unwrap();
    assert_eq!((ring.count, l1::SCORES_BYTES), (parameters::STEP_GRANULE, 2 * l1::OBJECT_BYTES));
}
