//! Clause 5: a device that has gone answers so, at once and for ever.

use std::time::Duration;

use npu_backend::BufferRole::Scratch;
use npu_backend::emulator::probe::BUMP;
use npu_backend::{Batch, Error};

use crate::devices::{Fixture, Trouble};

pub(crate) fn every_verb_answers_device_lost_at_once(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::VanishAt(2));
    let scratch = bench.alloc(Scratch);
    let id = scratch.id();
    let launches = vec![bench.launch(BUMP, &[&scratch]); 4];
    let ticket = bench.submit(launches.clone()).unwrap();
    let behind = bench.submit(launches.clone()).unwrap();
    let image = fixture.image();
    let device = bench.device.as_mut();
    fn lost<T>(answer: Result<T, Error>) {
        match answer {
            Err(Error::DeviceLost { why }) => assert!(!why.is_empty()),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("a lost device has answered"),
        }
    }
    lost(device.wait(ticket, None));
    lost(device.wait(ticket, None));
    lost(device.wait(behind, Some(Duration::ZERO)));
    lost(device.host(id));
    lost(device.host_mut(id));
    lost(device.push(id, 0..1));
    lost(device.pull(id, 0..1));
    lost(device.submit(&Batch::new(launches).unwrap()));
    lost(device.load(&image));
    lost(device.add_kernel(bench.context, &image.entries[0]));
    lost(device.unload(bench.context));
    lost(device.alloc(1, Scratch));
    lost(device.free(scratch));
    assert_eq!(device.info().arch, fixture.arch);
    assert_eq!(device.counters().batches, 2);
}
