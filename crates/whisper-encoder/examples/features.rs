//! Encodes a window of silence and prints the shape of its features: `cargo run --example features -- MODEL_FOLDER`.

#![allow(clippy::print_stdout, reason = "a program that prints what it found")]

use whisper_encoder::{LogMel, WhisperEncoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "models/whisper-base-int8".into());
    let encoder = WhisperEncoder::builder().model(model).build()?;
    // −0.54 is what silence becomes in Whisper's log-mel; `transcribe::mel::log_mel` makes one of real audio.
    let n_mels = encoder.config().n_mels;
    let silence = LogMel::new(n_mels, vec![-0.54; n_mels * 2 * encoder.config().n_audio_ctx])?;
    let features = encoder.encode(&silence)?;
    println!("[frames, d_model] = [{}, {}] on {}", features.frames(), features.d_model(), encoder.device());
    Ok(())
}
