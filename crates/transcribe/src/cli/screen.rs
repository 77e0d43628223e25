//! What the user sees: text on standard output; errors, notes and a progress bar on standard error.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::settings::{Show, Text};
use crate::tokenizer::whitespace::strip;
use crate::writer::{Format, Writer, WriterOptions, format_timestamp};
use crate::{Error, Segment, Transcription};

/// Both streams. Broken pipes are remembered, not reported: the reader has what it wanted.
pub struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    show: Show,
    terminal: bool,
    bar: ProgressBar,
    out_closed: bool,
    out_error: Option<io::Error>,
}

impl<'a> Screen<'a> {
    /// Draws a bar only if `terminal` says that standard error is one.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, show: Show, terminal: bool) -> Self {
        Self { out, err, show, terminal, bar: ProgressBar::hidden(), out_closed: false, out_error: None }
    }

    /// Whether the reader of standard output has gone.
    #[must_use]
    pub fn out_closed(&self) -> bool {
        self.out_closed
    }

    /// The first failure to write to standard output that was not a closed pipe: a full disk, for example.
    pub fn take_out_error(&mut self) -> Option<io::Error> {
        self.out_error.take()
    }

    /// A line before each of several inputs, as `head` writes it.
    pub fn title(&mut self, name: &str, first: bool) {
        if matches!(self.show.text, Text::Plain | Text::Timed) {
            let gap = if first { "" } else { "\n" };
            self.print(&format!("{gap}==> {name} <==\n"));
        }
    }

    /// A segment as soon as it is found.
    pub fn segment(&mut self, segment: &Segment) {
        match self.show.text {
            Text::Nothing | Text::Document(_) => {}
            Text::Plain => {
                let text = strip(&segment.text);
                if !text.is_empty() {
                    self.print(&format!("{text}\n"));
                }
            }
            // OpenAI's `[start --> end] text`, where the text begins with its own space.
            Text::Timed => {
                let [start, end] = [segment.start, segment.end]
                    .map(|seconds| format_timestamp(seconds.max(0.0), false, '.'));
                self.print(&format!("[{start} --> {end}] {}\n", segment.text));
            }
        }
    }

    /// A finished transcription, if standard output takes whole documents.
    pub fn document(
        &mut self,
        transcription: &Transcription,
        options: &WriterOptions,
        writer: &dyn Fn(Format) -> Box<dyn Writer>,
    ) {
        if let Text::Document(format) = self.show.text {
            let mut text = Vec::new();
            if writer(format).write(transcription, options, &mut text).is_ok() {
                self.print_bytes(&text);
            }
        }
    }

    /// A line for those who asked for more.
    pub fn note(&mut self, text: &str) {
        if self.show.notes && !self.show.quiet {
            self.complain(text);
        }
    }

    /// A line for all who did not ask for quiet.
    pub fn say(&mut self, text: &str) {
        if !self.show.quiet {
            self.complain(text);
        }
    }

    /// A warning.
    pub fn warn(&mut self, text: &str) {
        if !self.show.quiet {
            self.complain(&format!("warning: {text}"));
        }
    }

    /// An error, always shown.
    pub fn error(&mut self, error: &Error) {
        self.complain(&format!("error: {error}"));
    }

    /// What failed of several inputs, always shown.
    pub fn summary(&mut self, text: &str) {
        self.complain(text);
    }

    /// Begins the bar of one input.
    pub fn begin(&mut self, name: &str) {
        if !self.terminal || self.show.quiet {
            return;
        }
        self.bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} reading …") {
            self.bar.set_style(style);
        }
        self.bar.set_message(name.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    /// Moves the bar: mel frames of 10 ms.
    pub fn progress(&mut self, done: usize, total: usize) {
        if self.bar.is_hidden() {
            return;
        }
        // Before the first window is done nobody knows how long the rest takes.
        let template = match done {
            0 => "{msg} {spinner} {wide_bar} {percent}% {elapsed}",
            _ => "{msg} {spinner} {wide_bar} {percent}% {elapsed}<{eta}",
        };
        if (self.bar.length().is_none() || self.bar.position() == 0)
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            self.bar.set_style(style);
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done.min(total) as u64);
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }

    fn print(&mut self, text: &str) {
        self.print_bytes(text.as_bytes());
    }

    fn print_bytes(&mut self, bytes: &[u8]) {
        if self.out_closed {
            return;
        }
        let Self { out, bar, .. } = self;
        let written = bar.suspend(|| out.write_all(bytes).and_then(|()| out.flush()));
        if let Err(error) = written {
            self.out_closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.out_error = Some(error);
            }
        }
    }

    fn complain(&mut self, text: &str) {
        let Self { err, bar, .. } = self;
        // Nobody listening on standard error is no reason to stop.
        bar.suspend(|| drop(writeln!(err, "{text}")));
    }
}
