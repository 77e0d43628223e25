//! What a receipt is made of: every device counts the same things in the same sense.

use npu_backend::BufferRole::{Input, Output};
use npu_backend::emulator::probe::COPY;
use npu_backend::{Counters, Error, Progress};

use crate::devices::{Fixture, LEN, Trouble, bytes};

pub(crate) fn verbs_are_counted(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::ErrorAt(0));
    let (input, output) = (bench.alloc(Input), bench.alloc(Output));
    bench.device.host_mut(input.id()).unwrap().copy_from_slice(&bytes(1));
    bench.device.push(input.id(), 0..100).unwrap();
    bench.device.push(input.id(), 100..LEN).unwrap();
    bench.device.push(input.id(), 5..5).unwrap();
    let first = bench.context;
    let chain = bench.device.info().launches_per_chain;
    let copy = bench.launch(COPY, &[&input, &output]);
    let ticket = bench.submit(vec![copy.clone()]).unwrap();
    assert!(matches!(bench.device.wait(ticket, None), Err(Error::Launch { .. })));
    bench.run(vec![copy; chain + 1]);
    let before = bench.device.counters();
    bench.context = bench.device.load(&fixture.image()).unwrap();
    bench.run(vec![bench.launch(COPY, &[&input, &output])]);
    bench.context = first;
    let ticket = bench.submit(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    bench.device.pull(output.id(), 10..20).unwrap();

    let all = bench.device.counters();
    assert_eq!(all.modelled.is_some(), bench.device.info().modelled);
    let counted = Counters { modelled: None, ..all };
    let want = Counters {
        loads: 2,
        batches: 4,
        submissions: 5,
        launches: chain as u64 + 4,
        failed_batches: 1,
        context_switches: 3,
        pushes: 2,
        pushed_bytes: LEN as u64,
        pulls: 1,
        pulled_bytes: 10,
        modelled: None,
    };
    assert_eq!(counted, want);
    let span = all.since(&before);
    assert_eq!((span.loads, span.batches, span.context_switches, span.pushes), (1, 2, 2, 0));
}
