//! Speech to text with the encoder on the emulated NPU, against the CPU in f32.
//!
//! One sample by default. `WHISPER_AUDIO` names a folder of `*.wav` (with `*.txt` beside some of them) for more. A C++
//! compiler is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "texts that differ are printed for the reader of a test log")]

use std::path::{Path, PathBuf};

use transcribe::mel::{N_SAMPLES, log_mel};
use transcribe::model::OpenOptions;
use transcribe::pipeline::{self, TranscribeOptions};
use whisper_encoder::accelerator::NpuOptions;
use whisper_encoder::{CancelToken, Device, Precision};
use workspace_tests::engine::{self, Accelerator, Model};
use workspace_tests::golden::repository;
use workspace_tests::words::WordErrors;

fn emulated(precision: Precision) -> Model {
    let npu = NpuOptions { require: true, ..NpuOptions::default() };
    let options = OpenOptions { device: Device::Emulator, precision, npu, ..OpenOptions::default() };
    engine::load_model_with(&options).unwrap()
}

fn text(model: &Model, path: &Path) -> String {
    let samples = transcribe::audio::load_file(path, None).unwrap().samples;
    let mel = log_mel(samples.as_slice(), N_SAMPLES, 80).unwrap();
    let options = TranscribeOptions { temperatures: vec![0.0], ..TranscribeOptions::default() };
    pipeline::transcribe(model, &mel, &options, &CancelToken::new(), &mut |_| {}).unwrap().text
}

#[test]
fn a_sample_reads_the_same() {
    let path = repository().join("samples/SS-0890.wav");
    let want = " Unless to be rather cold-hearted and rather selfish is to be ill-disposed.";
    assert_eq!(text(&emulated(Precision::Auto), &path), want);
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "counts of files")]
fn a_folder_of_speech_reads_the_same() {
    let Some(folder) = std::env::var_os("WHISPER_AUDIO").map(PathBuf::from) else {
        use std::io::Write;
        let line = "\nSKIPPED: npu_transcripts compared one sample only, because WHISPER_AUDIO is not set\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    files.sort();
    assert!(!files.is_empty(), "no wav in {}", folder.display());
    let (cpu, npu) = (engine::load_model(Accelerator::Cpu).unwrap(), emulated(Precision::Bf16));
    let (mut same, mut on_cpu, mut on_npu) = (0, WordErrors::default(), WordErrors::default());
    for path in &files {
        let (want, got) = (text(&cpu, path), text(&npu, path));
        if got == want {
            same += 1;
        } else {
            println!("{}:\n  cpu {want}\n  npu {got}", path.display());
        }
        if let Ok(read) = std::fs::read_to_string(path.with_extension("txt")) {
            on_cpu.add(WordErrors::of(&want, &read));
            on_npu.add(WordErrors::of(&got, &read));
        }
    }
    let (cpu, npu) = (on_cpu.percent(), on_npu.percent());
    println!(
        "{same} of {} files read the same; word errors: CPU {cpu:.2} %, NPU {npu:.2} % of {}",
        files.len(),
        on_cpu.words
    );
    assert!(same as f64 >= 0.95 * files.len() as f64, "only {same} of {} files read the same", files.len());
    assert!((cpu - npu).abs() <= 0.1, "word errors of {npu:.2} % instead of {cpu:.2} %");
}
