//! Clause 1: two copies of each buffer, and what carries bytes between them.

use npu_backend::BufferRole::{Input, Output, Scratch, Weight};
use npu_backend::emulator::probe::{ADD, BUMP, COPY};

use crate::devices::{Fixture, LEN, Trouble, bytes};

pub(crate) fn both_copies_start_as_zeros(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output, scratch) = (bench.alloc(Input), bench.alloc(Output), bench.alloc(Scratch));
    assert_eq!(bench.host(input.id()), [0; LEN]);
    assert_eq!(bench.host(scratch.id()), [0; LEN]);
    bench.run(vec![bench.launch(COPY, &[&input, &output]), bench.launch(BUMP, &[&scratch])]);
    assert_eq!(bench.read(&output), [0; LEN]);
    assert_eq!(bench.read(&scratch), [1; LEN]);
}

pub(crate) fn a_push_and_a_pull_carry_bytes_there_and_back(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output) = (bench.alloc(Input), bench.alloc(Output));
    for seed in 0..3 {
        bench.device.host_mut(input.id()).unwrap().copy_from_slice(&bytes(seed));
        bench.device.push(input.id(), 0..LEN).unwrap();
        bench.run(vec![bench.launch(COPY, &[&input, &output])]);
        assert_eq!(bench.read(&output), bytes(seed));
    }
}

pub(crate) fn ranges_are_carried_apart(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output) = (bench.alloc(Input), bench.alloc(Output));
    let want = bytes(1);
    bench.device.host_mut(input.id()).unwrap().copy_from_slice(&want);
    // In three pieces, the middle one last; lines of 64 bytes end at 320 and 640.
    bench.device.push(input.id(), 0..320).unwrap();
    bench.device.push(input.id(), 640..LEN).unwrap();
    bench.run(vec![bench.launch(COPY, &[&input, &output])]);
    bench.device.pull(output.id(), 700..LEN).unwrap();
    assert_eq!(bench.host(output.id())[700..], want[700..]);
    bench.device.pull(output.id(), 0..10).unwrap();
    assert_eq!(bench.host(output.id())[..10], want[..10]);
    bench.device.push(input.id(), 320..640).unwrap();
    bench.run(vec![bench.launch(COPY, &[&input, &output])]);
    assert_eq!(bench.read(&output), want);
}

pub(crate) fn a_cleared_and_pushed_output_keeps_what_the_launch_writes(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output) = (bench.filled(Input, &bytes(2)), bench.filled(Output, &[9; LEN]));
    bench.run(vec![bench.launch(COPY, &[&input, &output])]);
    assert_eq!(bench.read(&output), bytes(2));
}

pub(crate) fn a_resident_weight_is_pushed_once(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let weight = bench.filled(Weight, &bytes(3));
    let (input, output) = (bench.alloc(Input), bench.alloc(Output));
    for seed in 4..8 {
        bench.device.host_mut(input.id()).unwrap().copy_from_slice(&bytes(seed));
        bench.device.push(input.id(), 0..LEN).unwrap();
        bench.run(vec![bench.launch(ADD, &[&input, &weight, &output])]);
        let want: Vec<u8> = bytes(seed).iter().zip(bytes(3)).map(|(a, b)| a.wrapping_add(b)).collect();
        assert_eq!(bench.read(&output), want);
    }
}
