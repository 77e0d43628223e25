//! Every kernel, of the overlay and of the seed, through XRT and through the emulator: the same bytes.

use npu_backend::emulator::Emulator;
use npu_backend::kernel::{Program, image};
use npu_backend::ops::{Engine, Images, ModelledImages};
use npu_backend::schedule::pack::{WeightValues, Weights};
use npu_backend::schedule::{AttentionProblem, GemmKind, GemmProblem, Int8AttentionProblem, Queries, Region};
use npu_backend::xrt::XrtDevice;
use npu_backend::{Arch, Batch, BufferRole, Device, KernelImage, Launch, Progress, Result};

use crate::stage::{faults, in_xclbin};

/// The emulator's images, the overlay in an xclbin.
struct InXclbin;

impl Images for InXclbin {
    fn overlay(&self, arch: Arch) -> Result<KernelImage> {
        ModelledImages.overlay(arch).map(in_xclbin)
    }

    fn words(&self, name: &str, program: &Program) -> Result<Vec<u32>> {
        ModelledImages.words(name, program)
    }
}

/// The same work on both devices.
fn compare(work: impl Fn(&mut Engine) -> Vec<u8>) {
    faults("");
    let device: Box<dyn Device> = Box::new(XrtDevice::open().unwrap());
    let got = work(&mut Engine::new(device, Box::new(InXclbin)).unwrap());
    let device = Box::new(Emulator::builder().open().unwrap());
    let want = work(&mut Engine::new(device, Box::new(ModelledImages)).unwrap());
    assert!(want.iter().any(|byte| *byte != 0));
    let first = got.iter().zip(&want).position(|(got, want)| got != want);
    assert_eq!((got.len(), first), (want.len(), None), "the first byte that differs");
}

/// Bytes of bfloat16 numbers between −2 and 2, or of int8 ones: their high byte is never an exponent of all ones.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let byte = (state >> 24).to_le_bytes()[0];
            if index % 2 == 1 { (byte & 0x80) | 0x3E | (byte & 1) } else { byte }
        })
        .collect()
}

fn filled(engine: &mut Engine, bytes: &[u8], role: BufferRole) -> npu_backend::Buffer {
    let buffer = engine.buffer(bytes.len(), role).unwrap();
    engine.write(buffer.id(), 0..bytes.len(), |to| to.copy_from_slice(bytes)).unwrap();
    buffer
}

fn run(engine: &mut Engine, launch: Launch, out: &npu_backend::Buffer) -> Vec<u8> {
    engine.run(&Batch::new(vec![launch]).unwrap()).unwrap();
    engine.read(out.id(), 0..out.len_bytes(), <[u8]>::to_vec).unwrap()
}

fn gemm(kind: GemmKind, m: usize, k: usize, n: usize, gelu: bool, residual: bool) {
    compare(|engine| {
        let grid = engine.grid();
        let mut problem = GemmProblem::dense(grid, kind, (m, k, n));
        problem.residual = residual.then_some(problem.c);
        let fill = |row: usize, to: &mut [f32]| {
            for (column, to) in to.iter_mut().enumerate() {
                let number = u16::try_from((row * 31 + column * 17) % 251).unwrap();
                *to = (f32::from(number) - 125.0) / 500.0;
            }
        };
        let bias: Vec<f32> = (0..n).map(|index| f32::from(u8::try_from(index % 7).unwrap()) - 3.0).collect();
        let weights =
            Weights { values: WeightValues::F32(&fill), bias: Some(&bias), gelu, output_scale: 1.0 };
        let weights = engine.weights(&problem, &weights).unwrap();
        let a = filled(engine, &noise(1, problem.a_len_bytes(grid)), BufferRole::Input);
        let c = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output).unwrap();
        let added = residual.then(|| filled(engine, &noise(2, problem.c_len_bytes(grid)), BufferRole::Input));
        let launch = engine.gemm(&problem, a.id(), &weights, c.id(), added.as_ref().map(|b| b.id())).unwrap();
        run(engine, launch, &c)
    });
}

#[test]
#[ignore = "played inside the stage"]
fn products() {
    for kind in [GemmKind::Bf16, GemmKind::Int8Int32, GemmKind::Int8Bf16, GemmKind::Int8Int8] {
        // Edges in each direction, and more panels than one; nothing of K = 4096 is kept.
        gemm(kind, 100, 70, 130, false, false);
        gemm(kind, 300, 512, 300, false, false);
    }
    for kind in [GemmKind::Bf16, GemmKind::Int8Bf16] {
        gemm(kind, 260, 240, 256, true, false);
    }
    gemm(GemmKind::Bf16, 300, 96, 300, false, true);
    gemm(GemmKind::Bf16, 260, 4096, 260, true, true);
}

/// The seed's kernels: each by itself, one launch with its buffers as the manifest has them.
#[test]
#[ignore = "played inside the stage"]
fn direct_ones() {
    faults("");
    for name in ["seed_matmul", "seed_attention"] {
        let image = image::direct(name, Arch::Aie2).unwrap();
        for (number, entry) in image.entries.iter().enumerate() {
            let work = |mut device: Box<dyn Device>, image: &KernelImage| {
                let context = device.load(image).unwrap();
                let buffers: Vec<_> = (0..)
                    .zip(&entry.arguments)
                    .map(|(seed, argument)| {
                        let buffer = device.alloc(argument.len_bytes, argument.role).unwrap();
                        device
                            .host_mut(buffer.id())
                            .unwrap()
                            .copy_from_slice(&noise(seed, argument.len_bytes));
                        device.push(buffer.id(), 0..argument.len_bytes).unwrap();
                        buffer
                    })
                    .collect();
                let launch = Launch {
                    kernel: context.kernel(number),
                    buffers: buffers.iter().map(|b| b.id()).collect(),
                };
                let ticket = device.submit(&Batch::new(vec![launch]).unwrap()).unwrap();
                assert_eq!(device.wait(ticket, None).unwrap(), Progress::Done);
                let out = buffers.last().unwrap();
                device.pull(out.id(), 0..out.len_bytes()).unwrap();
                device.host(out.id()).unwrap().to_vec()
            };
            let got = work(Box::new(XrtDevice::open().unwrap()), &in_xclbin(image.clone()));
            let want = work(Box::new(Emulator::builder().open().unwrap()), &image);
            assert!(got == want && want.iter().any(|byte| *byte != 0), "{}", entry.name);
        }
    }
}

#[test]
#[ignore = "played inside the stage"]
fn attention() {
    for (heads, frames, queries) in
        [(4, 64, Queries::Plain), (6, 300, Queries::Plain), (2, 33, Queries::Log2)]
    {
        compare(|engine| {
            let grid = engine.grid();
            let stride = (heads * 64_usize).next_multiple_of(grid.panel_columns()) * 2;
            let part = usize::next_multiple_of(frames, grid.block_rows()) * stride;
            let at = |index: usize| Region { offset_bytes: index * part, row_stride_bytes: stride };
            let problem = AttentionProblem {
                heads,
                frames,
                rows: frames,
                queries,
                q: at(0),
                k: at(1),
                v: at(2),
                out: at(0),
            };
            let input = filled(engine, &noise(3, 3 * part), BufferRole::Input);
            let params = filled(engine, &problem.params(grid), BufferRole::Weight);
            let out = engine.buffer(part, BufferRole::Output).unwrap();
            let launch = engine.attention(&problem, input.id(), params.id(), out.id()).unwrap();
            run(engine, launch, &out)
        });
    }
}

#[test]
#[ignore = "played inside the stage"]
fn attention_in_int8() {
    compare(|engine| {
        let (grid, heads, frames) = (engine.grid(), 3, 130);
        let row_stride_bytes = (heads * 64_usize).next_multiple_of(grid.panel_columns()) * 2;
        let out = Region { offset_bytes: 0, row_stride_bytes };
        let problem = Int8AttentionProblem { heads, frames, out };
        let values = |seed: u32| -> Vec<f32> {
            noise(seed, frames * heads * 64).iter().map(|byte| (f32::from(*byte) - 128.0) / 64.0).collect()
        };
        let (mut queries, mut keys) =
            (vec![0; problem.queries_len_bytes(grid)], vec![0; problem.keys_len_bytes()]);
        problem.pack_queries(grid, &values(4), &mut queries).unwrap();
        problem.pack_keys(grid, &values(5), &values(6), &mut keys).unwrap();
        let queries = filled(engine, &queries, BufferRole::Input);
        let keys = filled(engine, &keys, BufferRole::Input);
        let len = problem.padded_frames(grid) * row_stride_bytes;
        let output = engine.buffer(len, BufferRole::Output).unwrap();
        let launch = engine.attention_int8(&problem, queries.id(), keys.id(), output.id()).unwrap();
        run(engine, launch, &output)
    });
}
