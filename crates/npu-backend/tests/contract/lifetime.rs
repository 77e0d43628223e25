//! Clause 3: what an unfinished ticket holds.

use std::time::Duration;

use npu_backend::BufferRole::{Input, Output};
use npu_backend::emulator::probe::COPY;
use npu_backend::{Error, Progress};

use crate::devices::{Fixture, LEN, Trouble, bytes};

fn busy<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Busy { .. }))
}

pub(crate) fn buffers_and_context_of_an_unfinished_ticket_are_busy(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output, other) = (bench.filled(Input, &bytes(1)), bench.alloc(Output), bench.alloc(Input));
    let ticket = bench.submit(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    for id in [input.id(), output.id()] {
        assert!(busy(bench.device.host_mut(id)));
        assert!(busy(bench.device.push(id, 0..1)) && busy(bench.device.pull(id, 0..LEN)));
        // What touches nothing waits for nothing.
        bench.device.push(id, 7..7).unwrap();
        bench.device.pull(id, LEN..LEN).unwrap();
    }
    // The host may read what the device only reads.
    assert_eq!(bench.host(input.id()), bytes(1));
    assert!(busy(bench.device.host(output.id())));
    assert!(busy(bench.device.unload(bench.context)));
    assert!(bench.device.host_mut(other.id()).is_ok());
    // Launches that only read it may share it.
    let output2 = bench.alloc(Output);
    let sharing = bench.submit(vec![bench.launch(COPY, &[&input, &output2])]).unwrap();
    assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    assert!(busy(bench.device.host_mut(input.id())), "another ticket reads it");
    assert!(bench.device.host(output.id()).is_ok() && bench.device.host_mut(output.id()).is_ok());
    assert_eq!(bench.device.wait(sharing, None).unwrap(), Progress::Done);
    assert!(bench.device.host_mut(input.id()).is_ok());
    bench.device.unload(bench.context).unwrap();
}

pub(crate) fn a_ticket_is_unfinished_until_waited_for(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output) = (bench.filled(Input, &bytes(1)), bench.alloc(Output));
    let first = bench.submit(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    let second = bench.submit(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    assert_eq!(bench.device.wait(second, None).unwrap(), Progress::Done);
    // The first was done before the second, but nobody has been told.
    assert!(busy(bench.device.pull(output.id(), 0..LEN)));
    assert_eq!(bench.device.wait(first, Some(Duration::ZERO)).unwrap(), Progress::Done);
    assert_eq!(bench.read(&output), bytes(1));
    for ticket in [first, second] {
        assert_eq!(bench.device.wait(ticket, None), Err(Error::UnknownTicket(ticket)));
    }
}

pub(crate) fn a_buffer_freed_in_flight_serves_its_batch_and_is_unknown_at_once(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output) = (bench.filled(Input, &bytes(1)), bench.alloc(Output));
    let id = input.id();
    let launch = bench.launch(COPY, &[&input, &output]);
    let ticket = bench.submit(vec![launch.clone()]).unwrap();
    bench.device.free(input).unwrap();
    assert_eq!(bench.device.host(id), Err(Error::UnknownBuffer(id)));
    assert_eq!(bench.submit(vec![launch]), Err(Error::UnknownBuffer(id)));
    let new = bench.alloc(Input);
    assert_ne!(new.id(), id);
    assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    assert_eq!(bench.read(&output), bytes(1));
}

pub(crate) fn a_context_can_be_given_back_and_its_place_used_again(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    for _ in 0..2 * bench.device.info().contexts {
        let context = bench.device.load(&fixture.image()).unwrap();
        bench.device.unload(context).unwrap();
        assert_eq!(bench.device.unload(context), Err(Error::UnknownContext(context)));
    }
    // Its buffers are the device's, not the context's.
    let (input, output) = (bench.filled(Input, &bytes(1)), bench.alloc(Output));
    bench.device.unload(bench.context).unwrap();
    let stale = bench.launch(COPY, &[&input, &output]);
    assert_eq!(bench.submit(vec![stale.clone()]), Err(Error::UnknownKernel(stale.kernel)));
    bench.context = bench.device.load(&fixture.image()).unwrap();
    bench.run(vec![bench.launch(COPY, &[&input, &output])]);
    assert_eq!(bench.read(&output), bytes(1));
}

pub(crate) fn streams_can_be_added_to_a_context_at_any_time(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let (input, output) = (bench.filled(Input, &bytes(1)), bench.alloc(Output));
    let mut entry = fixture.image().entries.swap_remove(COPY);
    let ticket = bench.submit(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    let added = bench.device.add_kernel(bench.context, &entry).unwrap();
    let count = fixture.image().entries.len();
    assert_eq!(added, bench.context.kernel(count));
    assert_eq!(bench.device.wait(ticket, None).unwrap(), Progress::Done);
    assert_eq!(bench.read(&output), bytes(1));
    let output = bench.alloc(Output);
    bench.run(vec![bench.launch(count, &[&input, &output])]);
    assert_eq!(bench.read(&output), bytes(1));
    // A stream that the device refuses leaves no trace.
    entry.instructions.clear();
    assert!(matches!(bench.device.add_kernel(bench.context, &entry), Err(Error::Image { .. })));
    let refused = bench.launch(count + 1, &[&input, &output]);
    assert_eq!(bench.submit(vec![refused.clone()]), Err(Error::UnknownKernel(refused.kernel)));
    bench.device.unload(bench.context).unwrap();
    let gone = bench.device.add_kernel(bench.context, &entry);
    assert_eq!(gone, Err(Error::UnknownContext(bench.context)));
}
