//! How long until the bundled model can work, and how long do its parts take one after another?

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "a bench prints figures")]

use std::time::Instant;

use transcribe::model::{self, OpenOptions, Surroundings};
use transcribe::text_decoder::TextDecoder;
use transcribe::tokenizer::Tokenizer;
use whisper_encoder::{Checkpoint, Precision, WhisperEncoder};
use workspace_tests::golden::repository;

const ROUNDS: usize = 5;

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed().as_secs_f64() * 1e3)
}

fn main() {
    let surroundings = Surroundings { current_dir: Some(repository()), ..Surroundings::default() };
    let files = model::bundled(&surroundings).unwrap();
    for precision in [Precision::Auto, Precision::F32] {
        for _ in 0..ROUNDS {
            let options = OpenOptions { precision, ..OpenOptions::default() };
            let (opened, all) = timed(|| model::open(&files, &options).unwrap());
            drop(opened);
            let (checkpoint, header) =
                timed(|| Checkpoint::open_files(&files.config, &files.weights).unwrap());
            let context = cpu_backend::Context::new(cpu_backend::Level::detect(), 0).unwrap();
            let builder = WhisperEncoder::builder().precision(precision).context(context.clone());
            let (_encoder, of_encoder) = timed(|| builder.build_from(&checkpoint).unwrap());
            let (_decoder, of_decoder) =
                timed(|| TextDecoder::load(&checkpoint, context, precision).unwrap());
            let (_tokenizer, of_tokenizer) =
                timed(|| Tokenizer::open(&files.folder, checkpoint.config()).unwrap());
            println!(
                "{precision:?}: opened in {all:.1} ms; by itself header {header:.1}, encoder {of_encoder:.1}, decoder \
                 {of_decoder:.1}, tokenizer {of_tokenizer:.1} ms"
            );
        }
    }
}
