//! What the driver refuses: memory, instruction heap, opening.

use npu_backend::BufferRole::{Input, Output, Scratch, Weight};
use npu_backend::emulator::{Emulator, FaultPlan, OpenFault, probe};
use npu_backend::{Arch, Device, Error};

use crate::bench;

#[test]
fn the_memlock_limit_is_named_with_its_remedy() {
    let mut bench = bench(Emulator::builder().memlock_bytes(1 << 20));
    let first = bench.device.alloc(500_000, Weight).unwrap();
    let error = bench.device.alloc(500_000, Weight).unwrap_err().to_string();
    for part in ["500000 bytes", "memlock", "ulimit -l"] {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    bench.device.free(first).unwrap();
    bench.device.alloc(500_000, Weight).unwrap();
}

#[test]
fn capacity_is_a_limit_for_every_role() {
    let mut bench = bench(Emulator::builder().capacity_bytes(1 << 20));
    for role in [Input, Output, Weight, Scratch] {
        let error = bench.device.alloc(1 << 20, role).unwrap_err();
        assert!(matches!(&error, Error::Alloc { why, .. } if why.contains("ENOMEM")), "{error}");
        bench.device.alloc(4096, role).unwrap();
    }
}

/// The heap of 64 MiB is handed out in blocks of 32 KiB: 2048 instruction streams, however short.
#[test]
fn the_instruction_heap_holds_2048_streams_and_a_refused_image_leaves_nothing_behind() {
    let mut device = Emulator::builder().probe().open().unwrap();
    let mut image = probe::image(Arch::Aie2, 64, 0);
    let entry = image.entries[0].clone();
    image.entries = vec![entry.clone(); 1024];
    let first = device.load(&image).unwrap();
    device.load(&image).unwrap();
    let refused = |answer: Result<_, Error>| {
        let error = answer.err().unwrap();
        assert!(matches!(&error, Error::Alloc { why, .. } if why.contains("heap")), "{error}");
    };
    refused(device.add_kernel(first, &entry).map(drop));
    device.unload(first).unwrap();
    // A place short: what was taken before the last stream found none is given back.
    image.entries.push(entry.clone());
    (0..3).for_each(|_| refused(device.load(&image).map(drop)));
    image.entries.pop();
    device.load(&image).unwrap();
}

#[test]
fn a_device_that_does_not_open_says_why_and_what_to_do() {
    for (fault, parts) in [
        (OpenFault::NoNode, ["/dev/accel/accel0", "amdxdna driver"]),
        (OpenFault::Permission, ["EACCES", "group `render`"]),
    ] {
        let opened = Emulator::builder().faults(FaultPlan::none().refuse_open(fault)).open();
        let Err(error) = opened else { panic!("{fault:?} has opened") };
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "`{text}` lacks `{part}`");
        }
    }
}

#[test]
fn generations_differ_in_columns_and_contexts() {
    let info = |arch| Emulator::builder().arch(arch).probe().open().unwrap().info().clone();
    let (one, two) = (info(Arch::Aie2), info(Arch::Aie2p));
    assert_eq!((one.cores(), one.contexts), (16, 6));
    assert_eq!((two.cores(), two.contexts), (32, 16));
    assert!(one.modelled && two.modelled);
}
