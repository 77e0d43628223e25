//! Who forgets a push or a pull sees it: always with strict caches, sometimes with random ones.

use npu_backend::BufferRole::{Input, Output};
use npu_backend::Device;
use npu_backend::emulator::probe::COPY;
use npu_backend::emulator::{Emulator, Eviction};

use crate::{LEN, bench};

const POISON: [u8; 2] = [0xDB, 0x7F];

#[test]
fn without_a_push_the_launch_reads_poison_in_the_lines_that_were_written() {
    let mut bench = bench(Emulator::builder());
    let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 0));
    bench.device.host_mut(input.id()).unwrap()[130] = 2;
    bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    let got = bench.read(&output);
    assert_eq!((&got[..128], &got[192..]), (&[1; 128][..], &[1; LEN - 192][..]));
    assert!(got[128..192].chunks(2).all(|pair| pair == POISON), "{:?}", &got[128..192]);
    // Pushed late is not lost.
    bench.device.push(input.id(), 128..192).unwrap();
    bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    let got = bench.read(&output);
    assert_eq!((got[129], got[130], got[131]), (1, 2, 1));
}

#[test]
fn without_a_pull_the_host_reads_poison() {
    let mut bench = bench(Emulator::builder());
    let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 0));
    bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    bench.device.pull(output.id(), 64..128).unwrap();
    let host = bench.device.host(output.id()).unwrap();
    assert_eq!(host[64..128], [1; 64]);
    assert!(host[..64].chunks(2).chain(host[128..].chunks(2)).all(|pair| pair == POISON));
}

#[test]
fn an_output_cleared_and_not_pushed_loses_what_the_launch_wrote() {
    let mut bench = bench(Emulator::builder());
    let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 7));
    bench.device.host_mut(output.id()).unwrap()[..64].fill(0);
    bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
    let got = bench.read(&output);
    assert_eq!((&got[..64], &got[64..]), (&[0; 64][..], &[1; LEN - 64][..]));
}

/// Random caches show each of the three outcomes of a forgotten push, lines old and new side by side among them, and
/// both outcomes of a forgotten pull.
#[test]
fn random_caches_show_old_and_new_bytes_to_who_forgets() {
    let (mut pushes, mut pulls) = ([0; 3], [0; 2]);
    for seed in 0..200 {
        let mut bench = bench(Emulator::builder().eviction(Eviction::Fuzzed { seed }));
        let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 0));
        bench.device.host_mut(input.id()).unwrap().fill(2);
        bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
        let stale = bench.device.host(output.id()).unwrap().to_vec();
        pulls[usize::from(stale.iter().any(|&byte| byte != 0))] += 1;
        let got = bench.read(&output);
        assert!(got.iter().all(|byte| [1, 2].contains(byte)), "old or new, nothing else");
        let new = got.iter().filter(|&&byte| byte == 2).count();
        pushes[usize::from(new > 0) + usize::from(new == LEN)] += 1;
    }
    // Half of 16 lines or fewer are looked at each time: never all of them, mostly some.
    assert!(pushes[1] > 0 && pushes[2] == 0, "none, some, all new: {pushes:?}");
    assert!(pulls[1] > 0, "none, some new: {pulls:?}");
}

#[test]
fn random_caches_lose_an_output_that_was_cleared_and_not_pushed() {
    let mut lost = 0;
    for seed in 0..20 {
        let mut bench = bench(Emulator::builder().eviction(Eviction::Fuzzed { seed }));
        let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 7));
        bench.device.host_mut(output.id()).unwrap().fill(0);
        bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
        lost += usize::from(bench.read(&output).contains(&0));
    }
    assert!(lost > 0);
}
