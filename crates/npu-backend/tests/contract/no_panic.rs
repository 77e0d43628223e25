//! Clause 6: whatever the arguments, an answer and no panic.

use npu_backend::BufferRole::{Input, Output};
use npu_backend::emulator::probe::{self, COPY};
use npu_backend::{Arch, BufferId, ContextId, Error, KernelImage, Ticket};

use crate::devices::{Fixture, LEN, Trouble, bytes};

pub(crate) fn absurd_arguments_are_errors(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    for role in [Input, Output] {
        for len_bytes in [0, usize::MAX, usize::MAX / 2] {
            let error = bench.device.alloc(len_bytes, role).unwrap_err();
            assert!(matches!(error, Error::Alloc { len_bytes: told, .. } if told == len_bytes), "{error}");
        }
    }
    let buffer = bench.alloc(Input);
    let id = buffer.id();
    for (start, end) in
        [(0, LEN + 1), (LEN + 1, LEN + 1), (5, 4), (usize::MAX, usize::MAX), (0, usize::MAX), (usize::MAX, 0)]
    {
        let want = Err(Error::Range { buffer: id, start, end, len_bytes: LEN });
        assert_eq!(bench.device.push(id, start..end), want);
        assert_eq!(bench.device.pull(id, start..end), want);
    }
    bench.device.push(id, LEN..LEN).unwrap();
    for number in [0, u64::MAX] {
        let (buffer, context, ticket) = (BufferId(number), ContextId(number), Ticket(number));
        assert_eq!(bench.device.host(buffer), Err(Error::UnknownBuffer(buffer)));
        assert_eq!(bench.device.host_mut(buffer), Err(Error::UnknownBuffer(buffer)));
        assert_eq!(bench.device.push(buffer, 0..0), Err(Error::UnknownBuffer(buffer)));
        assert_eq!(bench.device.pull(buffer, 0..0), Err(Error::UnknownBuffer(buffer)));
        assert_eq!(bench.device.unload(context), Err(Error::UnknownContext(context)));
        assert_eq!(bench.device.wait(ticket, None), Err(Error::UnknownTicket(ticket)));
    }
    let empty = KernelImage { arch: fixture.arch, configuration: Vec::new(), entries: Vec::new() };
    assert!(matches!(bench.device.load(&empty), Err(Error::Image { .. })));
}

pub(crate) fn ids_of_another_device_are_unknown(fixture: &Fixture) {
    let (mut here, mut there) = (fixture.ready(Trouble::None), fixture.ready(Trouble::None));
    let (input, output) = (here.filled(Input, &bytes(1)), here.alloc(Output));
    let foreign = there.filled(Input, &bytes(2));
    let (id, launch) = (foreign.id(), there.launch(COPY, &[&foreign, &output]));
    assert_eq!(here.device.host(id), Err(Error::UnknownBuffer(id)));
    assert_eq!(here.submit(vec![launch.clone()]), Err(Error::UnknownKernel(launch.kernel)));
    assert_eq!(here.submit(vec![here.launch(COPY, &[&foreign, &output])]), Err(Error::UnknownBuffer(id)));
    let ticket = here.submit(vec![here.launch(COPY, &[&input, &output])]).unwrap();
    assert_eq!(there.device.wait(ticket, None), Err(Error::UnknownTicket(ticket)));
    assert_eq!(there.device.unload(here.context), Err(Error::UnknownContext(here.context)));
    assert_eq!(here.device.free(foreign), Err(Error::UnknownBuffer(id)));
}

pub(crate) fn one_context_too_many_is_an_error(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let limit = bench.device.info().contexts;
    for _ in 1..limit {
        bench.device.load(&fixture.image()).unwrap();
    }
    assert_eq!(bench.device.load(&fixture.image()), Err(Error::NoContext { limit }));
    bench.device.unload(bench.context).unwrap();
    bench.device.load(&fixture.image()).unwrap();
}

pub(crate) fn an_image_for_another_generation_is_refused(fixture: &Fixture) {
    let mut bench = fixture.ready(Trouble::None);
    let device = bench.device.info().arch;
    let image = if device == Arch::Aie2 { Arch::Aie2p } else { Arch::Aie2 };
    let foreign = probe::image(image, 64, 0);
    assert_eq!(bench.device.load(&foreign), Err(Error::WrongArch { image, device }));
}
