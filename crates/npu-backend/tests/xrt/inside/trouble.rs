//! What goes wrong after a device is open: limits, faults of launches, recovery. Each row has its typed error.

use std::time::{Duration, Instant};

use npu_backend::emulator::probe::{self, BUMP, COPY};
use npu_backend::xrt::XrtDevice;
use npu_backend::{
    Arch, Batch, Buffer, BufferRole, CommandState, ContextId, Device, Error, KernelImage, Launch, Progress,
};

use crate::stage::{faults, in_xclbin};

const LEN: usize = 4096;

fn image() -> KernelImage {
    in_xclbin(probe::image(Arch::Aie2, u32::try_from(LEN).unwrap(), 0))
}

fn ready(words: &str) -> (XrtDevice, ContextId) {
    faults(words);
    let mut device = XrtDevice::open().unwrap();
    let context = device.load(&image()).unwrap();
    (device, context)
}

fn bumps(context: ContextId, buffer: &Buffer, count: usize) -> Batch {
    Batch::new(vec![Launch { kernel: context.kernel(BUMP), buffers: vec![buffer.id()] }; count]).unwrap()
}

/// Buffer on both sides 0, and works from there.
fn works(device: &mut XrtDevice, context: ContextId) {
    let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
    let ticket = device.submit(&bumps(context, &scratch, 3)).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    device.pull(scratch.id(), 0..LEN).unwrap();
    assert_eq!(device.host(scratch.id()).unwrap(), [3; LEN]);
}

#[test]
#[ignore = "played inside the stage"]
fn a_launch_that_fails_in_each_way_is_told_and_the_device_goes_on() {
    for (words, count, index, state) in [
        // In a chain, in a chain after another one, and alone.
        ("error-at=2", 5, 2, CommandState::Error),
        ("error-at=26", 30, 26, CommandState::Error),
        ("error-at=0", 1, 0, CommandState::Error),
        ("hang-at=1 tdr-ms=100", 3, 1, CommandState::Timeout),
        ("hang-at=0 tdr-ms=100", 1, 0, CommandState::Timeout),
        ("reset-at=1", 3, 1, CommandState::Abort),
    ] {
        let (mut device, context) = ready(words);
        let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
        let ticket = device.submit(&bumps(context, &scratch, count)).unwrap();
        match device.wait(ticket, None) {
            Err(Error::Launch { index: told, state: ended, .. }) => {
                assert_eq!((told, ended), (index, state), "{words}");
            }
            other => panic!("{words}: {other:?}"),
        }
        works(&mut device, context);
    }
}

/// The signals that the thread `task` holds back, as `/proc` shows them: bit `n - 1` is signal `n`.
fn held_signals(task: &std::path::Path) -> u64 {
    let status = std::fs::read_to_string(std::path::Path::new("/proc").join(task).join("status")).unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    u64::from_str_radix(held.trim(), 16).unwrap()
}

#[test]
#[ignore = "played inside the stage"]
fn signals_wait_until_a_limitless_wait_has_ended() {
    const INTERRUPT_AND_TERMINATE: u64 = 1 << (2 - 1) | 1 << (15 - 1);
    for count in [1, 3] {
        let (mut device, context) = ready("hang-at=0 tdr-ms=1000");
        let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
        let ticket = device.submit(&bumps(context, &scratch, count)).unwrap();
        let waiting = std::fs::read_link("/proc/thread-self").unwrap();
        let before = held_signals(&waiting);
        assert_eq!(before & INTERRUPT_AND_TERMINATE, 0);
        let during = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                held_signals(&waiting)
            });
            assert!(matches!(device.wait(ticket, None), Err(Error::Launch { .. })));
            watch.join().unwrap()
        });
        assert_eq!(during & INTERRUPT_AND_TERMINATE, INTERRUPT_AND_TERMINATE, "{count}: {during:#x}");
        assert_eq!(held_signals(&waiting), before);
    }
}

#[test]
#[ignore = "played inside the stage"]
fn a_device_that_goes_away_is_lost() {
    for count in [1, 3] {
        let (mut device, context) = ready("vanish-at=0");
        let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
        let ticket = device.submit(&bumps(context, &scratch, count)).unwrap();
        assert!(matches!(device.wait(ticket, None), Err(Error::DeviceLost { .. })));
        let begun = Instant::now();
        assert!(matches!(device.alloc(1, BufferRole::Input), Err(Error::DeviceLost { .. })));
        drop(device);
        assert!(begun.elapsed() < Duration::from_secs(5), "nothing hangs");
    }
}

#[test]
#[ignore = "played inside the stage"]
fn what_a_device_that_goes_away_leaves_queued_does_not_hang() {
    // Alone and in a chain; without limit and looking again and again.
    for count in [1, 3] {
        for limit in [None, Some(Duration::from_millis(50))] {
            let (mut device, context) = ready("vanish-at=0 launch-us=100000 queued-stay-new");
            let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
            let batch = bumps(context, &scratch, count);
            let [_, queued] = [device.submit(&batch).unwrap(), device.submit(&batch).unwrap()];
            let answer = loop {
                match device.wait(queued, limit) {
                    Ok(Progress::Running) if limit.is_some() => {}
                    other => break other,
                }
            };
            assert!(matches!(answer, Err(Error::DeviceLost { .. })), "{count}: {answer:?}");
        }
    }
}

#[test]
#[ignore = "played inside the stage"]
fn a_launch_that_the_driver_forgets_is_told_and_its_context_is_made_anew() {
    for (words, count) in
        [("forgotten-at=0", 1), ("forgotten-at=0", 3), ("forgotten-at=0 context-fails=6", 3)]
    {
        let (mut device, context) = ready(words);
        // Every place of the device is taken.
        for _ in 1..6 {
            device.load(&image()).unwrap();
        }
        let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
        let batch = bumps(context, &scratch, count);
        let ticket = device.submit(&batch).unwrap();
        match device.wait(ticket, None) {
            Err(Error::Launch { index: 0, state: CommandState::Abort, why, .. }) => {
                assert!(why.contains("without running it"), "{why}");
            }
            other => panic!("{words}: {other:?}"),
        }
        if words.contains("context-fails") {
            // What XRT says of the driver's ENOMEM; not that places are lacking.
            let error = device.submit(&batch).unwrap_err();
            assert!(matches!(&error, Error::Image { why } if why.contains("CREATE_HWCTX")), "{error}");
        }
        works(&mut device, context);
    }
}

#[test]
#[ignore = "played inside the stage"]
fn a_submission_that_is_refused_is_told_and_its_context_is_made_anew() {
    for count in [1, 3] {
        let (mut device, context) = ready("exec-fails=1");
        // Every place of the device is taken.
        for _ in 1..6 {
            device.load(&image()).unwrap();
        }
        let scratch = device.alloc(LEN, BufferRole::Scratch).unwrap();
        let batch = bumps(context, &scratch, count);
        let taken = device.submit(&batch).unwrap();
        assert_eq!(device.wait(taken, None).unwrap(), Progress::Done);
        // The same commands once more.
        let refused = device.submit(&batch).unwrap();
        match device.wait(refused, None) {
            Err(Error::Launch { index: 0, state: CommandState::Abort, why, .. }) => {
                assert!(why.contains("did not take it"), "{why}");
            }
            other => panic!("{count}: {other:?}"),
        }
        works(&mut device, context);
    }
}

#[test]
#[ignore = "played inside the stage"]
fn contexts_that_others_hold_are_told_apart_from_ours() {
    faults("contexts-elsewhere=5");
    let mut device = XrtDevice::open().unwrap();
    device.load(&image()).unwrap();
    let error = device.load(&image()).unwrap_err();
    assert!(matches!(&error, Error::ContextRefused { why } if why.contains("CREATE_HWCTX")), "{error}");
}

#[test]
#[ignore = "played inside the stage"]
fn one_context_too_many_is_told() {
    let (mut device, _) = ready("");
    for _ in 1..6 {
        device.load(&image()).unwrap();
    }
    assert_eq!(device.load(&image()), Err(Error::NoContext { limit: 6 }));
}

#[test]
#[ignore = "played inside the stage"]
fn memory_has_its_limits() {
    let (mut device, context) = ready("");
    // More than any machine has, for data; more than the heap of 64 MiB, for instructions.
    for len_bytes in [1 << 45, usize::MAX] {
        assert!(matches!(device.alloc(len_bytes, BufferRole::Input), Err(Error::Alloc { .. })));
    }
    let mut long = image().entries.swap_remove(COPY);
    long.instructions.resize((65 << 20) / 4, 0);
    let error = device.add_kernel(context, &long).unwrap_err();
    assert!(matches!(error, Error::Alloc { len_bytes, .. } if len_bytes == 65 << 20), "{error}");
    works(&mut device, context);
    drop(device);
    // The third object after the heap and the stream's is refused: a buffer.
    let (mut device, context) = ready("memlock=70000000");
    let error = device.alloc(8 << 20, BufferRole::Input).unwrap_err().to_string();
    assert!(error.contains("memlock") && error.contains("ulimit"), "{error}");
    works(&mut device, context);
}

#[test]
#[ignore = "played inside the stage"]
fn a_sync_that_is_forgotten_is_seen() {
    let (mut device, context) = ready("");
    let (input, output) =
        (device.alloc(LEN, BufferRole::Input).unwrap(), device.alloc(LEN, BufferRole::Output).unwrap());
    device.host_mut(input.id()).unwrap().fill(9);
    let launch = Launch { kernel: context.kernel(COPY), buffers: vec![input.id(), output.id()] };
    let batch = Batch::new(vec![launch]).unwrap();
    let run = |device: &mut XrtDevice| {
        let ticket = device.submit(&batch).unwrap();
        assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
        device.host(output.id()).unwrap().to_vec()
    };
    // Neither pushed nor pulled; pushed; both.
    assert_eq!(run(&mut device), [0; LEN]);
    device.push(input.id(), 0..LEN).unwrap();
    assert_eq!(run(&mut device), [0; LEN]);
    device.pull(output.id(), 0..LEN).unwrap();
    assert_eq!(device.host(output.id()).unwrap(), [9; LEN]);
}

#[test]
#[ignore = "played inside the stage"]
fn an_image_that_the_driver_does_not_know_is_refused() {
    faults("");
    let mut device = XrtDevice::open().unwrap();
    for configuration in [b"xclbin2\0".to_vec(), image().configuration[..5000].to_vec(), b"nonsense".to_vec()]
    {
        let broken = KernelImage { configuration, ..image() };
        let error = device.load(&broken).unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error}");
    }
    let mut six = image();
    six.entries[0].arguments = vec![six.entries[0].arguments[0]; 6];
    assert!(matches!(device.load(&six), Err(Error::Image { .. })));
    let context = device.load(&image()).unwrap();
    works(&mut device, context);
}
