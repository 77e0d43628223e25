//! What a launch costs the host: submission and wait of probe launches, which compute next to nothing.
//!
//! ```text
//! cargo run --release --example launch_cost                   # on the emulator, in this process
//! cargo run --release --example launch_cost -- probe.xclbin   # on the device that XRT opens
//! ```
//!
//! Over the double of the driver (`tests/xrt-sandbox/sandbox run --double …`) with the fault word `compute=off`, launches are
//! answered at once: what is measured is our shim, AMD's runtime and its driver plugin.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use npu_backend::emulator::Emulator;
use npu_backend::emulator::probe::{self, BUMP};
use npu_backend::xrt::XrtDevice;
use npu_backend::{Arch, Batch, BufferRole, Device, KernelImage, Launch};

const ROUNDS: usize = 2000;
const LEN: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let image = probe::image(Arch::Aie2, LEN, 0);
    let (mut device, image): (Box<dyn Device>, KernelImage) = match std::env::args().nth(1) {
        Some(xclbin) => {
            (Box::new(XrtDevice::open()?), KernelImage { configuration: std::fs::read(xclbin)?, ..image })
        }
        None => (Box::new(Emulator::builder().probe().open()?), image),
    };
    let context = device.load(&image)?;
    let buffer = device.alloc(LEN as usize, BufferRole::Scratch)?;
    for chained in [1, 2, 24] {
        let launch = Launch { kernel: context.kernel(BUMP), buffers: vec![buffer.id()] };
        let batch = Batch::new(vec![launch; chained])?;
        let mut spans = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let ticket = device.submit(&batch)?;
            let submitted = begun.elapsed();
            while !device.wait(ticket, None)?.is_done() {}
            spans.push((begun.elapsed(), submitted));
        }
        spans.sort_unstable();
        let (whole, submitted) = spans[ROUNDS / 2];
        writeln!(
            std::io::stdout(),
            "{chained} launches in a batch: median {:.2} µs to submit and wait, of which {:.2} µs to submit",
            whole.as_secs_f64() * 1e6,
            submitted.as_secs_f64() * 1e6
        )?;
    }
    Ok(())
}
