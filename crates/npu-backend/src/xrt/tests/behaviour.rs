//! What the device makes of what the table answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::bindings::{
    XRT_SHIM_CAUSE_FORGOTTEN, XRT_SHIM_CAUSE_MEMORY, XRT_SHIM_CAUSE_RUNTIME, XRT_SHIM_CAUSE_SYSTEM,
};
use super::super::device::XrtDevice;
use super::fake::{self, Script, seen};
use crate::BufferRole::{Input, Output, Scratch, Weight};
use crate::emulator::probe::{self, ADD, BUMP, COPY};
use crate::{
    Arch, Batch, Buffer, CommandState, ContextId, Device, Error, KernelImage, Launch, Progress, Result,
};

const LEN: usize = 100;

fn image() -> KernelImage {
    KernelImage { configuration: b"xclbin2\0rest".to_vec(), ..probe::image(Arch::Aie2, 100, 0) }
}

fn ready(script: Script) -> (XrtDevice, ContextId) {
    let mut device = XrtDevice::open_through(fake::shim(script)).unwrap();
    let context = device.load(&image()).unwrap();
    (device, context)
}

fn bumps(context: ContextId, buffer: &Buffer, count: usize) -> Batch {
    Batch::new(vec![Launch { kernel: context.kernel(BUMP), buffers: vec![buffer.id()] }; count]).unwrap()
}

fn told(answer: Result<Progress>) -> (usize, CommandState) {
    match answer {
        Err(Error::Launch { index, state, .. }) => (index, state),
        other => panic!("{other:?}"),
    }
}

#[test]
fn buffers_made_before_the_first_image_move_to_the_bank_that_it_names() {
    let mut device = XrtDevice::open_through(fake::shim(Script::default())).unwrap();
    let (early, output) = (device.alloc(LEN, Input).unwrap(), device.alloc(LEN, Output).unwrap());
    device.host_mut(early.id()).unwrap().fill(7);
    device.push(early.id(), 0..LEN).unwrap();
    let context = device.load(&image()).unwrap();
    let copy = Launch { kernel: context.kernel(COPY), buffers: vec![early.id(), output.id()] };
    let ticket = device.submit(&Batch::new(vec![copy]).unwrap()).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    assert_eq!(device.host(output.id()).unwrap(), [0; LEN]);
    device.pull(output.id(), 0..LEN).unwrap();
    assert_eq!(device.host(output.id()).unwrap(), [7; LEN]);
}

#[test]
fn both_sides_begin_as_zeros_whatever_the_driver_gives() {
    let (mut device, context) = ready(Script::default());
    let (input, weight, output) = (
        device.alloc(LEN, Input).unwrap(),
        device.alloc(LEN, Weight).unwrap(),
        device.alloc(LEN, Output).unwrap(),
    );
    assert_eq!(device.host(input.id()).unwrap(), [0; LEN]);
    let add = Launch { kernel: context.kernel(ADD), buffers: vec![input.id(), weight.id(), output.id()] };
    let ticket = device.submit(&Batch::new(vec![add]).unwrap()).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    device.pull(output.id(), 0..LEN).unwrap();
    assert_eq!(device.host(output.id()).unwrap(), [0; LEN]);
}

#[test]
fn a_batch_is_cut_in_chains_and_the_same_batch_makes_no_command_again() {
    let (mut device, context) = ready(Script::default());
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let batch = bumps(context, &scratch, 60);
    for round in 1..4 {
        let ticket = device.submit(&batch).unwrap();
        assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
        let seen = seen();
        assert_eq!((seen.runs_made, seen.submissions, seen.longest_chain), (60, 3 * round, 24));
    }
    assert_eq!(device.counters().submissions, 9);
    device.pull(scratch.id(), 0..LEN).unwrap();
    assert_eq!(device.host(scratch.id()).unwrap(), [180; LEN]);
    // In flight twice, it needs commands twice, once.
    for _ in 0..2 {
        let tickets = [device.submit(&batch).unwrap(), device.submit(&batch).unwrap()];
        for ticket in tickets {
            assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
        }
        assert_eq!(seen().runs_made, 120);
    }
}

#[test]
fn the_steady_state_allocates_nothing() {
    let (mut device, context) = ready(Script::default());
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let batch = bumps(context, &scratch, 30);
    let mut round = || {
        let ticket = device.submit(&batch).unwrap();
        assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    };
    (0..3).for_each(|_| round());
    // The scripted device computes with vectors, so the launches are taken out: they complete by the script.
    fake::rewrite(|script| script.ends = (0..1000).map(|number| (number, 4)).collect());
    let counted = allocation_counter::measure(|| (0..10).for_each(|_| round()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_freed_buffer_takes_the_commands_that_hold_it_along() {
    let (mut device, context) = ready(Script::default());
    let before = seen().live;
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let batch = bumps(context, &scratch, 3);
    for _ in 0..2 {
        let ticket = device.submit(&batch).unwrap();
        assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    }
    assert!(seen().live > before);
    device.free(scratch).unwrap();
    assert_eq!(seen().live, before);
    let id = batch.launches()[0].buffers[0];
    assert_eq!(device.submit(&batch), Err(Error::UnknownBuffer(id)));
}

#[test]
fn everything_is_given_back() {
    let (mut device, context) = ready(Script::default());
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let kept = device.submit(&bumps(context, &scratch, 30)).unwrap();
    assert_eq!(device.wait(kept, None).unwrap(), Progress::Done);
    device.load(&image()).unwrap();
    device.submit(&bumps(context, &scratch, 2)).unwrap();
    let waits = seen().waits;
    drop(device);
    assert_eq!(seen().live, 0);
    assert!(seen().waits > waits, "what is in flight is waited for");
}

#[test]
fn an_expired_wait_is_not_the_device_s_timeout() {
    let ends = BTreeMap::from([(1, 8)]);
    let (mut device, context) = ready(Script { ends, slow: 2, ..Script::default() });
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let ticket = device.submit(&bumps(context, &scratch, 3)).unwrap();
    assert_eq!(device.wait(ticket, Some(Duration::ZERO)).unwrap(), Progress::Running);
    assert_eq!(device.wait(ticket, Some(Duration::from_secs(1))).unwrap(), Progress::Running);
    assert!(matches!(device.pull(scratch.id(), 0..1), Err(Error::Busy { .. })));
    assert_eq!(told(device.wait(ticket, Some(Duration::MAX))), (1, CommandState::Timeout));
    assert_eq!(device.wait(ticket, None), Err(Error::UnknownTicket(ticket)));
}

#[test]
fn the_first_failure_of_a_batch_is_told_with_its_number_in_the_batch() {
    // 30 launches: one fails in the second chain, where ERROR is 5; and one after the batch.
    let ends = BTreeMap::from([(26, 5)]);
    let (mut device, context) = ready(Script { ends, ..Script::default() });
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let ticket = device.submit(&bumps(context, &scratch, 30)).unwrap();
    assert_eq!(told(device.wait(ticket, None)), (26, CommandState::Error));
    assert_eq!(device.counters().failed_batches, 1);
    let next = device.submit(&bumps(context, &scratch, 1)).unwrap();
    assert_eq!(device.wait(next, None).unwrap(), Progress::Done);
}

#[test]
fn what_the_driver_does_not_take_is_told_at_the_wait_and_the_context_is_made_anew() {
    // EIO for the second of two chains: a context that the driver could not start again after a hang.
    let refusals = BTreeMap::from([(1, 5)]);
    let (mut device, context) = ready(Script { refusals, ..Script::default() });
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let batch = bumps(context, &scratch, 25);
    let ticket = device.submit(&batch).unwrap();
    assert_eq!(seen().contexts, 1);
    assert_eq!(told(device.wait(ticket, None)), (24, CommandState::Abort));
    let again = device.submit(&batch).unwrap();
    assert_eq!(device.wait(again, None).unwrap(), Progress::Done);
    assert_eq!(seen().contexts, 2);
    // The same context for its owner: its streams and its number are kept.
    device.unload(context).unwrap();
}

#[test]
fn a_context_is_made_anew_with_every_place_taken_and_by_the_next_submission_if_that_fails() {
    const EIO: i32 = 5;
    let refusals = BTreeMap::from([(0, EIO)]);
    // The seventh context is the first one's second.
    let context_fails = BTreeMap::from([(6, EIO)]);
    let (mut device, context) = ready(Script { refusals, context_fails, ..Script::default() });
    for _ in 1..6 {
        device.load(&image()).unwrap();
    }
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let batch = bumps(context, &scratch, 1);
    let ticket = device.submit(&batch).unwrap();
    assert_eq!(told(device.wait(ticket, None)), (0, CommandState::Abort));
    // In the driver's words, because places are not what it lacks.
    let error = device.submit(&batch).unwrap_err();
    assert!(matches!(&error, Error::Image { why } if why.contains("scripted")), "{error}");
    let ticket = device.submit(&batch).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    assert_eq!(seen().contexts, 8);
}

#[test]
fn a_wait_that_does_not_say_how_a_launch_stands_ends_nothing() {
    const EINTR: i32 = 4;
    let waits = BTreeMap::from([
        (0, (XRT_SHIM_CAUSE_SYSTEM, EINTR)),
        (1, (XRT_SHIM_CAUSE_MEMORY, 0)),
        (2, (XRT_SHIM_CAUSE_RUNTIME, 0)),
    ]);
    for count in [1, 3] {
        let (mut device, context) = ready(Script { waits: waits.clone(), ..Script::default() });
        let scratch = device.alloc(LEN, Scratch).unwrap();
        let ticket = device.submit(&bumps(context, &scratch, count)).unwrap();
        assert_eq!(device.wait(ticket, Some(Duration::ZERO)).unwrap(), Progress::Running);
        assert!(matches!(device.pull(scratch.id(), 0..1), Err(Error::Busy { .. })));
        assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
        assert_eq!(seen().waits, 4);
    }
    // One that never says it has lost the device, and what is in flight with it.
    let waits = (0..1000).map(|number| (number, (XRT_SHIM_CAUSE_RUNTIME, 0))).collect();
    let (mut device, context) = ready(Script { waits, ..Script::default() });
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let ticket = device.submit(&bumps(context, &scratch, 1)).unwrap();
    assert!(matches!(device.wait(ticket, None), Err(Error::DeviceLost { why }) if why.contains("scripted")));
    assert!(matches!(device.host_mut(scratch.id()), Err(Error::DeviceLost { .. })));
}

#[test]
fn a_forgotten_launch_has_ended_and_its_context_is_made_anew() {
    let waits = BTreeMap::from([(0, (XRT_SHIM_CAUSE_FORGOTTEN, 1))]);
    let (mut device, context) = ready(Script { waits, ..Script::default() });
    let scratch = device.alloc(LEN, Scratch).unwrap();
    let ticket = device.submit(&bumps(context, &scratch, 2)).unwrap();
    assert_eq!(told(device.wait(ticket, None)), (0, CommandState::Abort));
    assert!(device.host_mut(scratch.id()).is_ok());
    assert_eq!(seen().contexts, 1);
    let ticket = device.submit(&bumps(context, &scratch, 2)).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    assert_eq!(seen().contexts, 2);
}

#[test]
fn buffers_move_to_the_device_all_or_none() {
    const ENOMEM: i32 = 12;
    // Three streams, then buffers, the second of which finds no room.
    let streams = image().entries.len() as u64;
    let bo_fails = BTreeMap::from([(streams + 1, ENOMEM)]);
    let mut device = XrtDevice::open_through(fake::shim(Script { bo_fails, ..Script::default() })).unwrap();
    let buffers = [Input, Weight, Output].map(|role| device.alloc(LEN, role).unwrap());
    device.host_mut(buffers[0].id()).unwrap().fill(7);
    let before = seen().live;
    assert!(matches!(device.load(&image()), Err(Error::Alloc { len_bytes: LEN, .. })));
    assert_eq!(seen().live, before);
    let context = device.load(&image()).unwrap();
    let add = Launch { kernel: context.kernel(ADD), buffers: buffers.iter().map(Buffer::id).collect() };
    let ticket = device.submit(&Batch::new(vec![add]).unwrap()).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    device.pull(buffers[2].id(), 0..LEN).unwrap();
    assert_eq!(device.host(buffers[2].id()).unwrap(), [7; LEN]);
}

#[test]
fn a_device_that_goes_is_lost_for_every_verb() {
    const ENODEV: i32 = 19;
    for script in [
        Script { ends: BTreeMap::from([(0, -ENODEV)]), ..Script::default() },
        Script { refusals: BTreeMap::from([(0, ENODEV)]), ..Script::default() },
    ] {
        let (mut device, context) = ready(script);
        let scratch = device.alloc(LEN, Scratch).unwrap();
        let ticket = device.submit(&bumps(context, &scratch, 1)).unwrap();
        assert!(matches!(device.wait(ticket, None), Err(Error::DeviceLost { .. })));
        assert!(matches!(device.host(scratch.id()), Err(Error::DeviceLost { .. })));
        assert!(matches!(device.load(&image()), Err(Error::DeviceLost { .. })));
        let waits = seen().waits;
        drop(device);
        assert_eq!((seen().live, seen().waits), (0, waits), "nobody waits for a device that has gone");
    }
}

#[test]
fn an_image_that_is_connected_to_other_banks_is_refused() {
    let banks = BTreeMap::from([(5, 1)]);
    let mut device = XrtDevice::open_through(fake::shim(Script { banks, ..Script::default() })).unwrap();
    let before = seen().live;
    let error = device.load(&image()).unwrap_err();
    assert!(
        matches!(&error, Error::Image { why } if why.contains("argument 5") && why.contains("bank")),
        "{error}"
    );
    assert_eq!(seen().live, before, "a refused image leaves nothing behind");
}

#[test]
fn images_that_are_none_for_silicon_are_refused() {
    let mut device = XrtDevice::open_through(fake::shim(Script::default())).unwrap();
    let modelled = probe::image(Arch::Aie2, 100, 0);
    assert!(matches!(device.load(&modelled), Err(Error::Image { why }) if why.contains("make -C kernels")));
    let mut many = image();
    many.entries[0].arguments = vec![many.entries[0].arguments[0]; 6];
    assert!(matches!(device.load(&many), Err(Error::Image { why }) if why.contains("no argument 8")));
    for _ in 0..6 {
        device.load(&image()).unwrap();
    }
    assert_eq!(device.load(&image()), Err(Error::NoContext { limit: 6 }));
}

#[test]
fn a_processor_of_another_kind_is_named() {
    let script = Script { name: "RyzenAI-npu9".into(), ..Script::default() };
    let error = XrtDevice::open_through(fake::shim(script)).err().unwrap().to_string();
    assert!(error.contains("RyzenAI-npu9") && error.contains("--device cpu"), "{error}");
    assert_eq!(seen().live, 0);
}

#[test]
fn cards_that_xrt_lists_first_are_passed_over() {
    let device = XrtDevice::open_through(fake::shim(Script { first_npu: 2, ..Script::default() })).unwrap();
    assert_eq!((device.info().name.as_str(), seen().live), ("RyzenAI-npu1", 1));
}

#[test]
fn memory_that_cannot_be_had_is_an_alloc_error() {
    let (mut device, _) = ready(Script::default());
    for len_bytes in [(1 << 30) + 1, 1 << 50, usize::MAX] {
        assert!(
            matches!(device.alloc(len_bytes, Input), Err(Error::Alloc { len_bytes: told, .. }) if told == len_bytes)
        );
    }
    let open = Script { open: Some(13), ..Script::default() };
    let error = XrtDevice::open_through(fake::shim(open)).err().unwrap().to_string();
    assert!(error.contains("no permission") && error.contains("render"), "{error}");
}
