//! What launches compute through XRT is what the emulator computes.

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::kernel::image;
use npu_backend::ops::{Engine, Images, ModelledImages, Operation};
use npu_backend::schedule::pack::{self, WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem, Grid};
use npu_backend::{Arch, Batch, BufferRole, Device, KernelEntry, Launch, Progress};

use crate::bench::{Bench, LEN};

#[test]
fn a_run_copies_and_a_runlist_of_three_chains_counts() {
    let Some(bench) = Bench::probe() else { return };
    let said = bench.launch("", "copy", &["a", "b"]);
    assert!(said.is_ok(), "{said:?}");
    assert_eq!(bench.read("b"), Bench::counted());
    // 60 runs are three chains; twice over.
    let said = bench.launch("", "bump", &["--runlist=60", "--rounds=2", "b"]);
    assert!(said.is_ok(), "{said:?}");
    let raised: Vec<u8> = Bench::counted().iter().map(|byte| byte.wrapping_add(120)).collect();
    assert_eq!(bench.read("b"), raised);
    let said = bench.launch("", "add", &["a", "b", "b"]);
    assert!(said.is_ok(), "{said:?}");
}

#[test]
fn with_two_copies_a_forgotten_sync_is_seen() {
    let Some(bench) = Bench::probe() else { return };
    let zeros = vec![0; LEN as usize];
    let after = |arguments: &[&str]| {
        bench.fill();
        let said = bench.launch_on_two_copies("copy", arguments);
        assert!(said.is_ok(), "{said:?}");
        bench.read("b")
    };
    assert_eq!(after(&["a", "b"]), Bench::counted());
    assert_eq!(after(&["--no-push=0", "a", "b"]), zeros);
    assert_eq!(after(&["--no-pull=1", "a", "b"]), zeros);
}

/// Numbers between −1 and 1 without a pattern.
fn floats(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 2_654_435_761 % 1999) as f32 / 999.5 - 1.0).collect()
}

/// A product's files, and what the emulator makes of them.
fn product(bench: &mut Option<Bench>, kind: GemmKind, (m, k, n): (usize, usize, usize)) -> Option<Vec<u8>> {
    let device = Emulator::builder().arithmetic(Arithmetic::Fast).open().unwrap();
    let grid = Grid::of(device.info());
    let problem = GemmProblem::dense(grid, kind, (m, k, n));
    let words = Operation::Gemm(problem).plan(grid).unwrap().encode();
    let mut image = ModelledImages.overlay(Arch::Aie2).unwrap();
    image.entries.push(KernelEntry { name: "stream".into(), instructions: words, arguments: Vec::new() });
    let here = Bench::new(&image)?;

    let (x, w, bias) = (floats(m * k), floats(n * k), floats(n));
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&w[row * k..(row + 1) * k]);
    let weights =
        Weights { values: WeightValues::F32(&fill), bias: Some(&bias), gelu: true, output_scale: 1.0 };
    let mut a = vec![0; problem.a_len_bytes(grid)];
    let stride = problem.a.row_stride_bytes;
    match kind {
        GemmKind::Bf16 => pack::rows_to_bf16(&x, k, &mut a, stride),
        _ => pack::rows_to_int8(&x, k, stride - kind.row_tail_bytes(), &mut a, stride),
    }
    here.write("a", &a);
    here.write("w", &pack::weights(grid, &problem, &weights));
    here.write("c", &vec![0; problem.c_len_bytes(grid)]);

    let mut engine = Engine::new(Box::new(device), Box::new(ModelledImages)).unwrap();
    let resident = engine.weights(&problem, &weights).unwrap();
    let input = engine.buffer(a.len(), BufferRole::Input).unwrap();
    engine.write(input.id(), 0..a.len(), |bytes| bytes.copy_from_slice(&a)).unwrap();
    let len = problem.c_len_bytes(grid);
    let output = engine.buffer(len, BufferRole::Output).unwrap();
    let launch = engine.gemm(&problem, input.id(), &resident, output.id(), None).unwrap();
    engine.run(&Batch::new(vec![launch]).unwrap()).unwrap();
    let want = engine.read(output.id(), 0..len, <[u8]>::to_vec).unwrap();
    *bench = Some(here);
    Some(want)
}

#[test]
fn products_give_the_emulators_bytes() {
    for (kind, shape) in [(GemmKind::Bf16, (300, 256, 128)), (GemmKind::Int8Bf16, (256, 512, 256))] {
        let mut bench = None;
        let Some(want) = product(&mut bench, kind, shape) else { return };
        let bench = bench.unwrap();
        assert!(want.iter().any(|&byte| byte != 0));
        for options in [&[][..], &["--runlist=3"]] {
            bench.write("c", &vec![0; want.len()]);
            let arguments: Vec<&str> = options.iter().copied().chain(["a", "w", "c"]).collect();
            let said = bench.launch("", "stream", &arguments);
            assert!(said.is_ok(), "{kind:?}: {said:?}");
            assert!(bench.read("c") == want, "{kind:?} {options:?}: other bytes than the emulator's");
        }
    }
}

#[test]
fn a_direct_kernel_gives_the_emulators_bytes() {
    let image = image::direct("seed_matmul", Arch::Aie2).unwrap();
    let Some(bench) = Bench::new(&image) else { return };
    let entry = &image.entries[1];
    let [input, output] = [0, 1].map(|argument| entry.arguments[argument].len_bytes);
    let bytes: Vec<u8> = (0..input).map(|index| (index * 31 % 251).to_le_bytes()[0]).collect();
    bench.write("a", &bytes);
    bench.write("b", &vec![0; output]);
    let said = bench.launch("", &entry.name, &["a", "b"]);
    assert!(said.is_ok(), "{said:?}");

    let mut device = Emulator::builder().open().unwrap();
    let context = device.load(&image).unwrap();
    let from = device.alloc(input, BufferRole::Input).unwrap();
    let to = device.alloc(output, BufferRole::Output).unwrap();
    device.host_mut(from.id()).unwrap().copy_from_slice(&bytes);
    device.push(from.id(), 0..input).unwrap();
    let launch = Launch { kernel: context.kernel(1), buffers: vec![from.id(), to.id()] };
    let ticket = device.submit(&Batch::new(vec![launch]).unwrap()).unwrap();
    assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
    device.pull(to.id(), 0..output).unwrap();
    assert_eq!(bench.read("b"), device.host(to.id()).unwrap());
}

#[test]
fn an_unknown_image_is_refused() {
    let mut image = ModelledImages.overlay(Arch::Aie2).unwrap();
    image.configuration.extend(b"of other sources");
    let Some(bench) = Bench::new(&image) else { return };
    bench.write("stream", &[0; 16]);
    let said = bench.launch("", "stream", &[]);
    assert!(said.out.contains("CONFIG_HWCTX") && said.out.contains("system_error 22"), "{said:?}");
    assert!(said.log.contains("the array configuration was refused"), "{said:?}");
}
