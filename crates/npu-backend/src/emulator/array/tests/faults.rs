//! Launches that go wrong: each ends in its own fault, and in no other.

use super::launch::{A, B, C, Launch, Parameters, a_rows};
use super::*;
use crate::kernel::{Drain, Segment, TapDim};
use crate::{BufferRole, KernelImage};

/// One output tile a core: K = 128 in bf16.
fn good() -> Launch {
    let mut launch = Launch::new(4, vec![0; 256 * 256], 256 * 512);
    for row in 0..4 {
        launch.feed_a(row, a_rows(64 * row as usize * 256, 256, 256), 1);
    }
    for column in 0..4 {
        let mut objects = Parameters::new(1, 0, 4).object();
        objects.resize(5 * 4096, 0);
        launch.feed_b(column, &objects);
        launch.drain(column, 128 * column as usize, 512);
    }
    launch
}

fn off() -> Array {
    array(Arch::Aie2, Arithmetic::Off)
}

#[track_caller]
fn fault(change: impl FnOnce(&mut Launch)) -> ArrayFault {
    let mut launch = good();
    launch.run(&off()).unwrap();
    change(&mut launch);
    launch.run(&off()).unwrap_err()
}

fn segments(launch: &mut Launch, channel: Channel) -> impl Iterator<Item = &mut Segment> {
    launch.program.segments.iter_mut().filter(move |segment| segment.channel == channel)
}

#[test]
fn a_core_whose_stream_ends_hangs() {
    let hang = fault(|launch| launch.program.segments.retain(|segment| segment.channel != Channel::A(2)));
    assert!(matches!(hang, ArrayFault::Hang { port: Port::A(2), object: 0, available: 0, .. }), "{hang}");
    assert!(hang.to_string().contains("core (row 2, column 0) waits for object 0 of the A stream of row 2"));

    let hang = fault(|launch| segments(launch, Channel::B(3)).for_each(|s| s.tap.run_bytes -= 4096));
    assert!(matches!(hang, ArrayFault::Hang { port: Port::B(3), object: 4, .. }), "{hang}");

    // More steps than blocks come: B ends after four, A as well, and a core takes A first.
    let steps = |launch: &mut Launch| launch.b[..4096].copy_from_slice(&Parameters::new(1, 0, 8).object());
    let hang = fault(steps);
    assert!(matches!(hang, ArrayFault::Hang { port: Port::A(0), object: 4, .. }), "{hang}");

    // A residual that is not sent.
    let residual = |launch: &mut Launch| launch.b[..4096].copy_from_slice(&Parameters::new(1, 2, 4).object());
    let hang = fault(residual);
    assert!(matches!(hang, ArrayFault::Hang { port: Port::A(0), object: 4, .. }), "{hang}");
}

#[test]
fn objects_that_nobody_takes_are_told() {
    let left = fault(|launch| segments(launch, Channel::A(1)).for_each(|s| s.replay = 3));
    assert_eq!(left, ArrayFault::Unconsumed { port: Port::A(1), object: 4, left: 8 });

    // A block of B more on one column: it is taken for parameters.
    let left = fault(|launch| launch.feed_b(0, &[0; 4096]));
    assert!(
        matches!(&left, ArrayFault::Parameters { object: 5, why, .. } if why.contains("magic")),
        "{left}"
    );
}

#[test]
fn outputs_and_drains_must_meet() {
    let hang = fault(|launch| launch.program.drains.retain(|drain| drain.column != 1));
    assert!(
        matches!(&hang, ArrayFault::Hang { waiter, port: Port::C(1), object: 0, .. } if waiter.contains("core")),
        "{hang}"
    );
    let hang = fault(|launch| launch.drain(2, 0, 512));
    assert!(
        matches!(&hang, ArrayFault::Hang { waiter, port: Port::C(2), object: 1, .. } if waiter.contains("drain")),
        "{hang}"
    );
    // Half an object of int8 never leaves its core.
    let half = |launch: &mut Launch| {
        launch.b.chunks_exact_mut(5 * 4096).for_each(|objects| {
            objects[..4096].copy_from_slice(&Parameters::new(4, 0, 4).object());
        });
    };
    let hang = fault(half);
    assert!(
        matches!(&hang, ArrayFault::Hang { waiter, port: Port::C(0), object: 0, .. } if waiter.contains("drain")),
        "{hang}"
    );
}

#[test]
fn another_operation_between_two_halves_is_told() {
    let fault = fault(|launch| {
        launch.program.segments.iter_mut().for_each(|segment| segment.replay = 2);
        let column = launch.b[..5 * 4096].to_vec();
        launch.program.segments.retain(|segment| segment.channel != Channel::B(0));
        launch.feed_b(0, &[Parameters::new(4, 0, 4).object(), column[4096..].to_vec()].concat());
        launch.feed_b(0, &column);
    });
    assert!(
        matches!(&fault, ArrayFault::Parameters { object: 5, why, .. } if why.contains("half an object")),
        "{fault}"
    );
}

#[test]
fn taps_that_leave_their_argument_fault_loudly() {
    let out = fault(|launch| segments(launch, Channel::A(3)).for_each(|s| s.tap.offset_bytes += 4));
    let bytes = 256 * 256;
    assert_eq!(
        out,
        ArrayFault::OutOfRange { port: Port::A(3), argument: A, end_bytes: bytes + 4, len_bytes: bytes }
    );
    let out = fault(|launch| launch.b.truncate(4 * 5 * 4096 - 1));
    assert!(matches!(out, ArrayFault::OutOfRange { port: Port::B(3), argument: B, .. }), "{out}");
    let out = fault(|launch| launch.c_bytes -= 1);
    assert!(matches!(out, ArrayFault::OutOfRange { port: Port::C(3), argument: C, .. }), "{out}");

    let array = off();
    let launch = good();
    let image = array.load(&launch.image()).unwrap();
    let out = array.run(&image, 0, &[&launch.a, &launch.b]).unwrap_err();
    assert!(matches!(out, ArrayFault::OutOfRange { argument: C, len_bytes: 0, .. }), "{out}");
    let none = array.run(&image, 1, &[&launch.a, &launch.b, &launch.a]).unwrap_err();
    assert_eq!(none, ArrayFault::NoEntry { entry: 1, entries: 1 });
}

#[test]
fn the_same_faults_end_launches_that_compute() {
    let array = array(Arch::Aie2, Arithmetic::Fast);
    let mut launch = good();
    assert!(launch.run(&array).is_ok());
    launch.b[0] ^= 1;
    assert!(matches!(launch.run(&array), Err(ArrayFault::Parameters { object: 0, .. })));
    launch.c_bytes -= 1;
    assert!(matches!(launch.run(&array), Err(ArrayFault::OutOfRange { .. })));
}

#[track_caller]
fn refused(reason: &str, change: impl FnOnce(&mut Launch)) {
    let mut launch = good();
    change(&mut launch);
    let error = off().load(&launch.image()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(reason), "`{error}` lacks `{reason}`");
}

#[test]
fn programs_that_no_array_could_run_are_refused_at_load() {
    refused("whole 4-byte words", |launch| launch.program.drains[0].tap.offset_bytes += 2);
    refused("objects of 16384 bytes", |launch| launch.program.segments[0].tap.dims[3].size = 63);
    refused("objects of 32768 bytes", |launch| launch.program.drains[0].tap.dims[3].size = 255);
    refused("more than 16777216 objects", |launch| launch.program.segments[0].replay = u32::MAX);
    refused("more than 16777216 objects", |launch| {
        launch.program.segments[5].tap.dims = [TapDim { size: u32::MAX, stride_bytes: 0 }; 4];
    });
    refused("no argument 3", |launch| launch.program.segments[0].tap.argument = 3);
    refused("argument 1, which is not written", |launch| launch.program.drains[0].tap.argument = B);
    refused("2 columns of 4", |launch| {
        launch.program.columns = 2;
        launch.program.segments.retain(|s| !matches!(s.channel, Channel::B(2 | 3)));
        launch.program.drains.retain(|drain| drain.column < 2);
    });
}

#[test]
fn what_a_memtile_cannot_hold_is_refused_at_load() {
    // 480 KiB are left beside the join of C; 8 KiB of B pass through.
    let keep = |objects: u32| {
        move |launch: &mut Launch| {
            let tap = Tap::nested(A, 0, 256, &[(objects, 0), (64, 256)]);
            launch.program.segments[0] = Segment { channel: Channel::A(0), tap, replay: 2 };
        }
    };
    refused("memtile 0 would have to hold", keep(30));
    let mut launch = good();
    keep(29)(&mut launch);
    assert!(off().load(&launch.image()).is_ok());
    // Sent once, it need not be held.
    keep(30)(&mut launch);
    launch.program.segments[0].replay = 1;
    assert!(off().load(&launch.image()).is_ok());
}

#[test]
fn images_that_are_not_for_this_array_are_refused() {
    let image = good().image();
    let refusal = |image: KernelImage| off().load(&image).map(|_| ()).unwrap_err();
    let other = KernelImage { arch: Arch::Aie2p, ..image.clone() };
    assert!(matches!(refusal(other), Error::WrongArch { image: Arch::Aie2p, device: Arch::Aie2 }));
    let unknown = crate::kernel::image::streamed("decoder", Arch::Aie2, &[]);
    assert!(refusal(unknown).to_string().contains("no image decoder"));
    let mut damaged = image.clone();
    damaged.entries[0].instructions[0] ^= 1;
    assert!(refusal(damaged).to_string().contains("entry test"));
    let mut written = image;
    written.entries[0].arguments[2].role = BufferRole::Input;
    assert!(refusal(written).to_string().contains("not written"));
}

#[test]
fn drains_of_a_column_take_its_outputs_in_order() {
    // Two objects of a column by one drain of 512 rows, as by two of 256.
    let mut launch = good();
    launch.program.segments.iter_mut().for_each(|segment| segment.replay = 2);
    launch.c_bytes *= 2;
    for column in 0..4 {
        launch.drain(column, 256 * 512 + 128 * column as usize, 512);
    }
    let (_, c) = launch.run(&array(Arch::Aie2, Arithmetic::Fast)).unwrap();
    launch.program.drains.clear();
    for column in 0..4 {
        let tap = Tap::nested(C, 128 * column, 128, &[(512, 512)]);
        launch.program.drains.push(Drain { column, tap });
    }
    let (_, same) = launch.run(&array(Arch::Aie2, Arithmetic::Fast)).unwrap();
    assert!(c == same && c.iter().all(|&byte| byte == 0));
}
