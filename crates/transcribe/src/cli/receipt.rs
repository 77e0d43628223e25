//! The receipt of a run on an NPU: what ran where, for people and for programs. Modelled times say so.

use serde_json::{Map, Value, json};
use whisper_encoder::accelerator::Receipt;

/// Lines for standard error.
#[must_use]
pub fn lines(receipt: &Receipt, cpu_seconds: Option<f64>) -> Vec<String> {
    let counters = &receipt.counters;
    let share = receipt.device_share().map_or("none".into(), |share| format!("{:.1} %", 100.0 * share));
    let mut lines = vec![
        format!(
            "ran on {}: {share} of the encoder's products and attention, {}",
            receipt.device,
            counted(receipt.windows, "window", "windows")
        ),
        format!(
            "  {} in {}, {}, {} of {:.1} MB, {} of {:.1} MB",
            counted(counters.launches, "launch", "launches"),
            counted(counters.batches, "batch", "batches"),
            counted(counters.context_switches, "context switch", "context switches"),
            counted(counters.pushes, "push", "pushes"),
            megabytes(counters.pushed_bytes),
            counted(counters.pulls, "pull", "pulls"),
            megabytes(counters.pulled_bytes),
        ),
    ];
    if let Some(modelled) = &counters.modelled {
        let ms = |time: std::time::Duration| 1e3 * time.as_secs_f64();
        lines.push(format!(
            "  modelled, not measured: {:.1} ms of the device (running {:.1}, launching {:.1}, switching {:.1}), {:.1} ms of pushes and pulls",
            ms(modelled.device),
            ms(modelled.run) + ms(modelled.ends),
            ms(modelled.launch),
            ms(modelled.switch),
            ms(modelled.host),
        ));
    }
    lines.push(format!(
        "  {} checked on the CPU, {} encoded again",
        counted(receipt.shadow_checks, "tile", "tiles"),
        counted(receipt.windows_redone, "window", "windows")
    ));
    if let Some(seconds) = cpu_seconds {
        lines.push(format!("  {seconds:.2} core-seconds of the CPU, in all"));
    }
    for (reason, count) in &receipt.fallbacks {
        lines.push(format!("  on the CPU instead: {count} × {reason}"));
    }
    lines
}

/// `1 window`, `2 windows`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The same for `json` files, under `run`.
#[must_use]
pub fn value(receipt: &Receipt, cpu_seconds: Option<f64>) -> Value {
    let counters = &receipt.counters;
    let fallbacks: Map<String, Value> =
        receipt.fallbacks.iter().map(|(reason, &count)| (reason.clone(), count.into())).collect();
    let modelled = counters.modelled.map(|modelled| {
        json!({
            "device_seconds": modelled.device.as_secs_f64(),
            "run_seconds": (modelled.run + modelled.ends).as_secs_f64(),
            "launch_seconds": modelled.launch.as_secs_f64(),
            "switch_seconds": modelled.switch.as_secs_f64(),
            "sync_seconds": modelled.host.as_secs_f64(),
        })
    });
    json!({
        "device": receipt.device,
        "modelled_device": receipt.modelled,
        "windows": receipt.windows,
        "device_share": receipt.device_share(),
        "launches": counters.launches,
        "batches": counters.batches,
        "context_switches": counters.context_switches,
        "pushes": counters.pushes,
        "pushed_bytes": counters.pushed_bytes,
        "pulls": counters.pulls,
        "pulled_bytes": counters.pulled_bytes,
        "checked_tiles": receipt.shadow_checks,
        "windows_redone": receipt.windows_redone,
        "fallbacks": fallbacks,
        "modelled": modelled,
        "cpu_core_seconds": cpu_seconds,
    })
}

/// Time that this process has spent on all cores, seconds; only where the system tells it in `/proc`.
#[must_use]
pub fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold spaces. After it: state is field 3; user and system time are 14 and 15, in ticks,
    // which Linux fixes at 100 a second for user space.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u32 = fields.get(11)?.parse::<u32>().ok()?.saturating_add(fields.get(12)?.parse().ok()?);
    Some(f64::from(ticks) / 100.0)
}

#[allow(clippy::cast_precision_loss, reason = "printed with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn receipt() -> Receipt {
        let mut receipt =
            Receipt { device: "XDNA 1, emulated".into(), modelled: true, windows: 2, ..Receipt::default() };
        receipt.device_flop = 3e9;
        receipt.cpu_flop = 1e9;
        receipt.fallbacks.insert("perceptron: launch 1 ended as Timeout".into(), 4);
        receipt.counters.launches = 88;
        receipt.counters.batches = 1;
        receipt.counters.modelled = Some(npu_modelled());
        receipt
    }

    fn npu_modelled() -> whisper_encoder::accelerator::Modelled {
        whisper_encoder::accelerator::Modelled { device: Duration::from_millis(93), ..Default::default() }
    }

    #[test]
    fn people_see_share_reasons_and_that_times_are_modelled() {
        let text = lines(&receipt(), Some(1.5)).join("\n");
        for part in [
            "75.0 %",
            "2 windows",
            "88 launches in 1 batch, ",
            "modelled, not measured: 93.0 ms",
            "4 × perceptron: launch 1",
            "1.50 core-seconds",
        ] {
            assert!(text.contains(part), "`{text}` lacks `{part}`");
        }
    }

    #[test]
    fn programs_see_the_same() {
        let value = value(&receipt(), None);
        assert_eq!(value["device_share"], 0.75);
        assert_eq!(value["modelled"]["device_seconds"], 0.093);
        assert_eq!(value["fallbacks"]["perceptron: launch 1 ended as Timeout"], 4);
        assert!(value["cpu_core_seconds"].is_null());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_the_time_spent() {
        assert!(cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
    }
}
