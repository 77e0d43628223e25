//! Many devices, one after another, idle and busy when they are closed: open files, memory, buffer objects.

use std::fs;
use std::io::Write;
use std::time::Duration;

use npu_backend::emulator::probe::{self, BUMP};
use npu_backend::xrt::XrtDevice;
use npu_backend::{Arch, Batch, BufferRole, Device, Error, KernelImage, Launch, Progress};

use crate::stage::{faults, in_xclbin};

const LIVES: usize = 1000;
/// After these every pool is filled and every library is loaded.
const WARM: usize = 100;
/// What resident memory may grow by from then on. One page for each life would be 3600 KiB.
const MOST_KIB: u64 = 2048;

/// What this process has at one time.
#[derive(Clone, Copy, Debug)]
struct Held {
    files: usize,
    /// Of those, the memory of the double's buffer objects.
    objects: usize,
    mappings: usize,
    resident_kib: u64,
}

impl Held {
    fn now() -> Self {
        let files: Vec<_> =
            fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path()).collect();
        let is_object = |path: &&std::path::PathBuf| {
            fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("memfd:"))
        };
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            files: files.len(),
            objects: files.iter().filter(is_object).count(),
            mappings: fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
            resident_kib: line.split_whitespace().next().unwrap().parse().unwrap(),
        }
    }

    /// Nothing was left behind since then but `most_kib`; said on the standard error.
    fn same_since(warm: Self, what: &str, most_kib: u64) {
        let now = Self::now();
        let mut told = std::io::stderr();
        writeln!(
            told,
            "{what}: files {} → {}, buffer objects {} → {}, mappings {} → {}, resident {} → {} KiB",
            warm.files,
            now.files,
            warm.objects,
            now.objects,
            warm.mappings,
            now.mappings,
            warm.resident_kib,
            now.resident_kib
        )
        .unwrap();
        assert!(now.files <= warm.files && now.objects <= warm.objects, "{warm:?} → {now:?}");
        assert!(now.mappings <= warm.mappings + 2, "{warm:?} → {now:?}");
        assert!(now.resident_kib <= warm.resident_kib + most_kib, "{warm:?} → {now:?}");
    }
}

fn image() -> KernelImage {
    in_xclbin(probe::image(Arch::Aie2, 4096, 0))
}

/// A device from its opening to its end, with a batch of five launches, or of one, which goes to the driver as no chain.
fn live(image: &KernelImage, count: u8, until_done: bool) {
    let mut device = XrtDevice::open().unwrap();
    let context = device.load(image).unwrap();
    let scratch = device.alloc(4096, BufferRole::Scratch).unwrap();
    let launch = Launch { kernel: context.kernel(BUMP), buffers: vec![scratch.id()] };
    let ticket = device.submit(&Batch::new(vec![launch; count.into()]).unwrap()).unwrap();
    if until_done {
        assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
        device.pull(scratch.id(), 0..4096).unwrap();
        assert_eq!(device.host(scratch.id()).unwrap(), [count; 4096]);
    } else {
        assert_eq!(device.wait(ticket, Some(Duration::ZERO)).unwrap(), Progress::Running);
    }
}

#[test]
#[ignore = "played inside the stage"]
fn a_thousand() {
    faults("");
    let image = image();
    let mut warm = None;
    for life in 0..LIVES {
        live(&image, 5, true);
        if life == WARM {
            warm = Some(Held::now());
        }
    }
    Held::same_since(warm.unwrap(), "1000 lives, 900 of them counted", MOST_KIB);
}

#[test]
#[ignore = "played inside the stage"]
fn busy_ones() {
    for (words, lives, count) in [("launch-us=10000", 100, 5), ("launch-us=10000", 100, 1)] {
        let image = image();
        faults("");
        (0..20).for_each(|life| live(&image, if life % 2 == 0 { 5 } else { 1 }, true));
        let warm = Held::now();
        faults(words);
        (0..lives).for_each(|_| live(&image, count, false));
        Held::same_since(warm, &format!("{lives} lives closed while busy with {count} ({words})"), MOST_KIB);
    }
}

/// Devices that go away with one command running and one queued.
#[test]
#[ignore = "played inside the stage"]
fn lost_ones() {
    const LIVES: usize = 50;
    let image = image();
    let lose = || {
        let mut device = XrtDevice::open().unwrap();
        let context = device.load(&image).unwrap();
        let scratch = device.alloc(4096, BufferRole::Scratch).unwrap();
        let launch = Launch { kernel: context.kernel(BUMP), buffers: vec![scratch.id()] };
        let batch = Batch::new(vec![launch]).unwrap();
        let [running, _queued] = [device.submit(&batch).unwrap(), device.submit(&batch).unwrap()];
        assert!(matches!(device.wait(running, None), Err(Error::DeviceLost { .. })));
    };
    faults("vanish-at=0 launch-us=20000 queued-stay-new");
    (0..5).for_each(|_| lose());
    let warm = Held::now();
    (0..LIVES).for_each(|_| lose());
    Held::same_since(warm, &format!("{LIVES} lives of devices that went away"), MOST_KIB);
}

/// Nothing waits for a command that outlasts a device's last wait of ten seconds: what it needs is left behind, and XRT, which
/// ends a program that closes such a command, does not see it.
#[test]
#[ignore = "played inside the stage"]
fn outlasting() {
    faults("hang-at=0 hang-at=1 tdr-ms=11000");
    let begun = std::time::Instant::now();
    live(&image(), 1, false);
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    // Another device beside what was left, once the driver has recovered; a chain this time.
    std::thread::sleep(Duration::from_secs(2));
    live(&image(), 5, false);
    std::thread::sleep(Duration::from_secs(2));
    live(&image(), 5, true);
}
