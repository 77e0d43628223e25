//! The devices under test, and what the clauses need to drive them.

use npu_backend::emulator::{Emulator, Eviction, Fault, FaultPlan, probe};
use npu_backend::xrt::XrtDevice;
use npu_backend::{
    Arch, Batch, Buffer, BufferId, BufferRole, ContextId, Device, KernelImage, Launch, Progress, Result,
    Ticket,
};

use crate::stage;

/// Length of every probe buffer: some lines, and the last one short.
pub(crate) const LEN: usize = 1000;

/// What a device is made to do, at the launch of this number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    None,
    /// The firmware reports an error.
    ErrorAt(u64),
    /// No progress, until the driver recovers.
    HangAt(u64),
    /// The device goes away.
    VanishAt(u64),
}

/// How to open a device that runs the probe image.
pub(crate) struct Fixture {
    pub(crate) arch: Arch,
    pub(crate) open: fn(Trouble) -> Box<dyn Device>,
    /// The probe image as the device wants it.
    pub(crate) wrap: fn(KernelImage) -> KernelImage,
}

pub(crate) const STRICT: Fixture = Fixture {
    arch: Arch::Aie2,
    open: |trouble| emulator(Arch::Aie2, Eviction::Strict, trouble),
    wrap: |image| image,
};
pub(crate) const FUZZED: Fixture = Fixture {
    arch: Arch::Aie2,
    open: |trouble| emulator(Arch::Aie2, Eviction::Fuzzed { seed: 1 }, trouble),
    wrap: |image| image,
};
pub(crate) const XDNA2: Fixture = Fixture {
    arch: Arch::Aie2p,
    open: |trouble| emulator(Arch::Aie2p, Eviction::Strict, trouble),
    wrap: |image| image,
};
/// The hardware's device on AMD's XRT, over the double of the driver: inside the stage only.
pub(crate) const XRT: Fixture = Fixture { arch: Arch::Aie2, open: xrt, wrap: stage::in_xclbin };

fn xrt(trouble: Trouble) -> Box<dyn Device> {
    // As slow as silicon, or slower: what is submitted meets what is in flight.
    stage::faults(&match trouble {
        Trouble::None => "launch-us=20".to_owned(),
        Trouble::ErrorAt(launch) => format!("launch-us=20 error-at={launch}"),
        Trouble::HangAt(launch) => format!("launch-us=20 hang-at={launch}"),
        Trouble::VanishAt(launch) => format!("launch-us=10000 vanish-at={launch}"),
    });
    Box::new(XrtDevice::open().unwrap())
}

fn emulator(arch: Arch, eviction: Eviction, trouble: Trouble) -> Box<dyn Device> {
    let plan = match trouble {
        Trouble::None => FaultPlan::none(),
        Trouble::ErrorAt(launch) => FaultPlan::none().at(launch, Fault::Error),
        Trouble::HangAt(launch) => FaultPlan::none().at(launch, Fault::Hang),
        Trouble::VanishAt(launch) => FaultPlan::none().at(launch, Fault::Vanish),
    };
    Box::new(Emulator::builder().arch(arch).eviction(eviction).faults(plan).probe().open().unwrap())
}

impl Fixture {
    pub(crate) fn image(&self) -> KernelImage {
        (self.wrap)(probe::image(self.arch, u32::try_from(LEN).unwrap(), 1000))
    }

    /// A device with the probe image in one context.
    pub(crate) fn ready(&self, trouble: Trouble) -> Bench {
        let mut device = (self.open)(trouble);
        let context = device.load(&self.image()).unwrap();
        Bench { device, context }
    }
}

/// A device and a context to launch in.
pub(crate) struct Bench {
    pub(crate) device: Box<dyn Device>,
    pub(crate) context: ContextId,
}

impl Bench {
    pub(crate) fn alloc(&mut self, role: BufferRole) -> Buffer {
        self.device.alloc(LEN, role).unwrap()
    }

    /// A buffer whose bytes, on both sides, are `bytes`.
    pub(crate) fn filled(&mut self, role: BufferRole, bytes: &[u8]) -> Buffer {
        let buffer = self.alloc(role);
        self.device.host_mut(buffer.id()).unwrap()[..bytes.len()].copy_from_slice(bytes);
        self.device.push(buffer.id(), 0..LEN).unwrap();
        buffer
    }

    pub(crate) fn launch(&self, entry: usize, buffers: &[&Buffer]) -> Launch {
        Launch {
            kernel: self.context.kernel(entry),
            buffers: buffers.iter().map(|buffer| buffer.id()).collect(),
        }
    }

    pub(crate) fn submit(&mut self, launches: Vec<Launch>) -> Result<Ticket> {
        self.device.submit(&Batch::new(launches).unwrap())
    }

    /// Submits, and waits without limit.
    pub(crate) fn run(&mut self, launches: Vec<Launch>) {
        let ticket = self.submit(launches).unwrap();
        assert_eq!(self.device.wait(ticket, None).unwrap(), Progress::Done);
    }

    /// All of a buffer, after a pull.
    pub(crate) fn read(&mut self, buffer: &Buffer) -> Vec<u8> {
        self.device.pull(buffer.id(), 0..LEN).unwrap();
        self.host(buffer.id())
    }

    pub(crate) fn host(&self, buffer: BufferId) -> Vec<u8> {
        self.device.host(buffer).unwrap().to_vec()
    }
}

/// Bytes that differ from their neighbours, from other seeds, and mostly from zero.
pub(crate) fn bytes(seed: usize) -> Vec<u8> {
    (0..LEN).map(|index| u8::try_from((index * 31 + seed * 97 + index / 251) % 251 + 1).unwrap()).collect()
}
