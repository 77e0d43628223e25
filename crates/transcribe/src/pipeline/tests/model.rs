//! `transcribe()` over a scripted model and a real (small) tokenizer: languages, warnings, windows, cancellation.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::sync::Mutex;

use whisper_encoder::{CancelToken, Config, LogMel};

use crate::decoding::{Inference, Task};
use crate::pipeline::{Event, TranscribeOptions, transcribe};
use crate::speech_model::{Alignment, SpeechModel};
use crate::tokenizer::Tokenizer;
use crate::tokenizer::testing::{Layout, small};
use crate::{Error, ErrorKind, Result, Transcription};

/// Says " ab" from 0.00 to 1.00 in every window; German is the likeliest language.
struct Model {
    config: Config,
    tokenizer: Tokenizer,
    says: Vec<u32>,
    /// First value and count of non-zero frames of each encoded window.
    encoded: Mutex<Vec<(f32, usize)>>,
    beside_cpu: bool,
    cancel: CancelToken,
    cancel_at_step: Option<usize>,
}

struct Voice<'a> {
    model: &'a Model,
    step: usize,
    sampled: usize,
}

impl Model {
    fn new(layout: Layout) -> Self {
        let tokenizer = small(layout).unwrap();
        let config = Config {
            n_mels: 1,
            n_audio_ctx: 1500,
            d_model: 64,
            n_audio_head: 1,
            n_audio_layer: 4,
            audio_ffn: 4,
            n_vocab: layout.n_vocab(),
            n_text_ctx: 448,
            n_text_head: 1,
            n_text_layer: 4,
            text_ffn: 4,
        };
        let begin = tokenizer.timestamp_begin();
        let mut says = vec![begin];
        says.extend(tokenizer.encode(" ab").unwrap());
        says.extend([begin + 50, tokenizer.eot()]);
        let cancel = CancelToken::new();
        Self {
            config,
            tokenizer,
            says,
            encoded: Mutex::default(),
            beside_cpu: false,
            cancel,
            cancel_at_step: None,
        }
    }

    fn run(&self, frames: usize, options: &TranscribeOptions) -> (Result<Transcription>, Vec<String>) {
        let mut data: Vec<f32> = (1..=frames).map(|frame| frame as f32).collect();
        data.resize(frames + 3000, 0.5);
        let mel = LogMel::new(1, data).unwrap();
        let mut told = Vec::new();
        let result = transcribe(self, &mel, options, &self.cancel, &mut |event| match event {
            Event::Language { code, probability } => {
                told.push(format!(
                    "{code} {}",
                    probability.map_or("given", |p| if p > 0.9 { "sure" } else { "?" })
                ));
            }
            Event::Warning(text) => told.push(text.to_owned()),
            Event::Segment(segment) => told.push(segment.text.clone()),
            Event::Progress { .. } => {}
        });
        (result, told)
    }
}

impl Voice<'_> {
    fn logits(&self, row: &mut [f32]) {
        row.fill(0.0);
        let token = self.model.says.get(self.sampled).copied().unwrap_or(self.model.tokenizer.eot());
        row[token as usize] = 30.0;
    }
}

impl Inference for Voice<'_> {
    fn n_vocab(&self) -> usize {
        self.model.config.n_vocab
    }

    fn n_text_ctx(&self) -> usize {
        self.model.config.n_text_ctx
    }

    fn prefill(&mut self, tokens: &[u32], logits_at: &[usize]) -> Result<Vec<Vec<f32>>> {
        self.sampled = 0;
        let mut row = vec![0.0; self.n_vocab()];
        if tokens.len() == 1 && self.model.tokenizer.is_multilingual() {
            row[self.model.tokenizer.language_token("de").unwrap() as usize] = 20.0;
        } else {
            self.logits(&mut row);
        }
        Ok(vec![row; logits_at.len()])
    }

    fn rearrange(&mut self, source: &[usize]) -> Result<()> {
        assert!(source.iter().all(|&row| row < 5), "{source:?}");
        Ok(())
    }

    fn step(&mut self, tokens: &[u32], logits: &mut [f32]) -> Result<()> {
        if self.model.cancel_at_step == Some(self.step) {
            return Err(Error::new(ErrorKind::Cancelled, "stopped", "cancelled", ""));
        }
        self.step += 1;
        self.sampled += 1;
        let n_vocab = self.n_vocab();
        assert_eq!(logits.len(), tokens.len() * n_vocab);
        logits.chunks_exact_mut(n_vocab).for_each(|row| self.logits(row));
        Ok(())
    }
}

impl SpeechModel for Model {
    type Audio = ();

    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn encode(&self, window: &LogMel, _cancel: &CancelToken) -> Result<()> {
        assert_eq!((window.n_mels(), window.frames()), (1, 3000));
        let filled = window.data().iter().filter(|&&x| x != 0.0).count();
        self.encoded.lock().unwrap().push((window.data()[0], filled));
        Ok(())
    }

    fn encodes_beside_cpu(&self) -> bool {
        self.beside_cpu
    }

    fn inference<'a>(&'a self, _audio: &'a (), _cancel: &'a CancelToken) -> Result<Box<dyn Inference + 'a>> {
        Ok(Box::new(Voice { model: self, step: 0, sampled: 0 }))
    }

    fn align(&self, _audio: &(), _sot: &[u32], _text: &[u32], _cancel: &CancelToken) -> Result<Alignment> {
        Err(Error::new(ErrorKind::Internal, "no alignment", "scripted", ""))
    }
}

fn language(name: &str) -> TranscribeOptions {
    let mut options = TranscribeOptions::default();
    options.decoding.language = Some(name.into());
    options
}

#[test]
fn a_short_file_is_heard_twice_and_a_long_one_once_a_window() {
    let model = Model::new(Layout::Multilingual);
    let (result, told) = model.run(200, &TranscribeOptions::default());
    let got = result.unwrap();
    assert_eq!((got.text.as_str(), got.language.as_str()), (" ab", "de"));
    assert_eq!(told, ["de sure", " ab"]);
    assert_eq!((got.segments[0].start, got.segments[0].end), (0.0, 1.0));
    // Detection hears 3000 frames with the silence behind the file, decoding zeros.
    assert_eq!(*model.encoded.lock().unwrap(), [(1.0, 3000), (1.0, 200)]);

    let model = Model::new(Layout::MultilingualYue);
    let got = model.run(3100, &TranscribeOptions::default()).0.unwrap();
    assert_eq!((got.text.as_str(), got.segments.len()), (" ab ab", 2));
    assert_eq!(
        *model.encoded.lock().unwrap(),
        [(1.0, 3000), (3001.0, 100)],
        "the first window is not encoded again"
    );
}

#[test]
fn a_device_beside_the_cpu_encodes_the_first_window_while_the_language_is_detected() {
    let run = |frames: usize, clips: &[f64]| {
        let model = Model { beside_cpu: true, ..Model::new(Layout::Multilingual) };
        let options = TranscribeOptions { clip_timestamps: clips.to_vec(), ..TranscribeOptions::default() };
        let (result, told) = model.run(frames, &options);
        assert_eq!(told[0], "de sure");
        let encoded = model.encoded.lock().unwrap().clone();
        (result.unwrap().segments.len(), encoded)
    };
    // Again and again: were the order left to the threads, some would come the other way round.
    for _ in 0..100 {
        assert_eq!(run(200, &[]), (1, vec![(1.0, 3000), (1.0, 200)]), "first what the decoder waits for");
    }
    assert_eq!(run(3100, &[]), (2, vec![(1.0, 3000), (3001.0, 100)]), "the same window");
    assert_eq!(run(3100, &[1.0, 2.0]), (1, vec![(1.0, 3000), (101.0, 100)]), "a clip begins elsewhere");
    assert_eq!(run(0, &[]).0, 0, "nothing to encode ahead");
    let model = Model { beside_cpu: true, ..Model::new(Layout::Multilingual) };
    model.cancel.cancel();
    assert_eq!(model.run(200, &TranscribeOptions::default()).0.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn languages_go_by_name_and_wrong_ones_are_refused() {
    let model = Model::new(Layout::Multilingual);
    let (result, told) = model.run(200, &language("German"));
    assert_eq!((result.unwrap().language.as_str(), told[0].as_str()), ("de", "de given"));
    let error = model.run(200, &language("germn")).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.hint().contains("german (de)"), "{error}");
    assert_eq!(model.run(200, &language("yue")).0.unwrap_err().kind(), ErrorKind::Usage);
    assert!(Model::new(Layout::MultilingualYue).run(200, &language("yue")).0.is_ok());
}

#[test]
fn an_english_model_says_what_it_cannot_do() {
    let model = Model::new(Layout::English);
    let mut options = language("fr");
    options.decoding.task = Task::Translate;
    let (result, told) = model.run(200, &options);
    let got = result.unwrap();
    assert_eq!((got.language.as_str(), got.text.as_str()), ("en", " ab"));
    assert!(told[0].contains("`fr`") && told[1].contains("translation"), "{told:?}");
    let (_, told) = model.run(200, &TranscribeOptions::default());
    assert_eq!(told, ["en given", " ab"], "nothing to detect, nothing to warn of");
}

#[test]
fn beams_find_the_same_words() {
    let model = Model::new(Layout::Multilingual);
    let mut options = language("en");
    options.decoding.beam_size = Some(5);
    assert_eq!(model.run(200, &options).0.unwrap().text, " ab");
}

#[test]
fn cancelled_between_windows_or_between_tokens() {
    let model = Model::new(Layout::Multilingual);
    model.cancel.cancel();
    let error = model.run(200, &language("en")).0.unwrap_err();
    assert_eq!((error.kind(), model.encoded.lock().unwrap().len()), (ErrorKind::Cancelled, 0));
    let model = Model { cancel_at_step: Some(1), ..Model::new(Layout::Multilingual) };
    let error = model.run(200, &language("en")).0.unwrap_err();
    assert_eq!((error.kind(), model.encoded.lock().unwrap().len()), (ErrorKind::Cancelled, 1));
}

#[test]
fn impossible_inputs_are_refused() {
    let model = Model::new(Layout::Multilingual);
    let mel = LogMel::new(1, vec![0.0; 2999]).unwrap();
    let run = |model: &Model, options: &TranscribeOptions, mel: &LogMel| {
        transcribe(model, mel, options, &CancelToken::new(), &mut |_| {}).map_err(|error| error.kind())
    };
    assert_eq!(run(&model, &language("en"), &mel), Err(ErrorKind::Usage), "no padding");
    let mut options = language("en");
    options.decoding.patience = Some(1.0);
    let padded = LogMel::new(1, vec![0.0; 3100]).unwrap();
    assert_eq!(run(&model, &options, &padded), Err(ErrorKind::Usage), "patience without beams");
    let nothing = LogMel::new(1, vec![0.0; 3000]).unwrap();
    assert_eq!(run(&model, &language("en"), &nothing).unwrap().segments, [], "an empty file");
    let mut odd = Model::new(Layout::Multilingual);
    odd.config.n_audio_ctx = 1400;
    assert_eq!(run(&odd, &language("en"), &padded), Err(ErrorKind::Model));
}
