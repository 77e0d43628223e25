//! The golden suite: every check once, for whatever golden folder is given.

use std::path::{Path, PathBuf};

use transcribe::decoding::{DecodingOptions, Task};
use transcribe::mel::N_SAMPLES;
use transcribe::pipeline::TranscribeOptions;
use transcribe::speech_model::SpeechModel;
use whisper_encoder::{CancelToken, LogMel};

use crate::close::{self, Difference, close};
use crate::compare::{self, WordCount};
use crate::engine;
use crate::golden::{self, Clip, Goldens, Tensor};
use crate::mel_reference;
use crate::trace;

/// Goldens and the audio that they were made of.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The goldens.
    pub goldens: Goldens,
    /// Folders in which `CLIP.wav` is looked for.
    pub audio: Vec<PathBuf>,
}

/// The encoder's output when nobody watches: a probe may keep layers from being fused.
const UNWATCHED: &str = "output, not watched";

/// What a check found. Failures are gathered, so that one run shows all of them.
#[derive(Debug, Default)]
#[must_use]
pub struct Report {
    /// Comparisons made.
    pub checks: usize,
    /// Differences that count.
    pub failures: Vec<String>,
    /// Differences traced to a tie, which do not.
    pub ties: Vec<String>,
}

impl Report {
    fn fail(&mut self, at: &str, why: impl std::fmt::Display) {
        self.failures.push(format!("{at}: {why}"));
    }

    fn keep<T, E: std::fmt::Display>(&mut self, at: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.fail(at, error)).ok()
    }

    /// Prints what was compared, then fails the test if anything differs or nothing was compared.
    ///
    /// # Panics
    /// That is how a test fails.
    pub fn verdict(self, name: &str) {
        println!(
            "{name}: {} comparisons, {} ties, {} failures",
            self.checks,
            self.ties.len(),
            self.failures.len()
        );
        for tie in &self.ties {
            println!("  tie: {tie}");
        }
        assert!(self.checks > 0, "{name}: nothing was compared");
        assert!(self.failures.is_empty(), "{name}:\n  {}", self.failures.join("\n  "));
    }
}

/// Window decodings in the goldens: name, options, result.
fn windows(clip: &Clip) -> [(&'static str, DecodingOptions, &golden::Window); 4] {
    let plain = DecodingOptions { language: Some(clip.language.clone()), ..DecodingOptions::default() };
    let text_only = DecodingOptions { without_timestamps: true, ..plain.clone() };
    let beams = DecodingOptions { beam_size: Some(5), ..plain.clone() };
    let translate = DecodingOptions { task: Task::Translate, ..plain.clone() };
    [
        ("greedy_without_timestamps", text_only, &clip.greedy_without_timestamps),
        ("greedy_with_timestamps", plain, &clip.greedy_with_timestamps),
        ("beam5", beams, &clip.beam5),
        ("greedy_translate", translate, &clip.greedy_translate),
    ]
}

/// File transcriptions in the goldens: name, options, result.
fn files(clip: &Clip) -> [(&'static str, TranscribeOptions, &golden::File); 3] {
    let plain = TranscribeOptions { temperatures: vec![0.0], ..TranscribeOptions::default() };
    let words = TranscribeOptions { word_timestamps: true, ..plain.clone() };
    let beams = TranscribeOptions {
        decoding: DecodingOptions { beam_size: Some(5), ..DecodingOptions::default() },
        ..plain.clone()
    };
    [
        ("transcribe_greedy_t0", plain, &clip.transcribe_greedy_t0),
        ("transcribe_greedy_t0_words", words, &clip.transcribe_greedy_t0_words),
        ("transcribe_beam5_t0", beams, &clip.transcribe_beam5_t0),
    ]
}

/// `[n_mels, frames]` cut to the frames that a golden keeps, or to its own first ones.
fn cut_mel<T: Copy>(mel: &[T], kept: Option<&[usize]>, want: &Tensor) -> Vec<T> {
    let all: Vec<usize> = (0..want.shape.last().copied().unwrap_or(0)).collect();
    let frames = kept.unwrap_or(&all);
    let rows = mel.chunks_exact((mel.len() / want.shape[0]).max(1));
    rows.flat_map(|row| frames.iter().filter_map(|&f| row.get(f).copied())).collect()
}

impl Suite {
    fn wav(&self, clip: &str) -> PathBuf {
        let name = format!("{clip}.wav");
        let found = self.audio.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
        found.unwrap_or_else(|| Path::new(&name).into())
    }

    /// Log-mels of whole files and of first windows against the stored ones and the exact ones.
    pub fn mel(&self) -> Report {
        let mut report = Report::default();
        let kept = self.goldens.decodings.mel_frames.as_deref();
        for clip in self.goldens.with_tensors() {
            let Some(tensors) = report.keep(clip, self.goldens.tensors(clip)) else { continue };
            let path = self.wav(clip);
            let Some(samples) = report.keep(clip, engine::samples(&path)) else { continue };
            let first = &samples[..samples.len().min(N_SAMPLES)];
            type Make = fn(&Path, usize) -> transcribe::Result<LogMel>;
            let cases: [(&str, Make, &[f32], usize); 2] = [
                ("mel_whole_file_padded", engine::mel_of_file, &samples, samples.len() + N_SAMPLES),
                ("mel_first_30s_silence_padded", engine::mel_of_first_window, first, N_SAMPLES),
            ];
            for (name, make, samples, len) in cases {
                let at = format!("{clip} {name}");
                let Some(want) = tensors.floats.get(name) else {
                    report.fail(&at, "not among the goldens");
                    continue;
                };
                let Some(mel) = report.keep(&at, make(&path, want.shape[0])) else { continue };
                report.checks += 1;
                let got = cut_mel(mel.data(), kept, want);
                let exact = cut_mel(&mel_reference::log_mel(samples, len, want.shape[0]), kept, want);
                let frames = want.data.len() / want.shape[0];
                let verdict = mel_reference::judge(&got, &want.data, &exact, frames);
                if let Some(verdict) = report.keep(&at, verdict) {
                    println!("  {at}: {verdict}");
                }
            }
        }
        report
    }

    /// Every encoder sub-layer that the goldens hold; prints the table of differences.
    pub fn encoder(&self, model: &engine::Model) -> Report {
        let mut report = Report::default();
        let rows = &self.goldens.decodings.rows_of_1500;
        println!("  {:<44} {:>10} {:>10}", "layer", "max |Δ|", "rel. RMS");
        for clip in self.goldens.with_tensors() {
            let Some(tensors) = report.keep(clip, self.goldens.tensors(clip)) else { continue };
            let mel = engine::mel_of_first_window(&self.wav(clip), model.config().n_mels);
            let Some(mel) = report.keep(clip, mel) else { continue };
            let Some(mut layers) = report.keep(clip, engine::encode_with_probe(model, &mel)) else {
                continue;
            };
            let Some(output) = report.keep(clip, engine::encode(model, &mel)) else { continue };
            layers.push((UNWATCHED.into(), output));
            let mut wanted: Vec<(&str, &Tensor)> =
                tensors.floats.iter().map(|(name, want)| (name.as_str(), want)).collect();
            wanted.retain(|(name, _)| name.starts_with("encoder."));
            wanted.extend(tensors.floats.get("encoder.ln_post").map(|want| (UNWATCHED, want)));
            for (name, want) in wanted {
                let at = format!("{clip} {name}");
                let Some((_, layer)) = layers.iter().find(|(layer, _)| layer == name) else {
                    report.fail(&at, "the probe does not know it");
                    continue;
                };
                let width = want.shape[1];
                let got: Vec<f32> = rows
                    .iter()
                    .filter_map(|&row| layer.get(row * width..(row + 1) * width))
                    .flatten()
                    .copied()
                    .collect();
                report.checks += 1;
                if let Ok(d) = Difference::of(&got, &want.data) {
                    println!("  {at:<44} {:>10.2e} {:>10.2e}", d.absolute, d.relative_rms);
                }
                report.keep(&at, close(&got, &want.data, close::encoder(name)));
            }
        }
        report
    }

    /// Raw logits after `sot, en, transcribe`.
    pub fn logits<M: SpeechModel>(&self, model: &M) -> Report {
        let mut report = Report::default();
        for clip in self.goldens.with_tensors() {
            let Some(tensors) = report.keep(clip, self.goldens.tensors(clip)) else { continue };
            let Some(want) = tensors.floats.get("decoder.logits_after_sot_sequence") else { continue };
            let got = self.first_window(model, clip).and_then(|audio| {
                let sot = model.tokenizer().sot_sequence("en", Task::Transcribe)?;
                engine::logits_after(model, &audio, &sot)
            });
            let Some(got) = report.keep(clip, got) else { continue };
            let got: Vec<f32> = match &tensors.logits_ids {
                None => got.concat(),
                Some(ids) => {
                    got.iter().flat_map(|row| ids.iter().filter_map(|&id| row.get(id).copied())).collect()
                }
            };
            report.checks += 1;
            if let Some(difference) = report.keep(clip, close(&got, &want.data, &close::LOGITS)) {
                println!("  {clip}: {difference}");
            }
        }
        report
    }

    /// The five likeliest languages of every clip.
    pub fn languages<M: SpeechModel>(&self, model: &M) -> Report {
        let mut report = Report::default();
        for (name, clip) in &self.goldens.decodings.clips {
            let got = self.first_window(model, name).and_then(|audio| engine::detect_language(model, &audio));
            let Some(got) = report.keep(name, got) else { continue };
            report.checks += 1;
            for line in compare::languages(&got, &clip.language_top5) {
                report.fail(name, line);
            }
        }
        report
    }

    /// Every window decoding of every clip.
    pub fn windows<M: SpeechModel>(&self, model: &M) -> Report {
        let mut report = Report::default();
        for (name, clip) in &self.goldens.decodings.clips {
            let Some(audio) = report.keep(name, self.first_window(model, name)) else { continue };
            for (case, options, want) in windows(clip) {
                let at = format!("{name} {case}");
                let Some(got) = report.keep(&at, engine::decode_window(model, &audio, &options)) else {
                    continue;
                };
                report.checks += 1;
                let lines = compare::window(&got, want);
                let initial = initial_tokens(model, &options, &[]);
                let mut tie = false;
                let parting = initial
                    .and_then(|initial| trace::parting(model, &audio, &initial, &got.tokens, &want.tokens));
                if let Some(Some(parting)) = report.keep(&at, parting) {
                    // Beams part where sums of log-probabilities tie, not where one step does.
                    let sums = ((got.avg_logprob - want.avg_logprob) * (want.tokens.len() + 1) as f64).abs();
                    tie = if options.beam_size.is_some() { sums < trace::TIE } else { parting.is_tie() };
                    let line = format!("{at}: {parting}, sums {sums:.2e} apart");
                    if tie { report.ties.push(line) } else { report.failures.push(line) }
                }
                if !tie {
                    lines.iter().for_each(|line| report.fail(&at, line));
                }
            }
        }
        report
    }

    /// Every whole-file transcription of every clip, and the share of words in time.
    pub fn files<M: SpeechModel>(&self, model: &M) -> Report {
        let mut report = Report::default();
        let mut words = WordCount::default();
        for (name, clip) in &self.goldens.decodings.clips {
            let mel = engine::mel_of_file(&self.wav(name), model.config().n_mels);
            let Some(mel) = report.keep(name, mel) else { continue };
            for (case, options, want) in files(clip) {
                let at = format!("{name} {case}");
                let Some(got) = report.keep(&at, engine::transcribe_mel(model, &mel, &options)) else {
                    continue;
                };
                report.checks += 1;
                let mut counted = words;
                let lines = compare::file(&got, want, &mut counted);
                let parting = file_parting(model, &mel, &options, &got, want);
                match report.keep(&at, parting).flatten() {
                    Some(parting) if parting.is_tie() && options.decoding.beam_size.is_none() => {
                        report.ties.push(format!("{at}: {parting}"));
                    }
                    parting => {
                        words = counted;
                        parting.iter().for_each(|parting| report.fail(&at, parting));
                        lines.iter().for_each(|line| report.fail(&at, line));
                    }
                }
            }
        }
        println!("  words within {} s: {} of {}", compare::WORD_TIME, words.within, words.total);
        if !words.suffices() {
            report.fail("word times", format!("{words:?}, want {} of them within", compare::WORDS_WITHIN));
        }
        report
    }

    fn first_window<M: SpeechModel>(&self, model: &M, clip: &str) -> transcribe::Result<M::Audio> {
        model.encode(
            &engine::mel_of_first_window(&self.wav(clip), model.config().n_mels)?,
            &CancelToken::new(),
        )
    }
}

/// Tokens before the first sampled one: the last 223 of the text before, then the SOT sequence.
fn initial_tokens<M: SpeechModel>(
    model: &M,
    options: &DecodingOptions,
    before: &[u32],
) -> transcribe::Result<Vec<u32>> {
    let tokenizer = model.tokenizer();
    let mut tokens = Vec::new();
    if !before.is_empty() {
        tokens.push(tokenizer.sot_prev());
        tokens.extend(&before[before.len().saturating_sub(model.config().n_text_ctx / 2 - 1)..]);
    }
    tokens.extend(tokenizer.sot_sequence(options.language.as_deref().unwrap_or("en"), options.task)?);
    if options.without_timestamps {
        tokens.push(tokenizer.no_timestamps());
    }
    Ok(tokens)
}

/// Where the first differing window of a file parts from the golden.
fn file_parting<M: SpeechModel>(
    model: &M,
    mel: &LogMel,
    options: &TranscribeOptions,
    got: &transcribe::Transcription,
    want: &golden::File,
) -> transcribe::Result<Option<trace::Parting>> {
    let got_of = |seek: usize| -> Vec<u32> {
        got.segments.iter().filter(|s| s.seek == seek).flat_map(|s| s.tokens.clone()).collect()
    };
    let want_of = |keep: &dyn Fn(usize) -> bool| -> Vec<u32> {
        want.segments.iter().filter(|s| keep(s.seek)).flat_map(|s| s.tokens.clone()).collect()
    };
    let seeks = want.segments.iter().map(|s| s.seek).chain(got.segments.iter().map(|s| s.seek));
    let differs = |seek: &usize| got_of(*seek) != want_of(&|other| other == *seek);
    let Some(seek) = seeks.filter(differs).min() else { return Ok(None) };
    let content = mel.frames() - whisper_encoder::log_mel::WINDOW_FRAMES;
    let audio = model.encode(&mel.window(seek, content.saturating_sub(seek)), &CancelToken::new())?;
    let initial = initial_tokens(model, &options.decoding, &want_of(&|other| other < seek))?;
    trace::parting(model, &audio, &initial, &got_of(seek), &want_of(&|other| other == seek))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "nothing was compared")]
    fn a_report_of_nothing_fails() {
        Report::default().verdict("nothing");
    }

    #[test]
    #[should_panic(expected = "SS-0890 beam5: tokens")]
    fn a_failure_is_told() {
        let mut report = Report { checks: 1, ..Report::default() };
        report.fail("SS-0890 beam5", "tokens");
        report.verdict("windows");
    }

    #[test]
    fn mels_are_cut_to_the_kept_frames_of_each_row() {
        let mel = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
        let want = |frames: usize| Tensor { shape: vec![2, frames], data: Vec::new() };
        assert_eq!(cut_mel(&mel, Some(&[0, 2]), &want(2)), [0.0, 2.0, 10.0, 12.0]);
        assert_eq!(cut_mel(&mel, None, &want(2)), [0.0, 1.0, 10.0, 11.0]);
        // Frames that are not there make a shorter array, which then does not compare.
        assert_eq!(cut_mel(&mel, Some(&[0, 7]), &want(2)).len(), 2);
    }
}
