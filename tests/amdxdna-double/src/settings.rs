//! Faults and limits: words in the environment variable `AMDXDNA_DOUBLE`, and in the file that
//! `AMDXDNA_DOUBLE_CONTROL` names.
//!
//! Both are read each time the node is opened while nobody has it open; a word of the file outweighs one of the
//! environment. Words are separated by spaces or new lines. Launches, contexts and objects are counted from 0, from
//! that opening on.
//!
//! | word | effect |
//! |---|---|
//! | `no-node` | the PCI function is there, the node is not |
//! | `deny-open` | opening the node: EACCES |
//! | `error-at=N` | launch N: the firmware reports an error |
//! | `hang-at=N` | launch N makes no progress, until the driver's recovery |
//! | `reset-at=N` | the firmware starts anew at launch N: it and all that is queued end as ABORT |
//! | `forgotten-at=N` | the driver takes the command that launch N is of, and does not run it: its fence is signalled, its state stays NEW |
//! | `vanish-at=N` | the device goes away at launch N; it and all that is queued end as ABORT |
//! | `queued-stay-new` | when it goes away, what is queued ends as a forgotten command does |
//! | `zeros-at=N` | launch N completes and writes zeros |
//! | `nothing-at=N` | launch N completes and writes nothing |
//! | `context-fails=N` | creation N of a context: ENOMEM |
//! | `contexts-elsewhere=N` | other programs hold so many of the contexts |
//! | `exec-fails=N` | submission N, of a command or a chain: ENOMEM |
//! | `bo-fails=N` | creation N of an object that the program maps (the heap is 0): ENOMEM |
//! | `memlock=BYTES`, `memlock=rlimit` | mappings in all may lock so much, whatever privileges there are; else no limit |
//! | `tdr-ms=N` | time until recovery, instead of the driver's 2000 ms |
//! | `launch-us=N` | a launch takes so long at least, the one at which the device goes away too; hardware takes some 150 µs |
//! | `two-copies` | host and device see each their own copy; needs XRT's `Debug.force_driver_sync` |
//! | `compute=off` | launches complete at once and write nothing, to measure the way there and back |
//! | `arithmetic=exact` | with the device's rounding, as the emulator's `Arithmetic::Exact` |
//!
//! With `AMDXDNA_DOUBLE_LOG` set the double says on stderr what the kernel's log would: why a command failed.

use std::time::Duration;

use crate::region;

/// What happens at a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Error,
    Hang,
    Reset,
    Forgotten,
    Vanish,
    Zeros,
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) no_node: bool,
    pub(crate) deny_open: bool,
    pub(crate) faults: Vec<(u64, Fault)>,
    pub(crate) context_fails: Option<u64>,
    pub(crate) contexts_elsewhere: usize,
    pub(crate) exec_fails: Option<u64>,
    pub(crate) bo_fails: Option<u64>,
    pub(crate) memlock_bytes: Option<u64>,
    pub(crate) recovery: Duration,
    pub(crate) launch: Duration,
    pub(crate) two_copies: bool,
    pub(crate) queued_stay_new: bool,
    pub(crate) computes: bool,
    pub(crate) exact: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            no_node: false,
            deny_open: false,
            faults: Vec::new(),
            context_fails: None,
            contexts_elsewhere: 0,
            exec_fails: None,
            bo_fails: None,
            memlock_bytes: None,
            // XDNA:drivers/accel/amdxdna/aie2_ctx.c, tdr_timeout_ms.
            recovery: Duration::from_millis(2000),
            launch: Duration::ZERO,
            two_copies: false,
            queued_stay_new: false,
            computes: true,
            exact: false,
        }
    }
}

impl Settings {
    /// As environment and control file say now.
    ///
    /// # Errors
    /// The word that is none, or the file that cannot be read.
    pub(crate) fn read() -> Result<Self, String> {
        let mut words = std::env::var("AMDXDNA_DOUBLE").unwrap_or_default();
        if let Some(path) = std::env::var_os("AMDXDNA_DOUBLE_CONTROL") {
            let file = std::fs::read_to_string(&path)
                .map_err(|error| format!("the control file {} cannot be read: {error}", path.display()))?;
            words.push('\n');
            words.push_str(&file);
        }
        Self::parse(&words)
    }

    fn parse(words: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        for word in words.split_whitespace() {
            let known = match word.split_once('=') {
                None => settings.flag(word),
                Some(("memlock", "rlimit")) => {
                    settings.memlock_bytes = Some(region::memlock_limit());
                    Some(())
                }
                Some(("compute", "off")) => {
                    settings.computes = false;
                    Some(())
                }
                Some(("arithmetic", "exact")) => {
                    settings.exact = true;
                    Some(())
                }
                Some((name, number)) => number.parse().ok().and_then(|number| settings.number(name, number)),
            };
            known.ok_or_else(|| format!("`{word}` is no word that the double knows"))?;
        }
        Ok(settings)
    }

    fn flag(&mut self, word: &str) -> Option<()> {
        match word {
            "no-node" => self.no_node = true,
            "deny-open" => self.deny_open = true,
            "two-copies" => self.two_copies = true,
            "queued-stay-new" => self.queued_stay_new = true,
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self, name: &str, number: u64) -> Option<()> {
        let mut at = |fault| self.faults.push((number, fault));
        match name {
            "error-at" => at(Fault::Error),
            "hang-at" => at(Fault::Hang),
            "reset-at" => at(Fault::Reset),
            "forgotten-at" => at(Fault::Forgotten),
            "vanish-at" => at(Fault::Vanish),
            "zeros-at" => at(Fault::Zeros),
            "nothing-at" => at(Fault::Nothing),
            "context-fails" => self.context_fails = Some(number),
            "contexts-elsewhere" => self.contexts_elsewhere = usize::try_from(number).ok()?,
            "exec-fails" => self.exec_fails = Some(number),
            "bo-fails" => self.bo_fails = Some(number),
            "memlock" => self.memlock_bytes = Some(number),
            "launch-us" => self.launch = Duration::from_micros(number),
            "tdr-ms" => self.recovery = Duration::from_millis(number),
            _ => return None,
        }
        Some(())
    }

    /// What happens at launch `number`.
    pub(crate) fn fault_at(&self, number: u64) -> Option<Fault> {
        self.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn words_are_read_and_later_ones_outweigh() {
        let settings = Settings::parse("error-at=3 tdr-ms=50\nhang-at=4 tdr-ms=60 two-copies").unwrap();
        assert_eq!((settings.fault_at(3), settings.fault_at(4)), (Some(Fault::Error), Some(Fault::Hang)));
        assert_eq!((settings.fault_at(5), settings.recovery.as_millis()), (None, 60));
        assert!(settings.two_copies && settings.computes && !settings.no_node);
        assert_eq!(Settings::parse("").unwrap(), Settings::default());
    }

    #[test]
    fn a_word_that_is_none_is_named() {
        for word in ["hang", "hang-at=x", "memlock=much", "compute=on", "=", "error-at"] {
            let error = Settings::parse(&format!("no-node {word}")).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
