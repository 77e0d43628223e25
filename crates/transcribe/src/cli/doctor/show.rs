//! The report on the screen and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Verdict;
use super::finding::{Finding, Status};
use crate::model::Device;

/// Devices that a finding can matter to.
const DEVICES: [Device; 3] = [Device::Cpu, Device::Npu, Device::Emulator];

/// A line for each finding, its fix below it, and at the end what follows for the device.
pub(super) fn text(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    for finding in &verdict.findings {
        writeln!(out, "{:11}  {:10}  {}", finding.status.name(), finding.check.name(), finding.what)?;
        if let Some(fix) = &finding.fix {
            writeln!(out, "{:25}to do: {fix}", "")?;
        }
    }
    writeln!(out, "\n{}", summary(verdict))
}

/// What follows for the device.
fn summary(verdict: &Verdict) -> String {
    let (asked, used) = (verdict.asked.name(), verdict.used.name());
    let device =
        if asked == used { format!("--device {used}") } else { format!("--device {asked}, here the {used}") };
    let obstacles: Vec<&str> = verdict.obstacles().map(|finding| finding.check.name()).collect();
    if !obstacles.is_empty() {
        return format!("{device}: cannot be used; see {}", obstacles.join(", "));
    }
    let others = verdict.findings.iter().filter(|finding| finding.status == Status::Problem).count();
    let others = match others {
        0 => "",
        _ => "; the problems above concern other devices",
    };
    format!("{device}: all that it needs works{others}")
}

/// One object: the device, the exit code, and the findings in their order.
pub(super) fn json(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    let checks: Vec<Value> = verdict.findings.iter().map(check).collect();
    let report = json!({
        "device": verdict.asked.name(),
        "uses": verdict.used.name(),
        "exit_code": verdict.exit() as u8,
        "checks": checks,
    });
    writeln!(out, "{report:#}")
}

fn check(finding: &Finding) -> Value {
    let needed: Vec<&str> =
        DEVICES.into_iter().filter(|device| finding.check.is_needed_by(*device)).map(Device::name).collect();
    json!({
        "name": finding.check.name(),
        "status": finding.status.name(),
        "finding": finding.what,
        "fix": finding.fix,
        "needed_by": needed,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::finding::Check;
    use super::*;

    fn verdict(asked: Device) -> Verdict {
        let findings = vec![
            Finding::ok(Check::Processor, "avx2, 2 threads"),
            Finding::problem(Check::Node, "it is not there", "plug it in"),
            Finding::unchecked(Check::Firmware, "there is no NPU"),
        ];
        Verdict::new(asked, findings)
    }

    #[test]
    fn a_line_for_each_finding_and_a_last_word() {
        let mut out = Vec::new();
        text(&verdict(Device::Auto), &mut out).unwrap();
        let want = "\
ok           processor   avx2, 2 threads
problem      node        it is not there
                         to do: plug it in
not checked  firmware    there is no NPU

--device auto, here the cpu: all that it needs works; the problems above concern other devices
";
        assert_eq!(String::from_utf8(out).unwrap(), want);
        assert_eq!(summary(&verdict(Device::Npu)), "--device npu: cannot be used; see node");
    }

    #[test]
    fn json_has_the_same() {
        let mut out = Vec::new();
        json(&verdict(Device::Npu), &mut out).unwrap();
        let got: Value = serde_json::from_slice(&out).unwrap();
        let head = (&got["device"], &got["uses"], &got["exit_code"]);
        assert_eq!(head, (&json!("npu"), &json!("npu"), &json!(4)));
        let want = json!({
            "name": "node", "status": "problem", "finding": "it is not there", "fix": "plug it in", "needed_by": ["npu"]
        });
        assert_eq!(got["checks"][1], want);
        assert_eq!(got["checks"][0]["fix"], Value::Null);
        assert_eq!(got["checks"][0]["needed_by"], json!(["cpu", "npu", "emulator"]));
        assert_eq!(got["checks"].as_array().unwrap().len(), 3);
    }
}
