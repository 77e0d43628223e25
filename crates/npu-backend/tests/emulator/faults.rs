//! Each fault that can be injected, and what the caller sees of it.

use npu_backend::BufferRole::{Input, Output};
use npu_backend::emulator::probe::COPY;
use npu_backend::emulator::{Emulator, Fault, FaultPlan};
use npu_backend::{CommandState, Device, Error};

use crate::{LEN, bench};

/// What a batch of three copies sees whose second launch goes wrong.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Completed, and the second output begins with these bytes.
    Completed([u8; 2]),
    Failed(CommandState),
    Lost,
}

const OLD: u8 = 7;
const NEW: u8 = 1;

/// What is seen of the fault, what is seen afterwards, and what the runtime has logged.
fn seen(fault: Fault) -> (Seen, Seen, u64) {
    let mut bench = bench(Emulator::builder().faults(FaultPlan::none().at(1, fault)));
    let input = bench.filled(Input, LEN, NEW);
    let outputs = [(); 3].map(|()| bench.filled(Output, LEN, OLD));
    let launches: Vec<_> = outputs.iter().map(|output| bench.launch(COPY, &[&input, output])).collect();
    let mut see = || {
        for output in &outputs {
            if bench.device.host_mut(output.id()).map(|host| host.fill(OLD)).is_err()
                || bench.device.push(output.id(), 0..LEN).is_err()
            {
                return Seen::Lost;
            }
        }
        let ticket = bench.submit(launches.clone());
        match bench.device.wait(ticket, None) {
            Ok(progress) => {
                assert!(progress.is_done());
                let second = bench.read(&outputs[1]);
                assert!(second.chunks(2).all(|pair| pair == &second[..2]));
                assert_eq!(bench.read(&outputs[0]), [NEW; LEN]);
                assert_eq!(bench.read(&outputs[2]), [NEW; LEN]);
                Seen::Completed([second[0], second[1]])
            }
            Err(Error::Launch { index, state, why, .. }) => {
                assert!(!why.is_empty());
                assert!(index == 1 || state == CommandState::Abort && index == 0, "{index}");
                // The launch after it did not run.
                assert_eq!(bench.read(&outputs[2]), [OLD; LEN]);
                Seen::Failed(state)
            }
            Err(Error::DeviceLost { .. }) => Seen::Lost,
            Err(error) => panic!("{error}"),
        }
    };
    let (now, then) = (see(), see());
    (now, then, bench.device.receipt().warning_count)
}

#[test]
fn every_fault_ends_as_it_does_in_the_field() {
    let (good, failed) = (Seen::Completed([NEW, NEW]), Seen::Failed);
    for fault in Fault::ALL {
        let (now, then, warnings) = seen(fault);
        let want = match fault {
            Fault::CompletedWithZeros => Seen::Completed([0, 0]),
            Fault::CompletedWithNan => Seen::Completed([0xC0, 0x7F]),
            // The output lies in a clone, or nothing ran.
            Fault::WrongBank | Fault::ShiftedArguments => Seen::Completed([OLD, OLD]),
            Fault::Slow | Fault::LegacyOpcode => Seen::Completed([NEW, NEW]),
            Fault::Error | Fault::ShortBuffer | Fault::StreamLength | Fault::Opcode => {
                failed(CommandState::Error)
            }
            Fault::FirmwareReset => failed(CommandState::Abort),
            Fault::Hang | Fault::Wedge => failed(CommandState::Timeout),
            Fault::Vanish => Seen::Lost,
            other => panic!("{other:?} is not in the table"),
        };
        assert_eq!(now, want, "{fault:?}");
        match fault {
            Fault::Vanish => assert_eq!(then, Seen::Lost),
            Fault::Wedge => assert_eq!(then, failed(CommandState::Abort), "until opened again"),
            _ => assert_eq!(then, good, "{fault:?} comes once"),
        }
        assert_eq!(warnings, u64::from(matches!(fault, Fault::WrongBank | Fault::LegacyOpcode)), "{fault:?}");
        let silent = now != good && matches!(now, Seen::Completed(_));
        assert_eq!(fault.is_silent(), silent, "{fault:?}");
        assert_eq!(fault.is_harmless(), now == good, "{fault:?}");
    }
}

#[test]
fn a_firmware_reset_aborts_what_is_queued_and_not_what_comes_later() {
    let mut bench = bench(Emulator::builder().faults(FaultPlan::none().at(0, Fault::FirmwareReset)));
    let (input, outputs) = (bench.filled(Input, LEN, NEW), [(); 3].map(|()| bench.filled(Output, LEN, OLD)));
    let launches = outputs.each_ref().map(|output| bench.launch(COPY, &[&input, output]));
    let [first, second, third] = launches;
    let queued = [first, second].map(|launch| bench.submit(vec![launch]));
    for ticket in queued {
        let error = bench.device.wait(ticket, None).unwrap_err();
        assert!(matches!(error, Error::Launch { state: CommandState::Abort, index: 0, .. }), "{error}");
        assert!(error.to_string().contains("reset"), "{error}");
    }
    bench.run(vec![third]).unwrap();
    assert_eq!(bench.read(&outputs[2]), [NEW; LEN]);
}

#[test]
fn a_slow_launch_is_late_by_the_longest_seen() {
    let time = |faults| {
        let mut bench = bench(Emulator::builder().faults(faults));
        let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 0));
        bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
        bench.device.elapsed()
    };
    let late = time(FaultPlan::none().at(0, Fault::Slow)) - time(FaultPlan::none());
    assert_eq!(late, std::time::Duration::from_micros(1900));
}
