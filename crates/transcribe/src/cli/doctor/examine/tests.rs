//! Every finding: on a healthy machine, and with one thing wrong at a time.
#![allow(clippy::unwrap_used)]

use super::super::facts::{Limit, NoShim, Refusal};
use super::super::finding::Status;
use super::super::testing::{bare, finding_of, healthy, phoenix};
use super::*;

const MIB: u64 = 1 << 20;

/// A case: what is wrong, which check says so, how, and what its words contain (finding and fix together).
struct Case {
    check: Check,
    status: Status,
    change: fn(&mut Facts),
    says: &'static [&'static str],
}

fn problem(check: Check, change: fn(&mut Facts), says: &'static [&'static str]) -> Case {
    Case { check, status: Status::Problem, change, says }
}

fn ok(check: Check, change: fn(&mut Facts), says: &'static [&'static str]) -> Case {
    Case { check, status: Status::Ok, change, says }
}

fn unchecked(check: Check, change: fn(&mut Facts), says: &'static [&'static str]) -> Case {
    Case { check, status: Status::Unchecked, change, says }
}

fn verify(cases: Vec<Case>) {
    for (number, Case { check, status, change, says }) in cases.into_iter().enumerate() {
        let mut facts = healthy();
        change(&mut facts);
        let finding = finding_of(&facts, check);
        assert_eq!(finding.status, status, "case {number}: {finding:?}");
        assert_eq!(finding.fix.is_some(), status == Status::Problem, "case {number}: {finding:?}");
        let words = format!("{} | {}", finding.what, finding.fix.unwrap_or_default());
        for part in says {
            assert!(words.contains(part), "case {number}: no `{part}` in: {words}");
        }
    }
}

#[test]
fn a_healthy_machine_is_well() {
    for finding in examine(&healthy()) {
        assert_eq!(finding.status, Status::Ok, "{finding:?}");
    }
}

#[test]
fn a_machine_without_npu_has_one_problem_of_it() {
    let facts = Facts { model: Ok("m".into()), compiler: Some("c++".into()), ..bare() };
    let problems: Vec<Check> = examine(&facts)
        .into_iter()
        .filter(|finding| finding.status == Status::Problem)
        .map(|finding| finding.check)
        .collect();
    assert_eq!(problems, [Check::Npu]);
    let other = Facts { linux: false, ..facts };
    assert!(examine(&other).iter().all(|finding| finding.status != Status::Problem));
    assert!(finding_of(&other, Check::Driver).what.contains("Linux only"));
}

fn no_shim(why: &str, fix: &str, of_runtime: bool) -> Result<std::path::PathBuf, NoShim> {
    Err(NoShim { why: why.into(), fix: fix.into(), of_runtime })
}

#[test]
fn processor_and_files() {
    verify(vec![
        ok(Check::Processor, |_| (), &["avx512+vnni, 16 threads"]),
        ok(Check::Processor, |facts| facts.threads = 1, &[", 1 thread"]),
        ok(Check::Model, |_| (), &["/repo/models"]),
        problem(
            Check::Model,
            |facts| facts.model = Err(("gone".into(), "install".into())),
            &["gone | install"],
        ),
        ok(Check::Compiler, |_| (), &["/usr/bin/c++"]),
        problem(Check::Compiler, |facts| facts.compiler = None, &["no C++ compiler", "install g++"]),
        problem(
            Check::Compiler,
            |facts| (facts.compiler, facts.cxx) = (None, Some("icpx".into())),
            &["CXX names icpx", "unset"],
        ),
        ok(Check::Shim, |_| (), &["libnpu_xrt_shim.so"]),
        problem(
            Check::Shim,
            |facts| facts.shim = no_shim("it is of another version", "build it again", false),
            &["of another version | build it again"],
        ),
        unchecked(
            Check::Shim,
            |facts| facts.shim = no_shim("no libuuid", "install it", true),
            &["what xrt lacks"],
        ),
        unchecked(Check::Shim, |facts| facts.npus.clear(), &["no NPU"]),
        ok(Check::Images, |_| (), &["/repo/images/aie2"]),
        problem(Check::Images, |facts| facts.images.clear(), &["no folder images/aie2", "make -C kernels"]),
        problem(
            Check::Images,
            |facts| facts.images[0].indexed = vec!["aie2p".into()],
            &["/repo/images has no index of aie2 ", "make -C kernels"],
        ),
        ok(
            Check::Images,
            |facts| {
                (facts.npus[0].device, facts.npus[0].revision) = (0x17f0, 0x10);
                facts.images[0].indexed.push("aie2p".into());
            },
            &["/repo/images/aie2p"],
        ),
        unchecked(Check::Images, |facts| facts.npus[0].device = 0x17f1, &["no kernels"]),
    ]);
}

#[test]
fn driver_and_bus() {
    verify(vec![
        ok(
            Check::Driver,
            |_| (),
            &["amdxdna is loaded, Linux 6.14.0-27-generic", "GET_ARRAY", "from one source"],
        ),
        ok(Check::Driver, |facts| facts.kernel = Some("6.18.1".into()), &["Linux 6.18.1"]),
        ok(
            Check::Driver,
            |facts| facts.driver.as_mut().unwrap().version = Some("0.1".into()),
            &["amdxdna 0.1"],
        ),
        problem(
            Check::Driver,
            |facts| facts.driver = None,
            &["not loaded", "modprobe", "CONFIG_DRM_ACCEL_AMDXDNA"],
        ),
        problem(
            Check::Driver,
            |facts| (facts.driver, facts.kernel) = (None, Some("6.8.0-45".into())),
            &["Linux 6.8.0-45", "update to Linux 6.14", "6.10 at least"],
        ),
        problem(
            Check::Driver,
            |facts| (facts.driver, facts.kernel) = (None, Some("6.11.0".into())),
            &["6.14 or later", "or install AMD's package"],
        ),
        problem(
            Check::Driver,
            |facts| (facts.driver, facts.kernel) = (None, None),
            &["unknown release", "modprobe"],
        ),
        unchecked(Check::Driver, |facts| (facts.driver, facts.npus) = (None, vec![]), &["no NPU"]),
        ok(Check::Npu, |_| (), &["Phoenix or Hawk Point", "0000:c5:00.1", "1022:1502, revision 00"]),
        ok(
            Check::Npu,
            |facts| (facts.npus[0].device, facts.npus[0].revision) = (0x17f0, 0x10),
            &["Strix or Gorgon Point (XDNA 2)"],
        ),
        ok(
            Check::Npu,
            |facts| (facts.npus[0].device, facts.npus[0].revision) = (0x17f0, 0x11),
            &["Strix Halo"],
        ),
        ok(Check::Npu, |facts| (facts.npus[0].device, facts.npus[0].revision) = (0x17f0, 0x20), &["Krackan"]),
        problem(
            Check::Npu,
            |facts| facts.npus[0].device = 0x1b0a,
            &["newer than this program", "--device cpu"],
        ),
        problem(Check::Npu, |facts| facts.npus.clear(), &["no NPU", "firmware setup"]),
        problem(
            Check::Npu,
            |facts| facts.npus[0].driver = None,
            &["refused", "dmesg", "1502_00/npu.sbin", "IOMMU"],
        ),
        problem(
            Check::Npu,
            |facts| facts.npus[0].driver = Some("vfio-pci".into()),
            &["taken by the driver vfio-pci"],
        ),
        ok(
            Check::Npu,
            |facts| (facts.driver, facts.npus[0].driver) = (None, None),
            &["no driver has taken yet"],
        ),
    ]);
}

#[test]
fn node_and_permission() {
    verify(vec![
        ok(Check::Node, |_| (), &["/dev/accel/accel0"]),
        problem(Check::Node, |facts| facts.npus[0].node = None, &["no node", "dmesg"]),
        problem(
            Check::Node,
            |facts| facts.npus[0].node.as_mut().unwrap().exists = false,
            &["but it is not there", "--device /dev/accel/accel0"],
        ),
        unchecked(Check::Node, |facts| facts.npus.clear(), &["no NPU"]),
        unchecked(
            Check::Node,
            |facts| (facts.npus[0].driver, facts.npus[0].node) = (None, None),
            &["no driver"],
        ),
        ok(Check::Permission, |_| (), &["opens for reading and writing"]),
        unchecked(
            Check::Permission,
            |facts| facts.npus[0].node.as_mut().unwrap().exists = false,
            &["no node"],
        ),
        problem(
            Check::Permission,
            |facts| {
                deny(facts);
                facts.user.groups = vec![1000];
                facts.npus[0].node.as_mut().unwrap().group.as_mut().unwrap().members.clear();
            },
            &["ada is not in its group render", "sudo usermod -aG render ada", "--group-add 992"],
        ),
        problem(
            Check::Permission,
            |facts| {
                deny(facts);
                facts.user.groups = vec![1000];
            },
            &["ada is in its group render, but was not yet at login", "log out and in", "newgrp render"],
        ),
        problem(
            Check::Permission,
            deny,
            &["the group has no right to it either", "chmod g+rw /dev/accel/accel0"],
        ),
        problem(
            Check::Permission,
            |facts| {
                deny(facts);
                (facts.user.groups, facts.user.name) = (vec![], None);
                let group = facts.npus[0].node.as_mut().unwrap().group.as_mut().unwrap();
                (group.name, group.members) = (None, vec![]);
            },
            &["$USER is not in its group number 992", "--group-add 992"],
        ),
        problem(
            Check::Permission,
            |facts| facts.npus[0].node.as_mut().unwrap().opens = Err(Refusal::Other("no such device".into())),
            &["does not open: no such device", "dmesg"],
        ),
    ]);
}

fn deny(facts: &mut Facts) {
    facts.npus[0].node.as_mut().unwrap().opens = Err(Refusal::Permission);
}

#[test]
fn locked_memory_and_firmware() {
    verify(vec![
        ok(Check::LockedMemory, |_| (), &["unlimited"]),
        problem(
            Check::LockedMemory,
            |facts| facts.memlock = Some(Limit { soft: Some(8 * MIB), hard: Some(8 * MIB) }),
            &["8192 KiB", "65536 KiB", "ada soft memlock unlimited", "--ulimit memlock=-1"],
        ),
        // Not enough: buffers come on top of the instructions.
        problem(
            Check::LockedMemory,
            |facts| facts.memlock = Some(Limit { soft: Some(64 * MIB), hard: None }),
            &["run `ulimit -l unlimited`"],
        ),
        ok(
            Check::LockedMemory,
            |facts| facts.memlock = Some(Limit { soft: Some(1024 * MIB), hard: None }),
            &["at most 1048576 KiB", "may need more"],
        ),
        ok(
            Check::LockedMemory,
            |facts| {
                facts.memlock = Some(Limit { soft: Some(0), hard: Some(0) });
                facts.user.locks_freely = true;
            },
            &["CAP_IPC_LOCK"],
        ),
        unchecked(Check::LockedMemory, |facts| facts.memlock = None, &["cannot be read"]),
        unchecked(Check::LockedMemory, |facts| facts.npus.clear(), &["no NPU"]),
        ok(Check::Firmware, |_| (), &["1.5.5.391"]),
        problem(
            Check::Firmware,
            |facts| facts.npus[0].firmware = None,
            &["no version", "1502_00", "off and on"],
        ),
        problem(
            Check::Firmware,
            |facts| facts.npus[0].firmware = Some("0.0.0.0".into()),
            &["0.0.0.0: it does not run"],
        ),
        unchecked(Check::Firmware, |facts| facts.npus[0].driver = None, &["no driver"]),
    ]);
}

#[test]
fn runtime() {
    verify(vec![
        ok(Check::Xrt, |_| (), &["XRT 2.21.75, /usr/lib/x86_64-linux-gnu/libxrt_coreutil.so.2.21.75"]),
        ok(Check::Xrt, |facts| facts.libraries[0].version = Some("2.17.319".into()), &["2.17.319"]),
        ok(Check::Xrt, |facts| facts.libraries[0].version = Some("2".into()), &["XRT 2,"]),
        ok(Check::Xrt, |facts| facts.libraries[0].version = None, &["XRT, /usr/lib"]),
        ok(Check::Xrt, |facts| facts.libraries[0].searched = false, &["source /opt/xilinx/xrt/setup.sh"]),
        problem(
            Check::Xrt,
            |facts| facts.libraries[0].version = Some("2.16.204".into()),
            &["cannot chain launches", "2.17 or later"],
        ),
        problem(Check::Xrt, |facts| facts.libraries.truncate(1), &["libxrt_driver_xdna.so", "plugin"]),
        problem(Check::Xrt, |facts| facts.libraries.clear(), &["/opt/xilinx/xrt", "install XRT"]),
        // Told once: the shim's own finding only says where.
        problem(
            Check::Xrt,
            |facts| facts.shim = no_shim("no libuuid", "install it", true),
            &["no libuuid | install it"],
        ),
        unchecked(Check::Xrt, |facts| facts.npus.clear(), &["no NPU"]),
    ]);
}

#[test]
fn the_first_npu_counts() {
    let mut facts = healthy();
    facts.npus.push(super::super::facts::Npu { device: 0x17f0, ..phoenix() });
    assert!(finding_of(&facts, Check::Npu).what.contains("Phoenix"));
}
