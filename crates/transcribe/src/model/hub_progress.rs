//! Shows a download on standard error: a bar on a terminal, a line for each large file elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hf_hub::api::Progress;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Smaller files come without a word.
const WORTH_SHOWING: u64 = 8 << 20;

/// Watches the download of one file.
pub(super) struct Watch {
    model: String,
    quiet: bool,
    size: Arc<AtomicU64>,
    bar: Option<ProgressBar>,
    begun: bool,
}

impl Watch {
    pub(super) fn new(model: &str, quiet: bool) -> Self {
        Self { model: model.into(), quiet, size: Arc::default(), bar: None, begun: false }
    }

    /// Bytes of the whole file, once the hub has told; readable after the watch is given away.
    pub(super) fn size(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.size)
    }
}

impl Progress for Watch {
    /// Called at the start, and again at every new connection.
    fn init(&mut self, size: usize, file: &str) {
        let size = size as u64;
        self.size.store(size, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(0);
        }
        if self.begun || self.quiet || size < WORTH_SHOWING {
            return;
        }
        self.begun = true;
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(size);
            let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(format!("downloading {} {file}", self.model));
            self.bar = Some(bar);
        } else {
            let line = format!("downloading {} {file} ({})", self.model, HumanBytes(size));
            // Nobody listening on standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    fn update(&mut self, size: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(size as u64);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
