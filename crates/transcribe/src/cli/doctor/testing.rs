//! Machines made up for tests.

use super::examine::examine;
use super::facts::{Driver, Facts, Group, Images, Library, Limit, NoShim, Node, Npu, Part, User};
use super::finding::{Check, Finding};

/// A Linux machine on which nothing was found.
pub(super) fn bare() -> Facts {
    Facts {
        linux: true,
        level: "portable".into(),
        threads: 1,
        kernel: None,
        driver: None,
        npus: Vec::new(),
        user: User::default(),
        memlock: None,
        libraries: Vec::new(),
        shim: Err(NoShim { why: "it is not there".into(), fix: "build it".into(), of_runtime: false }),
        images: Vec::new(),
        model: Err(("there is none".into(), "install it".into())),
        cxx: None,
        compiler: None,
    }
}

/// A Phoenix laptop with everything that can be asked for.
pub(super) fn healthy() -> Facts {
    let library = |part, name: &str| Library {
        part,
        path: format!("/usr/lib/x86_64-linux-gnu/{name}.so.2.21.75").into(),
        version: Some("2.21.75".into()),
        searched: true,
    };
    Facts {
        linux: true,
        level: "avx512+vnni".into(),
        threads: 16,
        kernel: Some("6.14.0-27-generic".into()),
        driver: Some(Driver { version: None }),
        npus: vec![phoenix()],
        user: User { name: Some("ada".into()), groups: vec![1000, 992], locks_freely: false },
        memlock: Some(Limit { soft: None, hard: None }),
        libraries: vec![
            library(Part::Runtime, "libxrt_coreutil"),
            library(Part::Plugin, "libxrt_driver_xdna"),
        ],
        shim: Ok("/repo/target/release/libnpu_xrt_shim.so".into()),
        images: vec![Images { root: "/repo/images".into(), indexed: vec!["aie2".into()] }],
        model: Ok("/repo/models/whisper-base-int8".into()),
        cxx: None,
        compiler: Some("/usr/bin/c++".into()),
    }
}

/// Its NPU.
pub(super) fn phoenix() -> Npu {
    Npu {
        address: "0000:c5:00.1".into(),
        device: 0x1502,
        revision: 0,
        driver: Some("amdxdna".into()),
        node: Some(Node {
            path: "/dev/accel/accel0".into(),
            exists: true,
            opens: Ok(()),
            group: Some(Group { id: 992, name: Some("render".into()), members: vec!["ada".into()] }),
        }),
        firmware: Some("1.5.5.391".into()),
    }
}

/// The finding of one check.
pub(super) fn finding_of(facts: &Facts, check: Check) -> Finding {
    let found = examine(facts).into_iter().find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("no finding of {check:?}"))
}
