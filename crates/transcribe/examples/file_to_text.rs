//! Prints what is said in an audio file, segment by segment: `cargo run --release --example file_to_text -- AUDIO [MODEL]`.

#![allow(clippy::print_stdout, reason = "a program that prints text")]

use std::error::Error;
use std::path::Path;

use transcribe::audio;
use transcribe::mel::{N_SAMPLES, log_mel};
use transcribe::model::{self, ModelSource, OpenOptions};
use transcribe::pipeline::{self, Event, TranscribeOptions};
use transcribe::speech_model::SpeechModel;
use whisper_encoder::CancelToken;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("give an audio file")?;
    let folder = arguments.next().unwrap_or_else(|| "models/whisper-base-int8".into());

    let files = model::folder::open(Path::new(&folder), &folder, ModelSource::Path)?;
    let model = model::open(&files, &OpenOptions::default())?;
    let samples = audio::load_file(Path::new(&file), None)?.samples;
    let mel = log_mel(samples.as_slice(), N_SAMPLES, model.config().n_mels)?;

    // Another thread may keep a clone of the token and stop the work with it.
    let cancel = CancelToken::new();
    let options = TranscribeOptions { temperatures: vec![0.0], ..TranscribeOptions::default() };
    let result = pipeline::transcribe(&model, &mel, &options, &cancel, &mut |event| {
        if let Event::Segment(segment) = event {
            println!("{:7.2} {:7.2} {}", segment.start, segment.end, segment.text);
        }
    })?;
    println!("language {}, {} segments", result.language, result.segments.len());
    Ok(())
}
