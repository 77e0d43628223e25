//! Clause 4: what is refused at submit, what is told at wait, and how the device goes on.

use std::time::Duration;

use npu_backend::BufferRole::{Input, Output, Scratch, Weight};
use npu_backend::emulator::probe::{ADD, BUMP, COPY};
use npu_backend::{Batch, BufferId, CommandState, Error, Progress};

use crate::devices::{Fixture, LEN, Trouble, bytes};

pub(crate) fn what_can_be_checked_is_refused_at_submit_without_a_trace(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output, weight) = (bench.filled(Input, &bytes(1)), bench.alloc(Output), bench.alloc(Weight));
    let (scratch, short) = (bench.alloc(Scratch), bench.device.alloc(LEN - 1, Input).unwrap());
    let good = bench.launch(COPY, &[&input, &output]);
    let kernel = good.kernel;
    let mut nowhere = good.clone();
    nowhere.kernel = bench.context.kernel(3);
    let mut unknown = good.clone();
    unknown.buffers[0] = BufferId(u64::MAX);
    let before = bench.device.counters();
    for (launch, want) in [
        (nowhere.clone(), Error::UnknownKernel(nowhere.kernel)),
        (unknown, Error::UnknownBuffer(BufferId(u64::MAX))),
        (bench.launch(COPY, &[&input]), Error::ArgumentCount { index: 1, kernel, want: 2, got: 1 }),
        (
            bench.launch(COPY, &[&input, &weight]),
            Error::ArgumentBuffer {
                index: 1,
                argument: 1,
                want_role: Output,
                want_len: LEN,
                got_role: Weight,
                got_len: LEN,
            },
        ),
        (
            bench.launch(COPY, &[&short, &output]),
            Error::ArgumentBuffer {
                index: 1,
                argument: 0,
                want_role: Input,
                want_len: LEN,
                got_role: Input,
                got_len: LEN - 1,
            },
        ),
        (
            bench.launch(COPY, &[&scratch, &scratch]),
            Error::ArgumentAlias { index: 1, buffer: scratch.id(), first: 0, second: 1 },
        ),
        (
            bench.launch(ADD, &[&scratch, &weight, &scratch]),
            Error::ArgumentAlias { index: 1, buffer: scratch.id(), first: 0, second: 2 },
        ),
    ] {
        assert_eq!(bench.submit(vec![good.clone(), launch]), Err(want));
        // Nothing is held, nothing has run, nothing is counted.
        assert!(bench.device.host_mut(output.id()).is_ok());
    }
    assert_eq!(bench.device.counters(), before);
    bench.device.push(output.id(), 0..LEN).unwrap();
    assert_eq!(bench.read(&output), [0; LEN]);
}

pub(crate) fn a_failed_launch_is_named_by_the_wait_and_the_device_goes_on(fixture: &Fixture) {
    // In the second chain, between one that completes and one of which the contract leaves open whether it runs.
    let per_chain = (fixture.open)(Trouble::None).info().launches_per_chain;
    let failing = per_chain + 3;
    let mut bench = fixture.ready(Trouble::ErrorAt(failing as u64));
    let (input, output, scratch) =
        (bench.filled(Input, &bytes(1)), bench.alloc(Output), bench.filled(Scratch, &[0; LEN]));
    let mut launches = vec![bench.launch(COPY, &[&input, &output]); failing];
    launches.push(bench.launch(BUMP, &[&scratch]));
    launches.extend(vec![bench.launch(COPY, &[&input, &output]); per_chain]);
    let ticket = bench.submit(launches).unwrap();
    let next = bench.submit(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    match bench.device.wait(ticket, None) {
        Err(Error::Launch { ticket: told, index, kernel, state, why }) => {
            assert_eq!((told, index, kernel), (ticket, failing, bench.context.kernel(BUMP)));
            assert_eq!(state, CommandState::Error);
            assert!(!why.is_empty());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.device.wait(ticket, None), Err(Error::UnknownTicket(ticket)));
    // The batch behind it is another batch.
    assert_eq!(bench.device.wait(next, None).unwrap(), Progress::Done);
    bench.device.host_mut(scratch.id()).unwrap().fill(7);
    bench.device.push(scratch.id(), 0..LEN).unwrap();
    bench.run(vec![bench.launch(BUMP, &[&scratch])]);
    assert_eq!(bench.read(&scratch), [8; LEN]);
}

pub(crate) fn launches_after_a_failed_one_of_its_chain_do_not_run(fixture: &Fixture) {
    const BEFORE: usize = 4;
    let per_chain = (fixture.open)(Trouble::None).info().launches_per_chain;
    for failing in [BEFORE, per_chain + BEFORE] {
        let mut bench = fixture.ready(Trouble::ErrorAt(failing as u64));
        let [before, failed, after] = [(); 3].map(|()| bench.filled(Scratch, &[50; LEN]));
        let mut launches = vec![bench.launch(BUMP, &[&before]); failing];
        launches.push(bench.launch(BUMP, &[&failed]));
        // To the end of the chain, and no further.
        launches.extend(vec![bench.launch(BUMP, &[&after]); per_chain - BEFORE - 1]);
        let ticket = bench.submit(launches).unwrap();
        assert!(
            matches!(bench.device.wait(ticket, None), Err(Error::Launch { index, .. }) if index == failing)
        );
        let count =
            |bench: &mut crate::devices::Bench, buffer| bench.read(buffer).iter().map(|b| b - 50).max();
        assert_eq!(count(&mut bench, &before), Some(u8::try_from(failing).unwrap()));
        assert_eq!(bench.read(&after), [50; LEN], "one of them ran");
    }
}

pub(crate) fn a_wait_that_expires_is_no_failure(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let scratch = bench.alloc(Scratch);
    let ticket = bench.submit(vec![bench.launch(BUMP, &[&scratch]); 50]).unwrap();
    // A hundred nanoseconds are too short for fifty launches, on any device.
    assert_eq!(bench.device.wait(ticket, Some(Duration::from_nanos(100))).unwrap(), Progress::Running);
    assert!(matches!(bench.device.pull(scratch.id(), 0..1), Err(Error::Busy { .. })));
    assert_eq!(bench.device.wait(ticket, Some(Duration::MAX)).unwrap(), Progress::Done);
    assert_eq!(bench.read(&scratch), [50; LEN]);
}

pub(crate) fn a_hang_ends_by_itself_and_takes_the_queue_with_it(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::HangAt(1));
    let (scratch, other_scratch) = (bench.alloc(Scratch), bench.filled(Scratch, &[3; LEN]));
    let other = bench.device.load(&fixture.image()).unwrap();
    let elsewhere = Batch::new(vec![npu_backend::Launch {
        kernel: other.kernel(BUMP),
        buffers: vec![other_scratch.id()],
    }])
    .unwrap();
    let hung = bench.submit(vec![bench.launch(BUMP, &[&scratch]); 3]).unwrap();
    let behind = bench.submit(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    let beside = bench.device.submit(&elsewhere).unwrap();
    assert_eq!(bench.device.wait(hung, Some(Duration::from_millis(100))).unwrap(), Progress::Running);
    let told = |answer| match answer {
        Err(Error::Launch { index, state, .. }) => (index, state),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(bench.device.wait(hung, None)), (1, CommandState::Timeout));
    assert_eq!(told(bench.device.wait(behind, None)), (0, CommandState::Abort));
    assert_eq!(told(bench.device.wait(beside, None)), (0, CommandState::Abort));
    // Contexts and buffers are kept, and both contexts work.
    for (batch, buffer) in
        [(elsewhere, other_scratch), (Batch::new(vec![bench.launch(BUMP, &[&scratch])]).unwrap(), scratch)]
    {
        bench.device.host_mut(buffer.id()).unwrap().fill(5);
        bench.device.push(buffer.id(), 0..LEN).unwrap();
        let ticket = bench.device.submit(&batch).unwrap();
        assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
        assert_eq!(bench.read(&buffer), [6; LEN]);
    }
}
