//! Prints the root mean square of every sub-layer's output: `cargo run --example probe -- MODEL_FOLDER`.

#![allow(clippy::print_stdout, reason = "a program that prints what it found")]

use whisper_encoder::{LogMel, WhisperEncoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "models/whisper-base-int8".into());
    let encoder = WhisperEncoder::builder().model(model).build()?;
    let n_mels = encoder.config().n_mels;
    let silence = LogMel::new(n_mels, vec![-0.54; n_mels * 2 * encoder.config().n_audio_ctx])?;
    encoder.encode_probed(&silence, &mut |name, output| {
        let rms = output.sqr()?.mean_all()?.to_scalar::<f32>()?.sqrt();
        println!("{name:<28} {:?} rms {rms:.4}", output.dims());
        Ok(())
    })?;
    Ok(())
}
