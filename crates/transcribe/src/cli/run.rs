//! The batch: every input through the engine, its text to where it belongs, and an exit code at the end.

use serde_json::Value;
use whisper_encoder::CancelToken;

use super::engine::{Engine, Happening};
use super::exit::Exit;
use super::inputs::{self, Job};
use super::receipt;
use super::screen::Screen;
use super::settings::{How, Settings};
use super::values::language_title;
use crate::decoding::Task;
use crate::pipeline::Event;
use crate::writer::{Format, JsonWriter, Writer, write_atomically};
use crate::{Error, ErrorKind, Result, Transcription};

/// Transcribes all jobs. `open` is called once, when there is at least one input that can be read.
///
/// One failing input does not stop the others. What stops the run: Ctrl-C, a reader of standard output that has gone
/// while nothing else is written, and errors of the options, which would come again with every input.
pub fn run<E: Engine>(
    settings: &Settings,
    open: impl FnOnce(&mut Screen<'_>) -> Result<E>,
    cancel: &CancelToken,
    screen: &mut Screen<'_>,
) -> Exit {
    for warning in &settings.warnings {
        screen.warn(warning);
    }
    if let Some(files) = &settings.files
        && let Err(error) = inputs::check_folder(&files.folder)
    {
        screen.error(&error);
        return error.kind().into();
    }
    let mut tally = Tally::default();
    let jobs = readable(settings, screen, &mut tally);
    if jobs.is_empty() {
        return tally.finish(settings, screen);
    }
    let engine = match open(screen) {
        Ok(engine) => engine,
        Err(error) => {
            screen.error(&error);
            return error.kind().into();
        }
    };
    let how = match suited(settings, engine.is_multilingual(), screen) {
        Ok(how) => how,
        Err(error) => {
            screen.error(&error);
            return error.kind().into();
        }
    };
    // Only now: a model that does not open leaves no folder behind.
    if let Some(files) = &settings.files
        && let Err(error) = inputs::make_folder(&files.folder)
    {
        screen.error(&error);
        return error.kind().into();
    }
    let titled = settings.jobs.len() > 1;
    for (index, job) in jobs.into_iter().enumerate() {
        if cancel.is_cancelled() {
            return tally.interrupted(settings, screen);
        }
        if titled {
            screen.title(&job.input.name(), index == 0);
        }
        match one(&engine, job, settings, &how, cancel, screen) {
            Ok(()) => tally.done += 1,
            Err(error) if error.kind() == ErrorKind::Cancelled => return tally.interrupted(settings, screen),
            Err(error) if error.kind() == ErrorKind::Usage => {
                screen.error(&error);
                return Exit::Usage;
            }
            Err(error) => {
                screen.error(&error);
                tally.failed.push((job.input.name(), error.why().to_owned()));
            }
        }
        if let Some(error) = screen.take_out_error() {
            screen.error(&Error::new(
                ErrorKind::Output,
                "cannot write to standard output",
                error.to_string(),
                "make room, or write files with -o",
            ));
            return Exit::SomeFailed;
        }
        if screen.out_closed() && settings.files.is_none() {
            // The reader has what it wanted, but a failure before that is one still.
            return if tally.failed.is_empty() { Exit::Done } else { Exit::SomeFailed };
        }
    }
    tally.finish(settings, screen)
}

/// Jobs whose inputs can be read and whose files are not there already; the others are reported and counted.
fn readable<'a>(settings: &'a Settings, screen: &mut Screen<'_>, tally: &mut Tally) -> Vec<&'a Job> {
    let skip = settings.files.as_ref().is_some_and(|files| files.skip_existing);
    let mut jobs = Vec::new();
    for job in &settings.jobs {
        if skip && job.outputs.iter().all(|(_, path)| path.exists()) {
            screen.say(&format!("{}: skipped, its files exist", job.input.name()));
            tally.skipped += 1;
        } else if let Err(error) = job.input.check() {
            screen.error(&error);
            tally.failed.push((job.input.name(), error.why().to_owned()));
        } else {
            jobs.push(job);
        }
    }
    jobs
}

/// Options as the model takes them: an English-only one is always told English (transcribe.py, `cli`), and does not
/// translate.
fn suited(settings: &Settings, multilingual: bool, screen: &mut Screen<'_>) -> Result<How> {
    let mut how = settings.how.clone();
    if multilingual {
        // What may not work as asked is the pipeline's to say: it knows the model, not only its name.
        return Ok(how);
    }
    if how.options.decoding.task == Task::Translate {
        return Err(Error::new(
            ErrorKind::Usage,
            "cannot translate",
            "the model knows only English",
            "choose a multilingual model, such as --model base",
        ));
    }
    if let Some(code) = how.options.decoding.language.as_deref().filter(|code| *code != "en") {
        let language = language_title(code);
        screen.warn(&format!("the model knows only English, not {language}; using English instead"));
    }
    how.options.decoding.language = Some("en".into());
    Ok(how)
}

/// One input, to its end.
fn one<E: Engine>(
    engine: &E,
    job: &Job,
    settings: &Settings,
    how: &How,
    cancel: &CancelToken,
    screen: &mut Screen<'_>,
) -> Result<()> {
    let name = job.input.name();
    screen.begin(&name);
    // A reader that has gone ends the work at its next check, unless files are to be written.
    let stop = settings.files.is_none();
    let mut listener = |happening: Happening<'_>| {
        match happening {
            Happening::Warning(text) => screen.warn(&format!("{name}: {text}")),
            Happening::Read(seconds) => {
                screen.note(&format!("{name}: {seconds:.2} s of sound"));
                screen.progress(0, mel_frames(seconds));
            }
            Happening::Event(Event::Language { code, probability: Some(probability) }) => {
                let language = language_title(code);
                screen.note(&format!("Detected language: {language} ({code}, {:.1} %)", probability * 100.0));
            }
            // Of one input there is no doubt which is meant.
            Happening::Event(Event::Warning(text)) if settings.jobs.len() == 1 => screen.warn(text),
            Happening::Event(Event::Warning(text)) => screen.warn(&format!("{name}: {text}")),
            Happening::Event(Event::Segment(segment)) => screen.segment(segment),
            Happening::Event(Event::Progress { done, total }) => screen.progress(done, total),
            Happening::Event(_) => {}
        }
        if stop && screen.out_closed() {
            cancel.cancel();
        }
    };
    let before = engine.receipt();
    let result = engine.transcribe(&job.input, settings.raw.as_ref(), how, cancel, &mut listener);
    screen.end();
    let transcription = match result {
        // The token was set for the reader's sake, not by Ctrl-C.
        Err(error) if error.kind() == ErrorKind::Cancelled && stop && screen.out_closed() => return Ok(()),
        other => other?,
    };
    let spent = before.zip(engine.receipt()).map(|(before, after)| after.since(&before));
    if let Some(spent) = &spent {
        receipt::lines(spent, receipt::cpu_seconds()).iter().for_each(|line| screen.note(line));
        if !spent.fallbacks.is_empty() {
            screen.warn(&format!(
                "{name}: parts of the encoder ran on the CPU instead of {} (--verbose True tells which)",
                spent.device
            ));
        }
    }
    let run = spent.map(|spent| receipt::value(&spent, receipt::cpu_seconds()));
    deliver(job, settings, &transcription, run, screen)
}

/// Frames of 10 ms.
fn mel_frames(seconds: f64) -> usize {
    // A file of more frames than a `usize` holds would not have been read.
    (seconds * 100.0) as usize
}

/// Writes the files of one input.
fn deliver(
    job: &Job,
    settings: &Settings,
    transcription: &Transcription,
    run: Option<Value>,
    screen: &mut Screen<'_>,
) -> Result<()> {
    let options = &settings.subtitles;
    // A run on the CPU has no receipt, so that its json is OpenAI's to the byte.
    let writer = |format: Format| -> Box<dyn Writer> {
        match &run {
            Some(run) if format == Format::Json => Box::new(JsonWriter::with_run(run.clone())),
            _ => format.writer(),
        }
    };
    screen.document(transcription, options, &writer);
    for (format, path) in &job.outputs {
        write_atomically(path, |out| writer(*format).write(transcription, options, out))?;
    }
    if !job.outputs.is_empty() {
        let names: Vec<String> = job.outputs.iter().map(|(_, path)| path.display().to_string()).collect();
        screen.say(&format!("{} -> {}", job.input.name(), names.join(", ")));
    }
    Ok(())
}

/// What became of the inputs.
#[derive(Default)]
struct Tally {
    done: usize,
    skipped: usize,
    /// Name and reason.
    failed: Vec<(String, String)>,
}

impl Tally {
    fn finish(&self, settings: &Settings, screen: &mut Screen<'_>) -> Exit {
        let all = settings.jobs.len();
        if all > 1 && !self.failed.is_empty() {
            let mut summary =
                format!("{} of {all} files done, {} failed", self.done + self.skipped, self.failed.len());
            for (name, why) in &self.failed {
                summary.push_str(&format!("\n  {name}: {why}"));
            }
            // Part of the errors: shown even with --quiet, because the errors may be far above.
            screen.summary(&summary);
        } else if all > 1 {
            let skipped =
                if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
            screen.note(&format!("{} of {all} files done{skipped}", self.done));
        }
        if self.failed.is_empty() { Exit::Done } else { Exit::SomeFailed }
    }

    fn interrupted(&self, settings: &Settings, screen: &mut Screen<'_>) -> Exit {
        screen.say(&format!("stopped: {} of {} files done", self.done + self.skipped, settings.jobs.len()));
        Exit::Interrupted
    }
}

#[cfg(test)]
mod tests;
