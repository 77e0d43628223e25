//! `transcribe --device npu` through our shim, AMD's own runtime and driver plugin, and the double of the kernel driver: the same
//! tokens as `--device emulator`. Skipped, loudly, where Debian's suite with XRT is out of reach.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../npu-backend/tests/xrt/stage.rs"]
#[expect(dead_code, reason = "shared with the tests of npu-backend, which use all of it")]
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stage::{Stage, repository, told};

/// The images of whisper-base: instructions as the emulator has them, an xclbin that names the overlay, and the index.
const MAKE_IMAGES: &str = "
import struct, sys
from pathlib import Path
import shapes, write_index
folder, kernels = Path(sys.argv[1]), Path(sys.argv[2])
for name, launch in shapes.catalogue(4, ['base']):
    words = shapes.program_of(launch).words()
    (folder / f'{name}.insts').write_bytes(struct.pack(f'<{len(words)}I', *words))
(folder / 'encoder.plain').write_text('modelled image\\nencoder\\naie2\\n' + write_index.sources_hash(kernels))
";

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    output
}

fn images(root: &Path) -> PathBuf {
    let (folder, kernels) = (root.join("aie2"), repository().join("kernels"));
    fs::create_dir_all(&folder).unwrap();
    let python = || {
        let mut command = Command::new("python3");
        command.current_dir(kernels.join("designs")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    succeed(python().args(["-c", MAKE_IMAGES]).arg(&folder).arg(&kernels));
    let xclbin = folder.join("encoder.xclbin");
    succeed(
        Command::new(repository().join("tests/xrt-sandbox/xclbin"))
            .arg(folder.join("encoder.plain"))
            .arg(xclbin),
    );
    let index = ["write_index.py", "--arch", "aie2", "--models", "base", "--kernels"];
    succeed(python().args(index).arg(&kernels).arg("--folder").arg(&folder));
    root.into()
}

/// Tokens of every segment.
fn tokens(folder: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join("SS-0880.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    let segments = result["segments"].as_array().unwrap();
    segments.iter().map(|segment| segment["tokens"].clone()).collect()
}

#[test]
fn an_npu_over_the_double_has_the_emulator_s_tokens() {
    let Some(stage) = Stage::set() else { return };
    let work = tempfile::tempdir().unwrap();
    let images = images(&work.path().join("images"));
    let program = Path::new(env!("CARGO_BIN_EXE_transcribe"));
    let sample = repository().join("samples/SS-0880.wav");
    let [npu, emulator] = ["npu", "emulator"].map(|device| {
        let out = work.path().join(device);
        let mut command = match device {
            "npu" => stage.command(program, true, ""),
            _ => Command::new(program),
        };
        command.env("NPU_KERNEL_IMAGES", &images).arg(&sample).args([
            "--device",
            device,
            "--require-npu",
            "-f",
            "json",
            "-o",
        ]);
        succeed(command.arg(&out));
        tokens(&out)
    });
    assert!(!npu.is_empty() && npu == emulator, "{npu:?}\n{emulator:?}");

    // The product that doctor tries, and what else it finds.
    let doctor = stage
        .command(program, true, "")
        .env("NPU_KERNEL_IMAGES", &images)
        .args(["doctor", "--device", "npu"])
        .output();
    let said = told(&doctor.unwrap());
    for line in ["ok           shim", "ok           trial       64×64×64 in bf16 is right: RyzenAI-npu1"] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
}
