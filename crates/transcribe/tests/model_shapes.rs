//! Every published shape of Whisper, small and with random weights, against openai-whisper's own results: both mel
//! sizes, the three vocabularies, unequal depths, every storage of the weights.
//!
//! `random_model` says where the weights and the expected values come from.
#![allow(clippy::unwrap_used, reason = "tests")]

mod random_model;

use std::path::Path;

use random_model::{Decoded, NAMES, RandomModel, Storage};
use transcribe::decoding::{self, DecodingOptions, DecodingResult, WindowDecoder};
use transcribe::model::{self, ModelSource, OpenOptions, WhisperModel};
use transcribe::speech_model::SpeechModel;
use whisper_encoder::{AudioFeatures, CancelToken, Device, LogMel, Precision};

// ---- The engine under test: the only lines that know its constructors. ---------------------------------------------

/// Opens a model's folder on the CPU in f32.
fn open_model(folder: &Path) -> impl SpeechModel + use<> {
    open(folder)
}

fn open(folder: &Path) -> WhisperModel {
    let files = model::folder::open(folder, "random", ModelSource::Path).unwrap();
    let options = OpenOptions { device: Device::Cpu, precision: Precision::F32, ..OpenOptions::default() };
    model::open(&files, &options).unwrap()
}

/// The encoder alone.
fn encoder_output(folder: &Path, window: &LogMel) -> AudioFeatures {
    open(folder).features(window, &CancelToken::new()).unwrap()
}

/// One window through the decoding policy.
fn decode<M: SpeechModel>(model: &M, audio: &M::Audio, options: &DecodingOptions) -> DecodingResult {
    let decoder = WindowDecoder::new(model.tokenizer(), model.config()).unwrap();
    decoder.decode(&mut *model.inference(audio, &CancelToken::new()).unwrap(), options).unwrap()
}

/// Codes and probabilities of all languages.
fn detect_language<M: SpeechModel>(model: &M, audio: &M::Audio) -> Vec<(String, f32)> {
    let (_, all) = decoding::detect_language(
        &mut *model.inference(audio, &CancelToken::new()).unwrap(),
        model.tokenizer(),
    )
    .unwrap();
    all.into_iter().map(|language| (language.code.to_owned(), language.probability)).collect()
}

// ---- Tests. --------------------------------------------------------------------------------------------------------

/// Another order of the same f32 sums errs about as much as the reference does from f64, which the oracle records
/// with each model. The factor leaves room for where the worst element falls.
const ROOM: f32 = 8.0;

/// One model on disk, and its input.
struct Case {
    /// Model and storage.
    name: String,
    expected: RandomModel,
    folder: tempfile::TempDir,
    window: LogMel,
}

impl Case {
    fn new(name: &str, storage: Storage) -> Self {
        let expected = RandomModel::named(name);
        let folder = tempfile::tempdir().unwrap();
        expected.write(storage, folder.path());
        let window = LogMel::new(expected.n_mels(), expected.mel()).unwrap();
        Self { name: format!("{name} {storage:?}"), expected, folder, window }
    }

    fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|name| Self::new(name, Storage::F32))
    }

    fn model(&self) -> impl SpeechModel + use<> {
        open_model(self.folder.path())
    }

    /// Compares values one by one; says which is worst.
    fn close(&self, what: &str, got: &[f32], want: &[f32], bound: f32) {
        assert_eq!(got.len(), want.len(), "{}: {what}: length", self.name);
        let error = |i: usize| if got[i].is_nan() { f32::INFINITY } else { (got[i] - want[i]).abs() };
        let worst = (0..got.len()).max_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap();
        assert!(
            error(worst) <= bound,
            "{}: {what}: at {worst} got {}, want {}, off by {} > {bound}",
            self.name,
            got[worst],
            want[worst],
            error(worst)
        );
    }

    /// Compares a row of logits at the stored tokens, and its greatest.
    fn close_logits(&self, what: &str, row: &[f32], want: &[f32], argmax: usize) {
        let expected = &self.expected;
        assert_eq!(row.len(), expected.n_vocab(), "{}: {what}: vocabulary", self.name);
        let got: Vec<f32> = expected.logit_ids.iter().map(|&id| row[id]).collect();
        self.close(what, &got, want, ROOM * expected.f32_error.logits);
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(best, argmax, "{}: {what}: most likely token", self.name);
    }

    fn options(&self, without_timestamps: bool) -> DecodingOptions {
        DecodingOptions {
            language: Some("en".into()),
            sample_len: Some(24),
            suppress_tokens: self.expected.suppress_tokens.clone(),
            without_timestamps,
            ..DecodingOptions::default()
        }
    }

    fn same_decode(&self, what: &str, got: &DecodingResult, want: &Decoded) {
        assert_eq!(got.tokens, want.tokens, "{}: {what}", self.name);
        // A log-probability is a logit less the log of a sum: twice the error of a logit.
        let bound = f64::from(2.0 * ROOM * self.expected.f32_error.logits);
        for (field, got, want) in [
            ("avg_logprob", got.avg_logprob, want.avg_logprob),
            // Relative: the probability is the exponential of such a number.
            ("ln no_speech_prob", got.no_speech_prob.ln(), want.no_speech_prob.ln()),
        ] {
            assert!(
                (got - want).abs() <= bound,
                "{}: {what}: {field} {got}, want {want} ± {bound}",
                self.name
            );
        }
    }

    /// Both greedy decodes.
    fn check_decodes<M: SpeechModel>(&self, model: &M, audio: &M::Audio) {
        let want = &self.expected.decode;
        self.same_decode("with times", &decode(model, audio, &self.options(false)), &want.with_timestamps);
        self.same_decode("text only", &decode(model, audio, &self.options(true)), &want.without_timestamps);
    }

    /// Logits at every position of the SOT sequence.
    fn check_sot_logits<M: SpeechModel>(&self, model: &M, audio: &M::Audio) {
        let expected = &self.expected;
        let at: Vec<usize> = (0..expected.sot_sequence.len()).collect();
        let rows = model
            .inference(audio, &CancelToken::new())
            .unwrap()
            .prefill(&expected.sot_sequence, &at)
            .unwrap();
        for ((i, row), want) in rows.iter().enumerate().zip(&expected.sot_logits) {
            self.close_logits(&format!("logits after SOT {i}"), row, want, expected.sot_argmax[i]);
        }
    }
}

#[test]
fn encoders_agree_at_every_shape() {
    for case in Case::all() {
        let features = encoder_output(case.folder.path(), &case.window);
        let width = features.d_model();
        assert_eq!((features.frames(), width), (1500, case.expected.encoder[0].len()), "{}", case.name);
        for (&row, want) in case.expected.encoder_rows.iter().zip(&case.expected.encoder) {
            let got = &features.data()[row * width..][..width];
            case.close(&format!("frame {row}"), got, want, ROOM * case.expected.f32_error.encoder);
        }
    }
}

#[test]
fn special_tokens_agree_at_every_vocabulary() {
    for case in Case::all() {
        let model = case.model();
        assert_eq!(model.config().n_vocab, case.expected.n_vocab(), "{}", case.name);
        let sot = model.tokenizer().sot_sequence("en", DecodingOptions::default().task).unwrap();
        assert_eq!(sot, case.expected.sot_sequence, "{}", case.name);
    }
}

#[test]
fn logits_agree_at_every_shape() {
    for case in Case::all() {
        let model = case.model();
        let audio = model.encode(&case.window, &CancelToken::new()).unwrap();
        case.check_sot_logits(&model, &audio);
    }
}

#[test]
fn logits_agree_to_the_last_position() {
    for case in Case::all() {
        let model = case.model();
        let audio = model.encode(&case.window, &CancelToken::new()).unwrap();
        let (expected, tokens) = (&case.expected, case.expected.full_tokens());
        // All at once…
        let rows = model
            .inference(&audio, &CancelToken::new())
            .unwrap()
            .prefill(&tokens, &expected.full_positions)
            .unwrap();
        for (i, row) in rows.iter().enumerate() {
            let what = format!("prefill, position {}", expected.full_positions[i]);
            case.close_logits(&what, row, &expected.full_logits[i], expected.full_argmax[i]);
        }
        // …and the last two one by one upon a cache.
        let cancel = CancelToken::new();
        let mut inference = model.inference(&audio, &cancel).unwrap();
        inference.prefill(&tokens[..446], &[]).unwrap();
        let mut row = vec![0.0; expected.n_vocab()];
        for position in [446, 447] {
            inference.step(&tokens[position..=position], &mut row).unwrap();
            let i = expected.full_positions.iter().position(|&p| p == position).unwrap();
            let what = format!("step, position {position}");
            case.close_logits(&what, &row, &expected.full_logits[i], expected.full_argmax[i]);
        }
        assert!(inference.step(&[0], &mut row).is_err(), "{}: a 449th token must be refused", case.name);
    }
}

#[test]
fn greedy_decodes_agree_at_every_shape() {
    for case in Case::all() {
        let model = case.model();
        let audio = model.encode(&case.window, &CancelToken::new()).unwrap();
        case.check_decodes(&model, &audio);
    }
}

#[test]
fn languages_agree_at_every_vocabulary() {
    for case in Case::all() {
        let Some(want) = &case.expected.language else { continue };
        let model = case.model();
        let mut got = detect_language(&model, &model.encode(&case.window, &CancelToken::new()).unwrap());
        let languages = case.expected.n_vocab() - 51766;
        assert_eq!(got.len(), languages, "{}: number of languages", case.name);
        got.sort_by(|a, b| b.1.total_cmp(&a.1));
        assert_eq!(model.tokenizer().language_token(&got[0].0), Some(want.token), "{}", case.name);
        for ((code, got), (want_code, want)) in got.iter().zip(&want.top) {
            assert_eq!(code, want_code, "{}", case.name);
            case.close(code, &[got.ln()], &[want.ln()], 2.0 * ROOM * case.expected.f32_error.logits);
        }
    }
}

#[test]
fn alignment_passes_agree_at_every_shape() {
    for case in Case::all() {
        let model = case.model();
        let audio = model.encode(&case.window, &CancelToken::new()).unwrap();
        let want = &case.expected.alignment;
        let got =
            model.align(&audio, &case.expected.sot_sequence, &want.text_tokens, &CancelToken::new()).unwrap();
        assert_eq!((got.heads, got.tokens, got.frames), (want.qk.len(), want.tokens, 1500), "{}", case.name);
        let errors = &case.expected.f32_error;
        for (head, rows) in want.qk.iter().enumerate() {
            for (token, row) in rows.iter().enumerate() {
                let scores = &got.qk[(head * got.tokens + token) * got.frames..][..got.frames];
                let at: Vec<f32> = want.frames.iter().map(|&frame| scores[frame]).collect();
                case.close(&format!("score of head {head}, token {token}"), &at, row, ROOM * errors.qk);
            }
        }
        let ln = |probs: &[f32]| probs.iter().map(|p| p.ln()).collect::<Vec<_>>();
        case.close(
            "token probabilities (ln)",
            &ln(&got.token_probs),
            &ln(&want.token_probs),
            2.0 * ROOM * errors.logits,
        );
    }
}

#[test]
fn a_wrong_number_of_heads_is_refused() {
    // No tensor's shape tells it: such a model would load and give fluent nonsense.
    let case = Case::new("tiny", Storage::F32);
    let path = case.folder.path().join("config.json");
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for field in ["encoder_attention_heads", "decoder_attention_heads"] {
        let mut wrong = config.clone();
        wrong[field] = 1.into();
        std::fs::write(&path, wrong.to_string()).unwrap();
        let files = model::folder::open(case.folder.path(), "random", ModelSource::Path).unwrap();
        let error = model::open(&files, &OpenOptions::default()).err().unwrap();
        assert!(error.to_string().contains("heads of 64"), "{field}: {error}");
    }
}

/// Relative root mean square of `got − want`.
fn relative_rms(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = got.iter().zip(want).map(|(g, w)| square(g - w)).sum();
    (difference / want.iter().copied().map(square).sum::<f64>()).sqrt()
}

#[test]
fn reduced_precisions_stay_near_f32_and_are_reduced() {
    let window = |case: &Case| case.window.clone();
    for storage in [Storage::F32, Storage::Int8] {
        let case = Case::new("tiny", storage);
        let [exact, bf16, int8] = [Precision::F32, Precision::Bf16, Precision::Int8].map(|precision| {
            let files = model::folder::open(case.folder.path(), "random", ModelSource::Path).unwrap();
            let options = OpenOptions { device: Device::Cpu, precision, ..OpenOptions::default() };
            let model = model::open(&files, &options).unwrap();
            let features = model.features(&window(&case), &CancelToken::new()).unwrap();
            let audio = model.encode(&window(&case), &CancelToken::new()).unwrap();
            let cancel = CancelToken::new();
            let mut inference = model.inference(&audio, &cancel).unwrap();
            let logits = inference.prefill(&case.expected.sot_sequence, &[0]).unwrap().remove(0);
            (features.data().to_vec(), logits)
        });
        // Rounding to bf16 errs by 2⁻⁹ a factor, to int8 by at most 1/254 of a row's greatest; errors of a few dozen
        // such products in a row of layers add up as their square root. These weights are exact in bf16 and int8, so only
        // rounded activations and cached keys can differ.
        for (name, reduced, least) in [("bf16", &bf16, 1e-7), ("int8", &int8, 0.0)] {
            for (what, got, want) in [("features", &reduced.0, &exact.0), ("logits", &reduced.1, &exact.1)] {
                let rms = relative_rms(got, want);
                assert!(rms < 0.02, "{storage:?} {name} {what}: relative RMS {rms}");
                assert!(what == "features" || rms >= least, "{storage:?} {name}: nothing was reduced");
            }
        }
    }
}

#[test]
fn every_storage_of_the_weights_decodes_alike() {
    for storage in [Storage::F16, Storage::Bf16, Storage::Int8, Storage::Sharded] {
        for name in ["tiny", "english"] {
            let case = Case::new(name, storage);
            let model = case.model();
            let audio = model.encode(&case.window, &CancelToken::new()).unwrap();
            case.check_sot_logits(&model, &audio);
            case.check_decodes(&model, &audio);
        }
    }
}

/// An inference that has read a prompt before begins with it anew, whatever its rows have become meanwhile.
#[test]
fn one_inference_reads_a_prompt_again_as_a_fresh_one_does() {
    let case = Case::new(NAMES[0], Storage::F32);
    let model = case.model();
    let cancel = CancelToken::new();
    let audio = model.encode(&case.window, &cancel).unwrap();
    let tokens = case.expected.full_tokens();
    let mut kept = model.inference(&audio, &cancel).unwrap();
    for (prompt, at) in [
        (&tokens[..20], &[3, 19][..]),
        (&tokens[..20], &[3, 19]),
        (&tokens[..20], &[19]),
        (&tokens[..12], &[3, 11]),
        (&tokens[1..13], &[3, 11]),
    ] {
        let mut fresh = model.inference(&audio, &cancel).unwrap();
        let want = fresh.prefill(prompt, at).unwrap();
        assert!(kept.prefill(prompt, at).unwrap() == want, "{} tokens, {at:?}", prompt.len());
        let mut logits = [vec![0.0; 2 * model.config().n_vocab], vec![0.0; 2 * model.config().n_vocab]];
        for (inference, logits) in [&mut kept, &mut fresh].into_iter().zip(&mut logits) {
            inference.rearrange(&[0, 0]).unwrap();
            inference.step(&tokens[30..32], logits).unwrap();
            inference.rearrange(&[1, 0]).unwrap();
            inference.step(&tokens[31..33], logits).unwrap();
        }
        assert!(logits[0] == logits[1], "steps after {} tokens, {at:?}", prompt.len());
    }
}
