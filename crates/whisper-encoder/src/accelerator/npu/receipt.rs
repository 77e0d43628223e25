//! What ran where: counted by the accelerator, shown to the user.

use std::collections::BTreeMap;

/// The account of an encoder's work since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Receipt {
    /// Name of the device.
    pub device: String,
    /// Whether the device is a model in software, so that its times are modelled.
    pub modelled: bool,
    /// Windows encoded.
    pub windows: u64,
    /// Floating-point operations of products and attention on the device.
    pub device_flop: f64,
    /// The same on the CPU, as fallback.
    pub cpu_flop: f64,
    /// Operations that fell back to the CPU, by reason.
    pub fallbacks: BTreeMap<String, u64>,
    /// Tiles recomputed on the CPU and compared.
    pub shadow_checks: u64,
    /// Windows encoded again because a comparison failed.
    pub windows_redone: u64,
    /// What the device counted.
    pub counters: npu_backend::Counters,
}

impl Receipt {
    /// Share of the products' and attention's operations that the device did, 0 to 1; none if there were none.
    #[must_use]
    pub fn device_share(&self) -> Option<f64> {
        let all = self.device_flop + self.cpu_flop;
        (all > 0.0).then(|| self.device_flop / all)
    }

    /// Counts work that the device did, or not.
    pub(super) fn count(&mut self, flop: f64, on_device: Option<()>) {
        let to = if on_device.is_some() { &mut self.device_flop } else { &mut self.cpu_flop };
        *to += flop;
    }

    /// What came after `earlier`, a reading of the same account.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let count = |reason: &String| earlier.fallbacks.get(reason).copied().unwrap_or(0);
        let fallbacks = self.fallbacks.iter().map(|(reason, now)| (reason.clone(), now - count(reason)));
        Self {
            device: self.device.clone(),
            modelled: self.modelled,
            windows: self.windows - earlier.windows,
            device_flop: self.device_flop - earlier.device_flop,
            cpu_flop: self.cpu_flop - earlier.cpu_flop,
            fallbacks: fallbacks.filter(|(_, count)| *count > 0).collect(),
            shadow_checks: self.shadow_checks - earlier.shadow_checks,
            windows_redone: self.windows_redone - earlier.windows_redone,
            counters: self.counters.since(&earlier.counters),
        }
    }
}
