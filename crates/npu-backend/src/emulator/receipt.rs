//! What the emulator's launches cost by the model, per kernel and in all.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::{Counters, Modelled};

/// Warnings that are kept; later ones are counted only.
const KEPT_WARNINGS: usize = 16;

/// Launches of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelReceipt {
    /// Name of the image's entry.
    pub kernel: String,
    /// Launches that the device began.
    pub launches: u64,
    /// What they took by the model; the fields that are not a launch's (host, switch, create, elapsed) are zero.
    pub modelled: Modelled,
}

/// What happened since the emulator was opened. Every time in it is modelled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// All of it.
    pub counters: Counters,
    /// By kernel, in the order of their names.
    pub kernels: Vec<KernelReceipt>,
    /// What the runtime would have logged, the first few.
    pub warnings: Vec<String>,
    /// How many there were.
    pub warning_count: u64,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) counters: Counters,
    pub(super) modelled: Modelled,
    kernels: BTreeMap<String, (u64, Modelled)>,
    warnings: Vec<String>,
    warning_count: u64,
}

impl Ledger {
    pub(super) fn launch(&mut self, kernel: &str, cost: &Modelled) {
        self.modelled = self.modelled.plus(cost);
        if !self.kernels.contains_key(kernel) {
            self.kernels.insert(kernel.to_owned(), Default::default());
        }
        if let Some((launches, total)) = self.kernels.get_mut(kernel) {
            *launches += 1;
            *total = total.plus(cost);
        }
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warning_count += 1;
        if self.warnings.len() < KEPT_WARNINGS {
            self.warnings.push(warning);
        }
    }

    pub(super) fn counters(&self, now: Duration) -> Counters {
        Counters { modelled: Some(Modelled { elapsed: now, ..self.modelled }), ..self.counters }
    }

    pub(super) fn receipt(&self, now: Duration) -> Receipt {
        let kernel = |(kernel, (launches, modelled)): (&String, &(u64, Modelled))| KernelReceipt {
            kernel: kernel.clone(),
            launches: *launches,
            modelled: *modelled,
        };
        Receipt {
            counters: self.counters(now),
            kernels: self.kernels.iter().map(kernel).collect(),
            warnings: self.warnings.clone(),
            warning_count: self.warning_count,
        }
    }
}
