//! Stops an encoder from another thread, between two layers: `cargo run --example cancel -- MODEL_FOLDER`.

#![allow(clippy::print_stdout, reason = "a program that prints what it found")]

use std::thread;
use std::time::Duration;

use whisper_encoder::{CancelToken, Error, LogMel, WhisperEncoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "models/whisper-base-int8".into());
    let encoder = WhisperEncoder::builder().model(model).build()?;
    let n_mels = encoder.config().n_mels;
    let silence = LogMel::new(n_mels, vec![-0.54; n_mels * 2 * encoder.config().n_audio_ctx])?;
    let cancel = CancelToken::new();
    let stopper = thread::spawn({
        let cancel = cancel.clone();
        move || {
            thread::sleep(Duration::from_millis(50));
            cancel.cancel();
        }
    });
    match encoder.encode_with(&silence, &cancel) {
        Err(Error::Cancelled) => println!("stopped"),
        Ok(features) => println!("done first: {} frames", features.frames()),
        Err(error) => return Err(error.into()),
    }
    stopper.join().map_err(|_| "the stopping thread panicked")?;
    Ok(())
}
