//! A thousand devices, one after another: open files, memory, buffer objects.

use std::fs;
use std::io::Write;

use npu_backend::emulator::probe::{self, BUMP};
use npu_backend::xrt::XrtDevice;
use npu_backend::{Arch, Batch, BufferRole, Device, Launch, Progress};

use crate::stage::{faults, in_xclbin};

const LIVES: usize = 1000;
/// After these every pool is filled and every library is loaded.
const WARM: usize = 100;
/// What resident memory may grow by from then on: less than a byte of each buffer's pages.
const MOST_KIB: u64 = 2048;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

#[test]
#[ignore = "played inside the stage"]
fn a_thousand() {
    faults("");
    let image = in_xclbin(probe::image(Arch::Aie2, 4096, 0));
    let mut warm = None;
    for life in 0..LIVES {
        let mut device = XrtDevice::open().unwrap();
        let context = device.load(&image).unwrap();
        let scratch = device.alloc(4096, BufferRole::Scratch).unwrap();
        let launch = Launch { kernel: context.kernel(BUMP), buffers: vec![scratch.id()] };
        let ticket = device.submit(&Batch::new(vec![launch; 5]).unwrap()).unwrap();
        // Some leave while launches are in flight.
        if life % 3 > 0 {
            assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
            device.pull(scratch.id(), 0..4096).unwrap();
            assert_eq!(device.host(scratch.id()).unwrap(), [5; 4096]);
        }
        drop(device);
        if life == WARM {
            warm = Some((open_files(), mappings(), resident_kib()));
        }
    }
    let (files, maps, kib) = warm.unwrap();
    let now = (open_files(), mappings(), resident_kib());
    writeln!(
        std::io::stderr(),
        "{LIVES} lives: files {files} → {}, mappings {maps} → {}, resident {kib} → {} KiB",
        now.0,
        now.1,
        now.2
    )
    .unwrap();
    assert!(now.0 <= files && now.1 <= maps + 2 && now.2 <= kib + MOST_KIB, "{warm:?} → {now:?}");
}
