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
}
