//! Signals. Ctrl-C: the first asks the work to stop, the second stops the program. A file that grows beyond its limit is
//! a write error, not the end of the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use whisper_encoder::CancelToken;

use super::exit::Exit;

/// Whether work is under way that watches the token.
#[derive(Clone, Debug, Default)]
pub(super) struct Graceful(Arc<AtomicBool>);

impl Graceful {
    /// From now on the first Ctrl-C only asks. Before, while a model is opened or sound is read, there is nothing to save.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// From now on one Ctrl-C stops the program, as before [`Self::begin`]: what follows does not watch the token.
    pub(super) fn pause(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Blocks SIGXFSZ, which ends a program by default when a file grows beyond `ulimit -f`: the write fails with an error
/// then (EFBIG), which is reported like a full disk, and no half-written file stays.
///
/// Threads inherit this, so it comes before the first of them.
#[cfg(unix)]
pub(super) fn survive_file_limits() {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    // It fails for impossible arguments only; the signal would do then what it always did.
    let _ = signals.thread_block();
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(super) fn survive_file_limits() {}

/// Watches for Ctrl-C until the end of the program.
///
/// Where no handler can be set, Ctrl-C keeps its usual effect, which is to stop at once.
pub(super) fn watch(cancel: &CancelToken) -> Graceful {
    let graceful = Graceful::default();
    let (token, asks) = (cancel.clone(), graceful.clone());
    let handler = move || {
        if !asks.0.load(Ordering::Relaxed) || token.is_cancelled() {
            std::process::exit(Exit::Interrupted as i32);
        }
        token.cancel();
        use std::io::Write;
        // Nobody listening on standard error is no reason to go on.
        let _ = writeln!(std::io::stderr(), "\nstopping; press Ctrl-C again to stop at once");
    };
    drop(ctrlc::set_handler(handler));
    graceful
}
