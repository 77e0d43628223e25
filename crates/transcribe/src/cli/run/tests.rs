//! Batches with a scripted engine: outputs, failures, exit codes.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;

use super::super::engine::Listener;
use super::super::inputs::Input;
use super::super::settings::{Show, Text};
use super::*;
use crate::Segment;
use crate::audio::RawFormat;
use crate::cli::parse;
use crate::cli::resolve::resolve;

/// Says the file's own name in two segments; fails on `bad`, and sets the token on `stop`.
#[derive(Default)]
struct Scripted {
    english_only: bool,
    seen: RefCell<Vec<(Input, How)>>,
}

fn segment(id: usize, text: &str) -> Segment {
    Segment {
        id,
        seek: 0,
        start: id as f64,
        end: id as f64 + 1.0,
        text: text.into(),
        tokens: vec![],
        temperature: 0.0,
        avg_logprob: -0.5,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        words: None,
    }
}

impl Engine for &Scripted {
    fn is_multilingual(&self) -> bool {
        !self.english_only
    }

    fn transcribe(
        &self,
        input: &Input,
        _: Option<&RawFormat>,
        how: &How,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<Transcription> {
        self.seen.borrow_mut().push((input.clone(), how.clone()));
        let name = input.named_after().file_stem().unwrap().to_str().unwrap();
        listener(Happening::Read(2.0));
        if name == "bad" {
            return Err(Error::new(
                ErrorKind::Input,
                "cannot read bad.wav",
                "it is damaged",
                "record it again",
            ));
        }
        if how.options.decoding.task == Task::Translate {
            listener(Happening::Event(Event::Warning("it was not trained to translate")));
        }
        listener(Happening::Event(Event::Language { code: "de", probability: Some(0.875) }));
        let segments = vec![segment(0, &format!(" {name} begins")), segment(1, ""), segment(2, " and ends.")];
        for segment in &segments {
            listener(Happening::Event(Event::Segment(segment)));
            if name == "stop" {
                cancel.cancel();
            }
            cancel.check()?;
        }
        Ok(Transcription { text: format!(" {name} begins and ends."), segments, language: "de".into() })
    }
}

/// A folder with inputs, and what a run in it did.
struct Place {
    root: tempfile::TempDir,
    engine: Scripted,
}

struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.wav", "b.wav", "bad.wav", "stop.wav"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        Self { root, engine: Scripted::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs a command line in which `@` stands for the folder.
    fn run(&self, line: &str) -> Ran {
        let mut out = Vec::new();
        let (exit, err) = self.run_into(line, &mut out);
        Ran { exit, out: self.plain(&out), err }
    }

    fn run_into(&self, line: &str, out: &mut dyn Write) -> (Exit, String) {
        let folder = format!("{}/", self.root.path().display());
        let argv = std::iter::once("transcribe").chain(line.split(' '));
        let cli = parse(argv.map(|arg| arg.replace('@', &folder).into())).unwrap();
        let settings = resolve(cli.transcribe).unwrap();
        let mut err = Vec::new();
        let mut screen = Screen::new(out, &mut err, settings.show, false);
        let exit = run(&settings, |_| Ok(&self.engine), &CancelToken::new(), &mut screen);
        (exit, self.plain(&err))
    }

    fn plain(&self, bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap().replace(&format!("{}/", self.root.path().display()), "@")
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.root.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn plain_text_goes_to_standard_output() {
    let place = Place::new();
    let ran = place.run("@a.wav");
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Done, "a begins\nand ends.\n", ""));
}

#[test]
fn verbose_shows_times_as_openai_does() {
    let ran = Place::new().run("-v @a.wav");
    let want = "[00:00.000 --> 00:01.000]  a begins\n[00:01.000 --> 00:02.000] \n[00:02.000 --> 00:03.000]  and ends.\n";
    assert_eq!(ran.out, want);
    assert!(ran.err.contains("Detected language: German (de, 87.5 %)"), "{}", ran.err);
}

#[test]
fn several_inputs_have_titles() {
    let ran = Place::new().run("@a.wav @b.wav");
    let want = "==> @a.wav <==\na begins\nand ends.\n\n==> @b.wav <==\nb begins\nand ends.\n";
    assert_eq!(ran.out, want);
}

#[test]
fn files_are_written_instead() {
    let place = Place::new();
    let ran = place.run("@a.wav @b.wav -o @out");
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, ""));
    let all = ["json", "srt", "tsv", "txt", "vtt"];
    let want: Vec<String> =
        ["a", "b"].iter().flat_map(|name| all.map(|format| format!("{name}.{format}"))).collect();
    assert_eq!(place.files(), want);
    let text = std::fs::read_to_string(place.path("out/a.txt")).unwrap();
    assert_eq!(text, "a begins\n\nand ends.\n");
    assert!(ran.err.contains("@a.wav -> @out/a.txt, @out/a.vtt"), "{}", ran.err);
    let timed = place.run("@a.wav -o @out -f txt --verbose True");
    assert!(timed.out.starts_with("[00:00.000"), "{}", timed.out);
    let silent = place.run("@a.wav -o @out -f txt -q");
    assert_eq!((silent.out.as_str(), silent.err.as_str()), ("", ""));
}

#[test]
fn a_document_goes_to_standard_output() {
    let ran = Place::new().run("@a.wav -f tsv -o -");
    assert_eq!(ran.out, "start\tend\ttext\n0\t1000\ta begins\n1000\t2000\t\n2000\t3000\tand ends.\n");
}

#[test]
fn one_failing_input_does_not_stop_the_others() {
    let place = Place::new();
    let ran = place.run("@bad.wav @missing.wav @a.wav -o @out -f txt");
    assert_eq!(ran.exit, Exit::SomeFailed);
    assert_eq!(place.files(), ["a.txt"]);
    // The missing one is found before the model is opened, so its error is the first.
    assert!(ran.err.starts_with("error: cannot read @missing.wav: there is no such file\n  "), "{}", ran.err);
    assert!(
        ran.err.contains("error: cannot read bad.wav: it is damaged\n  record it again\n"),
        "{}",
        ran.err
    );
    let summary =
        "1 of 3 files done, 2 failed\n  @missing.wav: there is no such file\n  @bad.wav: it is damaged\n";
    assert!(ran.err.ends_with(summary), "{}", ran.err);
    assert_eq!(place.run("@bad.wav").exit, Exit::SomeFailed);
}

#[test]
fn the_model_is_not_opened_for_nothing() {
    let place = Place::new();
    let cli = parse(["transcribe".into(), place.path("missing.wav").into()]).unwrap();
    let settings = resolve(cli.transcribe).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen::new(&mut out, &mut err, settings.show, false);
    let open = |_: &mut Screen<'_>| -> Result<&Scripted> { panic!("opened") };
    assert_eq!(run(&settings, open, &CancelToken::new(), &mut screen), Exit::SomeFailed);
}

#[test]
fn errors_of_opening_decide_the_exit_code() {
    for (kind, want) in [
        (ErrorKind::Model, Exit::Model),
        (ErrorKind::Device, Exit::Device),
        (ErrorKind::Usage, Exit::Usage),
        (ErrorKind::Internal, Exit::SomeFailed),
    ] {
        let place = Place::new();
        let line = ["transcribe".into(), place.path("a.wav").into(), "-o".into(), place.path("out").into()];
        let settings = resolve(parse(line).unwrap().transcribe).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err, settings.show, false);
        let open = |_: &mut Screen<'_>| -> Result<&Scripted> { Err(Error::new(kind, "what", "why", "hint")) };
        assert_eq!(run(&settings, open, &CancelToken::new(), &mut screen), want);
        assert_eq!(err, b"error: what: why\n  hint\n");
        assert!(!place.path("out").exists(), "{kind:?} leaves a folder");
    }
}

#[test]
fn ctrl_c_keeps_what_is_finished() {
    let place = Place::new();
    let ran = place.run("@a.wav @stop.wav @b.wav -o @out -f txt");
    assert_eq!(ran.exit, Exit::Interrupted);
    assert_eq!(place.files(), ["a.txt"]);
    assert!(ran.err.ends_with("stopped: 1 of 3 files done\n"), "{}", ran.err);
}

#[test]
fn existing_files_can_be_kept() {
    let place = Place::new();
    std::fs::create_dir(place.path("out")).unwrap();
    std::fs::write(place.path("out/a.txt"), "old").unwrap();
    let ran = place.run("@a.wav @b.wav -o @out -f txt --skip-existing");
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(std::fs::read_to_string(place.path("out/a.txt")).unwrap(), "old");
    assert_eq!(place.engine.seen.borrow().len(), 1);
    place.run("@a.wav -o @out -f txt");
    assert!(std::fs::read_to_string(place.path("out/a.txt")).unwrap().starts_with("a begins"));
}

#[test]
fn english_only_models_are_told_english() {
    let mut place = Place::new();
    place.engine.english_only = true;
    let language =
        |place: &Place| place.engine.seen.borrow().last().unwrap().1.options.decoding.language.clone();
    for (line, warned) in
        [("@a.wav", false), ("--language English @a.wav", false), ("--language de @a.wav", true)]
    {
        let ran = place.run(line);
        assert_eq!(language(&place).as_deref(), Some("en"), "{line}");
        assert_eq!(ran.err.contains("not German; using English instead"), warned, "{line}: {}", ran.err);
    }
    assert_eq!(place.run("--task translate @a.wav").exit, Exit::Usage);
    place.engine.english_only = false;
    place.run("@a.wav");
    assert_eq!(language(&place), None);
    let warned = place.run("--task translate --model turbo @a.wav").err;
    assert_eq!(warned, "warning: it was not trained to translate\n", "the pipeline's warning, once");
    let warned = place.run("--task translate --model turbo @a.wav @b.wav").err;
    let each = ["a", "b"].map(|name| format!("warning: @{name}.wav: it was not trained to translate\n"));
    assert_eq!(warned, each.concat(), "of several inputs it says which");
}

/// Fails to write after some bytes.
struct Closing(usize, io::ErrorKind);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(self.1.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_ends_the_run_quietly() {
    let place = Place::new();
    let (exit, err) = place.run_into("-q @a.wav @b.wav", &mut Closing(30, io::ErrorKind::BrokenPipe));
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(place.engine.seen.borrow().len(), 1);
    // What failed before has failed.
    let (exit, _) = place.run_into("-q @bad.wav @a.wav @b.wav", &mut Closing(60, io::ErrorKind::BrokenPipe));
    assert_eq!(exit, Exit::SomeFailed);
    // With files to write, the work goes on without the reader.
    let line = "-v @a.wav @b.wav -o @out -f txt";
    let (exit, _) = place.run_into(line, &mut Closing(0, io::ErrorKind::BrokenPipe));
    assert_eq!((exit, place.files()), (Exit::Done, vec!["a.txt".into(), "b.txt".into()]));
}

#[test]
fn a_full_disk_is_an_error() {
    let place = Place::new();
    let (exit, err) = place.run_into("@a.wav", &mut Closing(0, io::ErrorKind::StorageFull));
    assert_eq!(exit, Exit::SomeFailed);
    assert!(err.contains("cannot write to standard output"), "{err}");
}

#[test]
fn settings_reach_the_engine() {
    let place = Place::new();
    place.run("--prefix Well, --beam_size 3 -l French @a.wav");
    let seen = place.engine.seen.borrow();
    let (input, how) = &seen[0];
    assert_eq!(*input, Input::File(place.path("a.wav")));
    assert_eq!(how.prefix.as_deref(), Some("Well,"));
    assert_eq!(
        (how.options.decoding.beam_size, how.options.decoding.language.as_deref()),
        (Some(3), Some("fr"))
    );
    assert_eq!(Show::default().text, Text::Plain);
}

#[test]
fn a_folder_that_cannot_be_made_is_told_before_the_model_opens() {
    let place = Place::new();
    let line = ["transcribe".into(), place.path("a.wav").into(), "-o".into(), place.path("b.wav").into()];
    let settings = resolve(parse(line).unwrap().transcribe).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen::new(&mut out, &mut err, settings.show, false);
    let open = |_: &mut Screen<'_>| -> Result<&Scripted> { panic!("opened") };
    assert_eq!(run(&settings, open, &CancelToken::new(), &mut screen), Exit::SomeFailed);
    assert!(place.plain(&err).contains("@b.wav is a file, not a folder"), "{}", place.plain(&err));
}

#[test]
fn a_folder_that_cannot_be_made_stops_the_run() {
    let place = Place::new();
    let ran = place.run("@a.wav -o @b.wav/out -f txt");
    assert_eq!((ran.exit, place.engine.seen.borrow().len()), (Exit::SomeFailed, 0));
    assert!(ran.err.starts_with("error: cannot make the folder @b.wav/out: "), "{}", ran.err);
}
