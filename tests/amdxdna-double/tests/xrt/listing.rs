//! AMD's own tools see the double.

use crate::bench::Bench;

#[test]
fn xrt_smi_lists_the_double() {
    let Some(bench) = Bench::probe() else { return };
    let output = bench.tool("", &["xrt-smi", "examine"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for part in ["[0000:c5:00.1]", "RyzenAI-npu1", "aie2", "6x5", "1.5.5.391", "2.25"] {
        assert!(said.contains(part), "no {part} in:\n{said}");
    }
}

#[test]
fn without_a_node_there_is_no_device() {
    let Some(bench) = Bench::probe() else { return };
    let output = bench.tool("no-node", &["xrt-smi", "examine"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("0 devices found"), "{said}");
}
