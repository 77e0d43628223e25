//! The encoder's public face on a small random model: accelerators agree, names are complete, errors are errors.
#![allow(clippy::unwrap_used, reason = "tests")]

mod small_model;

use small_model::{D_MODEL, LAYERS, N_MELS, POSITIONS, Random};
use whisper_encoder::{AudioFeatures, CancelToken, Device, Error, LogMel, Precision, WhisperEncoder};

fn open(device: Device) -> WhisperEncoder {
    open_in(device, Precision::F32)
}

fn open_in(device: Device, precision: Precision) -> WhisperEncoder {
    let folder = small_model::write();
    WhisperEncoder::builder()
        .model(folder.path())
        .device(device)
        .precision(precision)
        .threads(2)
        .build()
        .unwrap()
}

fn mel() -> LogMel {
    LogMel::new(N_MELS, Random::new(2).values(N_MELS * 2 * POSITIONS, 1.0)).unwrap()
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_encoder_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<WhisperEncoder>();
    fn sent<T: Send + Sync>() {}
    sent::<AudioFeatures>();
    sent::<Error>();
}

#[test]
fn cpu_and_oracle_agree_fused_and_probed() {
    let (oracle, cpu) = (open(Device::Candle), open(Device::Cpu));
    let want = oracle.encode(&mel()).unwrap();
    assert_eq!((want.frames(), want.d_model()), (POSITIONS, D_MODEL));
    // Outputs are layer norms of order 1; sums of at most 384 products in f32 differ by far less than this.
    let bound = 2e-5;
    for encoder in [&oracle, &cpu] {
        let fused = encoder.encode(&mel()).unwrap();
        let probed = encoder.encode_probed(&mel(), &mut |_, _| Ok(())).unwrap();
        let probed: Vec<f32> = probed.flatten_all().unwrap().to_vec1().unwrap();
        let differences = [max_difference(fused.data(), want.data()), max_difference(&probed, want.data())];
        assert!(differences.iter().all(|&d| d <= bound), "{}: {differences:?} > {bound}", encoder.device());
    }
}

#[test]
fn lower_precisions_round_and_no_more() {
    let want = open(Device::Candle).encode(&mel()).unwrap();
    // Outputs are layer norms of order 1. A bf16 keeps 8 bits (2⁻⁹ relative), an int8 of a row 7: a few roundings
    // in a row stay well within these; a wrong product or a lost bias does not.
    for (precision, bound) in [(Precision::Auto, 0.05), (Precision::Bf16, 0.03), (Precision::Int8, 0.15)] {
        let got = open_in(Device::Cpu, precision).encode(&mel()).unwrap();
        let difference = max_difference(got.data(), want.data());
        assert!(difference <= bound, "{precision:?}: {difference} > {bound}");
    }
}

#[test]
fn the_probe_sees_every_sub_layer_once_in_order() {
    let mut names = Vec::new();
    let mut visit = |name: &str, output: &candle_core::Tensor| {
        assert_eq!(output.dim(1)?, D_MODEL, "{name}");
        names.push(name.to_owned());
        Ok(())
    };
    open(Device::Cpu).encode_probed(&mel(), &mut visit).unwrap();
    let mut wanted = vec!["encoder.conv1".to_owned(), "encoder.conv2".into()];
    for block in 0..LAYERS {
        let parts = [".attn_ln", ".attn.query", ".attn.key", ".attn.value", ".attn", ".mlp_ln", ".mlp", ""];
        wanted.extend(parts.iter().map(|part| format!("encoder.blocks.{block}{part}")));
    }
    wanted.push("encoder.ln_post".into());
    assert_eq!(names, wanted);
}

#[test]
fn a_probe_may_stop_the_encoder() {
    let stop = &mut |_: &str, _: &candle_core::Tensor| Err(Error::Cancelled);
    assert!(matches!(open(Device::Cpu).encode_probed(&mel(), stop), Err(Error::Cancelled)));
}

#[test]
fn cancelled_means_no_output() {
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(open(Device::Cpu).encode_with(&mel(), &cancel), Err(Error::Cancelled)));
}

#[test]
fn a_mel_of_another_shape_is_refused() {
    let encoder = open(Device::Cpu);
    for (n_mels, frames) in [(128, 2 * POSITIONS), (N_MELS, 2 * POSITIONS - 1), (N_MELS, 0)] {
        let mel = LogMel::new(n_mels, vec![0.0; n_mels * frames]).unwrap();
        assert!(matches!(encoder.encode(&mel), Err(Error::Shape(_))), "[{n_mels}, {frames}] was taken");
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error_with_its_cause() {
    let folder = small_model::write();
    let built = WhisperEncoder::builder().model(folder.path()).device(Device::Npu).build();
    // Where there is an NPU, its kernels are built for other sizes than this model's.
    let Err(error) = built else { return };
    let message = error.to_string();
    assert!(message.contains("npu") && message.contains("XRT"), "{message}");
}

#[test]
fn f32_is_refused_by_a_device_that_does_not_multiply_it() {
    let folder = small_model::write();
    let builder = WhisperEncoder::builder().model(folder.path()).device(Device::Emulator);
    let message = builder.precision(Precision::F32).build().err().unwrap().to_string();
    assert!(message.contains("bf16 or int8"), "{message}");
}

#[test]
fn a_builder_without_a_model_and_a_model_that_is_not_there_are_errors() {
    assert!(WhisperEncoder::builder().build().is_err());
    let absent = WhisperEncoder::builder().model("no/such/folder").build();
    assert!(matches!(absent.err().unwrap(), Error::Read { path, .. } if path.ends_with("config.json")));
}
