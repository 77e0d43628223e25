//! What a launch costs the host: submission and wait of probe launches, which compute next to nothing.
//!
//! ```text
//! launch_cost                          on the emulator, in this process
//! launch_cost PROBE.xclbin             on the device that XRT opens
//! launch_cost --configuration FILE     writes what the probe's xclbin is made around
//! ```
//!
//! Prints a line for each round: launches in the batch, nanoseconds to submit and wait, of which nanoseconds to submit.
//! `tests/xrt-sandbox/launch-cost` runs it on both devices and makes a table.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use npu_backend::emulator::Emulator;
use npu_backend::emulator::probe::{self, BUMP};
use npu_backend::xrt::XrtDevice;
use npu_backend::{Arch, Batch, BufferRole, Device, KernelImage, Launch};

const WARM: usize = 100;
const ROUNDS: usize = 2000;
const LEN: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let image = probe::image(Arch::Aie2, LEN, 0);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, file] = &arguments[..]
        && option == "--configuration"
    {
        return Ok(std::fs::write(file, &image.configuration)?);
    }
    let (mut device, image): (Box<dyn Device>, KernelImage) = match arguments.first() {
        Some(xclbin) => {
            (Box::new(XrtDevice::open()?), KernelImage { configuration: std::fs::read(xclbin)?, ..image })
        }
        None => (Box::new(Emulator::builder().probe().open()?), image),
    };
    let context = device.load(&image)?;
    let buffer = device.alloc(LEN as usize, BufferRole::Scratch)?;
    let mut out = std::io::BufWriter::new(std::io::stdout());
    for chained in [1, 2, 24] {
        let launch = Launch { kernel: context.kernel(BUMP), buffers: vec![buffer.id()] };
        let batch = Batch::new(vec![launch; chained])?;
        for round in 0..WARM + ROUNDS {
            let begun = Instant::now();
            let ticket = device.submit(&batch)?;
            let submitted = begun.elapsed();
            while !device.wait(ticket, None)?.is_done() {}
            let whole = begun.elapsed();
            if round >= WARM {
                writeln!(out, "{chained}\t{}\t{}", whole.as_nanos(), submitted.as_nanos())?;
            }
        }
    }
    Ok(())
}
