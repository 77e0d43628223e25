//! What the device never does, done by hand on AMD's XRT over the double: a part of a buffer object, a buffer in the wrong bank, arguments shifted by one, a stream of the wrong length.

use std::ffi::CStr;

use super::super::failure::Cause;
use super::super::handles::{Accelerator, Bo, Direction, HardwareContext, Kernel, Kind, Run, Waited, Xclbin};
use super::super::library::Shim;
use super::stage::{self, Stage};
use crate::emulator::probe::{self, BUMP};
use crate::{Arch, CommandState};

const LEN: usize = 4096;
const NAME: &CStr = c"MLIR_AIE";

#[test]
fn mistakes_below_the_device_have_their_errors() {
    if let Some(stage) = Stage::set() {
        stage.play("xrt::tests::real::inside", true);
    }
}

/// A device with a context of the probe image, and its stream that adds 1.
struct Ready {
    stream: Bo,
    words: u32,
    kernel: Kernel,
    device: Accelerator,
}

impl Ready {
    fn new() -> Self {
        stage::faults("");
        let shim = Shim::open().unwrap();
        let image = stage::in_xclbin(probe::image(Arch::Aie2, u32::try_from(LEN).unwrap(), 0));
        let device = Accelerator::open(shim, 0).unwrap();
        let xclbin = Xclbin::read(shim, &image.configuration).unwrap();
        device.register(&xclbin).unwrap();
        let kernel = Kernel::open(&HardwareContext::open(&device, &xclbin).unwrap(), &xclbin, NAME).unwrap();
        let words = &image.entries[BUMP].instructions;
        let mut stream =
            Bo::create(&device, words.len() * 4, Kind::Cacheable, kernel.group_id(1).unwrap()).unwrap();
        for (bytes, word) in stream.host_mut().chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        stream.sync(Direction::ToDevice, 0, words.len() * 4).unwrap();
        Self { stream, words: u32::try_from(words.len()).unwrap(), kernel, device }
    }

    fn data(&self, len_bytes: usize) -> Bo {
        let mut bo =
            Bo::create(&self.device, len_bytes, Kind::Host, self.kernel.group_id(3).unwrap()).unwrap();
        bo.host_mut().fill(0);
        bo.sync(Direction::ToDevice, 0, len_bytes).unwrap();
        bo
    }

    /// A command with all but its buffers.
    fn run(&self) -> Run {
        let mut run = Run::create(&self.kernel).unwrap();
        run.set_u64(0, 3).unwrap();
        run.set_bo(1, &self.stream).unwrap();
        run.set_u32(2, self.words).unwrap();
        run
    }
}

mod inside {
    use super::*;

    #[test]
    #[ignore = "played inside the stage"]
    fn a_part_of_a_buffer_object_is_a_buffer() {
        let ready = Ready::new();
        let whole = ready.data(3 * LEN);
        let part = whole.part(LEN, LEN).unwrap();
        let mut run = ready.run();
        run.set_bo(3, &part).unwrap();
        run.start().unwrap();
        assert_eq!(run.wait(None), Ok(Waited::Done));
        whole.sync(Direction::FromDevice, 0, 3 * LEN).unwrap();
        let want: Vec<u8> = (0..3 * LEN).map(|at| u8::from((LEN..2 * LEN).contains(&at))).collect();
        assert_eq!(whole.host(), want);
        assert!(whole.part(2 * LEN, 2 * LEN).is_err(), "it ends outside");
    }

    #[test]
    #[ignore = "played inside the stage"]
    fn a_buffer_in_the_wrong_bank_is_refused() {
        let ready = Ready::new();
        let wrong = Bo::create(&ready.device, LEN, Kind::Host, ready.kernel.group_id(1).unwrap()).unwrap();
        let refused = ready.run().set_bo(3, &wrong).unwrap_err();
        assert!(matches!(refused.cause, Cause::System(_)), "{refused:?}");
    }

    #[test]
    #[ignore = "played inside the stage"]
    fn arguments_shifted_by_one_are_refused() {
        let ready = Ready::new();
        // Data where the stream belongs: as in programs that pass buffers from 0 on.
        let refused = ready.run().set_bo(1, &ready.data(LEN)).unwrap_err();
        assert!(matches!(refused.cause, Cause::System(_)), "{refused:?}");
    }

    #[test]
    #[ignore = "played inside the stage"]
    fn a_command_does_not_keep_its_buffers() {
        let ready = Ready::new();
        let mut run = ready.run();
        run.set_bo(3, &ready.data(LEN)).unwrap();
        // ENOENT: which is why the device holds them until the ticket has ended.
        assert_eq!(run.start().unwrap_err().cause, Cause::System(2));
    }

    #[test]
    #[ignore = "played inside the stage"]
    fn a_stream_of_the_wrong_length_fails_as_a_command() {
        let ready = Ready::new();
        let mut run = ready.run();
        run.set_u32(2, ready.words * 4).unwrap();
        let data = ready.data(LEN);
        run.set_bo(3, &data).unwrap();
        run.start().unwrap();
        let failed = run.wait(None).unwrap_err();
        assert_eq!(failed.cause, Cause::Command { state: CommandState::Error, index: 0 }, "{failed:?}");
    }
}
