//! Clause 2: order within a context, and none between contexts.

use npu_backend::BufferRole::{Input, Output, Scratch};
use npu_backend::emulator::probe::{BUMP, COPY};
use npu_backend::{Batch, Error, Launch, Progress};

use crate::devices::{Fixture, LEN, Trouble, bytes};

pub(crate) fn launches_of_a_batch_run_in_order_and_see_each_other(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, scratch, output) =
        (bench.filled(Input, &bytes(1)), bench.alloc(Scratch), bench.alloc(Output));
    // Longer than three of the driver's chains.
    let bumps = 3 * bench.device.info().launches_per_chain + 5;
    let mut launches = vec![bench.launch(COPY, &[&input, &scratch])];
    launches.extend((0..bumps).map(|_| bench.launch(BUMP, &[&scratch])));
    launches.push(bench.launch(COPY, &[&scratch, &output]));
    launches.push(bench.launch(BUMP, &[&scratch]));
    bench.run(launches);
    let raised = |by: usize| -> Vec<u8> {
        bytes(1).iter().map(|byte| byte.wrapping_add(u8::try_from(by % 256).unwrap())).collect()
    };
    assert_eq!(bench.read(&output), raised(bumps));
    assert_eq!(bench.read(&scratch), raised(bumps + 1));
}

pub(crate) fn batches_of_a_context_run_in_order_and_see_each_other(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (scratch, output) = (bench.filled(Scratch, &[5; LEN]), bench.alloc(Output));
    let bump = vec![bench.launch(BUMP, &[&scratch])];
    let copy = vec![bench.launch(COPY, &[&scratch, &output])];
    let tickets = [bump.clone(), bump.clone(), copy, bump].map(|batch| bench.submit(batch).unwrap());
    for ticket in tickets {
        assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    }
    assert_eq!((bench.read(&output), bench.read(&scratch)), (vec![7; LEN], vec![8; LEN]));
}

pub(crate) fn tickets_may_be_waited_for_in_any_order(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let scratch = bench.alloc(Scratch);
    let bump = vec![bench.launch(BUMP, &[&scratch])];
    let tickets = [(); 3].map(|()| bench.submit(bump.clone()).unwrap());
    for ticket in [tickets[2], tickets[0], tickets[1]] {
        assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    }
    assert_eq!(bench.read(&scratch), [3; LEN]);
}

pub(crate) fn more_batches_than_the_queue_holds_all_run(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let scratch = bench.alloc(Scratch);
    let batches = 5 * bench.device.info().queued_submissions;
    let bump = vec![bench.launch(BUMP, &[&scratch])];
    let tickets: Vec<_> = (0..batches).map(|_| bench.submit(bump.clone()).unwrap()).collect();
    for ticket in tickets {
        assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    }
    assert_eq!(bench.read(&scratch), [u8::try_from(batches).unwrap(); LEN]);
}

pub(crate) fn a_race_between_contexts_is_refused_and_sharing_for_reading_is_not(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let other = bench.device.load(&fixture.image()).unwrap();
    let (read, written) = (bench.filled(Scratch, &bytes(1)), bench.filled(Scratch, &bytes(2)));
    let (left, right) = (bench.alloc(Output), bench.alloc(Output));
    let first =
        bench.submit(vec![bench.launch(COPY, &[&read, &left]), bench.launch(BUMP, &[&written])]).unwrap();
    let elsewhere = |launch: Launch| {
        let kernel = other.kernel(launch.kernel.entry());
        Batch::new(vec![Launch { kernel, ..launch }]).unwrap()
    };
    let both_read = elsewhere(bench.launch(COPY, &[&read, &right]));
    let shared = bench.device.submit(&both_read).unwrap();
    let races = [
        elsewhere(bench.launch(BUMP, &[&read])),
        elsewhere(bench.launch(COPY, &[&written, &right])),
        elsewhere(bench.launch(BUMP, &[&written])),
        elsewhere(bench.launch(COPY, &[&read, &left])),
    ];
    for race in &races {
        assert!(matches!(bench.device.submit(race), Err(Error::Busy { .. })), "{race:?}");
    }
    for ticket in [first, shared] {
        assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    }
    assert_eq!((bench.read(&left), bench.read(&right)), (bytes(1), bytes(1)));
    // Once nobody is in flight there is no race.
    for race in &races {
        let ticket = bench.device.submit(race).unwrap();
        assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    }
}
