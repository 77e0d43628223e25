//! Made-up systems: a tree of files for each, read as if it were `/`.
#![allow(clippy::unwrap_used)]

use super::super::facts::{Library, Part, Refusal};
use super::*;

/// A folder that stands for `/`.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    /// A device on the PCI bus; as sysfs writes numbers.
    fn device(&self, address: &str, vendor: &str, device: &str, revision: &str) {
        let folder = format!("/sys/bus/pci/devices/{address}");
        for (file, text) in [("vendor", vendor), ("device", device), ("revision", revision)] {
            self.write(&format!("{folder}/{file}"), &format!("{text}\n"));
        }
    }

    fn system(&self, variables: &[(&'static str, &str)]) -> System {
        System {
            root: self.0.path().into(),
            linux: true,
            surroundings: Surroundings::default(),
            variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        }
    }

    fn read(&self) -> Facts {
        self.system(&[]).read()
    }
}

#[test]
fn an_empty_system_has_no_facts() {
    let facts = Tree::new().read();
    assert_eq!((facts.kernel, facts.driver, facts.memlock, facts.compiler), (None, None, None, None));
    assert!(facts.npus.is_empty() && facts.libraries.is_empty() && facts.images.is_empty());
    assert_eq!(facts.user, User::default());
    assert!(facts.model.unwrap_err().0.contains("bundled model"));
    assert!(facts.threads > 0 && !facts.level.is_empty());
}

#[cfg(unix)]
#[test]
fn a_phoenix_with_its_driver() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let tree = Tree::new();
    tree.device("0000:00:01.0", "0x8086", "0x1502", "0x00");
    tree.device("0000:c5:00.0", "0x1022", "0x15bf", "0xc8");
    tree.device("0000:c5:00.1", "0x1022", "0x1502", "0x00");
    let folder = "/sys/bus/pci/devices/0000:c5:00.1";
    tree.folder("/sys/bus/pci/drivers/amdxdna");
    symlink("../../drivers/amdxdna", tree.path(folder).join("driver")).unwrap();
    tree.write(&format!("{folder}/fw_version"), "1.5.5.391\n");
    tree.folder(&format!("{folder}/accel/accel0"));
    tree.write("/dev/accel/accel0", "");
    tree.write("/sys/module/amdxdna/version", "0.1\n");
    tree.write("/proc/sys/kernel/osrelease", "6.14.0-27-generic\n");
    let group = fs::metadata(tree.path("/dev/accel/accel0")).unwrap().gid();
    tree.write("/etc/group", &format!("users:x:4294967290:bob\nrender:x:{group}:ada,eve\n"));

    let facts = tree.read();
    assert_eq!(facts.kernel.as_deref(), Some("6.14.0-27-generic"));
    assert_eq!(facts.driver.unwrap().version.as_deref(), Some("0.1"));
    assert_eq!(facts.npus.len(), 1, "neither another vendor's device nor another device of AMD's");
    let npu = &facts.npus[0];
    assert_eq!((npu.address.as_str(), npu.device, npu.revision), ("0000:c5:00.1", 0x1502, 0));
    assert_eq!((npu.driver.as_deref(), npu.firmware.as_deref()), (Some("amdxdna"), Some("1.5.5.391")));
    let node = npu.node.as_ref().unwrap();
    assert_eq!(
        (node.path.as_path(), node.exists, &node.opens),
        (Path::new("/dev/accel/accel0"), true, &Ok(()))
    );
    let group = node.group.as_ref().unwrap();
    assert_eq!(
        (group.name.as_deref(), &group.members[..]),
        (Some("render"), &["ada".into(), "eve".into()][..])
    );
}

#[cfg(unix)]
#[test]
fn nodes_that_do_not_open() {
    use std::os::unix::fs::PermissionsExt;
    let tree = Tree::new();
    let system = tree.system(&[]);
    let gone = node::look(&system, Path::new("/dev/accel/accel0"));
    assert_eq!((gone.exists, gone.group), (false, None));
    assert!(matches!(gone.opens, Err(Refusal::Other(_))));
    // A folder opens for nobody; what permissions refuse, the superuser opens all the same.
    tree.folder("/dev/accel/accel1");
    let folder = node::look(&system, Path::new("/dev/accel/accel1"));
    assert!(folder.exists && matches!(folder.opens, Err(Refusal::Other(_))), "{folder:?}");
    tree.write("/dev/accel/accel2", "");
    let path = tree.path("/dev/accel/accel2");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let refused = node::look(&system, Path::new("/dev/accel/accel2"));
    let superuser = fs::File::open(&path).is_ok();
    assert_eq!(refused.opens, if superuser { Ok(()) } else { Err(Refusal::Permission) });
}

#[test]
fn a_driver_without_a_module_folder_counts() {
    let tree = Tree::new();
    tree.folder("/sys/bus/pci/drivers/amdxdna");
    tree.device("0000:c5:00.1", "0x1022", "0x17f0", "0x11");
    let facts = tree.read();
    assert_eq!(facts.driver, Some(Driver { version: None }));
    let npu = &facts.npus[0];
    assert_eq!((npu.revision, &npu.driver, &npu.node, &npu.firmware), (0x11, &None, &None, &None));
}

#[test]
fn who_runs_it_and_what_it_may_lock() {
    let tree = Tree::new();
    tree.write("/proc/self/status", "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t100\nGroups:\t4 27 992 \nCapEff:\t0000000000000000\n");
    tree.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/bash\n");
    tree.write(
        "/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max processes             127                  unlimited            processes \n\
         Max locked memory         8388608              unlimited            bytes     \n",
    );
    let facts = tree.read();
    assert_eq!(
        facts.user,
        User { name: Some("ada".into()), groups: vec![4, 27, 992, 100], locks_freely: false }
    );
    assert_eq!(facts.memlock, Some(Limit { soft: Some(8 << 20), hard: None }));
    tree.write("/proc/self/status", "CapEff:\t0000000000004000\n");
    tree.write("/proc/self/limits", "Max locked memory unlimited");
    let facts = tree.read();
    assert_eq!((facts.user.locks_freely, facts.memlock), (true, None));
}

#[test]
fn libraries_where_the_loader_looks_come_first() {
    let tree = Tree::new();
    for name in
        ["libxrt_coreutil.so", "libxrt_coreutil.so.2", "libxrt_coreutil.so.2.21.75", "libxrt_coreutil.sox"]
    {
        tree.write(&format!("/opt/xilinx/xrt/lib/{name}"), "");
    }
    tree.write("/opt/xilinx/xrt/lib/libxrt_driver_xdna.so.2", "");
    let brief = |libraries: Vec<Library>| -> Vec<(Part, String, Option<String>, bool)> {
        let path = |library: &Library| library.path.display().to_string();
        libraries.into_iter().map(|one| (one.part, path(&one), one.version.clone(), one.searched)).collect()
    };
    let own = |searched| {
        let folder = "/opt/xilinx/xrt/lib/";
        vec![
            (Part::Runtime, format!("{folder}libxrt_coreutil.so.2.21.75"), Some("2.21.75".into()), searched),
            (Part::Plugin, format!("{folder}libxrt_driver_xdna.so.2"), Some("2".into()), searched),
        ]
    };
    assert_eq!(brief(tree.read().libraries), own(false));
    // Each way to tell the loader.
    let told = tree.system(&[("LD_LIBRARY_PATH", "/nowhere:/opt/xilinx/xrt/lib")]);
    assert_eq!(brief(told.read().libraries), own(true));
    tree.write("/etc/ld.so.conf.d/xrt.conf", "# XRT\n/opt/xilinx/xrt/lib\n");
    assert_eq!(brief(tree.read().libraries), own(true));
    tree.write("/usr/lib/x86_64-linux-gnu/libxrt_coreutil.so.2.19.0", "");
    fs::remove_file(tree.path("/etc/ld.so.conf.d/xrt.conf")).unwrap();
    let first = &tree.read().libraries[0];
    assert_eq!((first.version.as_deref(), first.searched), (Some("2.19.0"), true));
    // That of the runtime which the loader has taken is the only one that counts.
    let taken = libraries::find(&tree.system(&[]), Some("/opt/xilinx/xrt/lib".into()));
    assert_eq!(brief(taken), own(true));
    // Another place of its own.
    tree.write("/home/me/xrt/lib/libxrt_coreutil.so", "");
    let moved = tree.system(&[("XILINX_XRT", "/home/me/xrt")]).read().libraries;
    assert_eq!(moved.last().map(|library| (library.version.clone(), library.searched)), Some((None, false)));
}

#[test]
fn compilers_by_name_and_by_wish() {
    let tree = Tree::new();
    tree.write("/usr/bin/g++", "");
    tree.write("/opt/llvm/bin/clang++", "");
    let compiler = |variables: &[(&'static str, &str)]| tree.system(variables).compiler();
    let path = ("PATH", "/usr/bin:/opt/llvm/bin");
    assert_eq!(compiler(&[path]), Some("/usr/bin/g++".into()));
    assert_eq!(compiler(&[path, ("CXX", "clang++ -stdlib=libc++")]), Some("/opt/llvm/bin/clang++".into()));
    assert_eq!(compiler(&[("CXX", "/usr/bin/g++")]), Some("/usr/bin/g++".into()));
    assert_eq!(compiler(&[path, ("CXX", "icpx")]), None, "a wish is not replaced");
    assert_eq!(compiler(&[path, ("CXX", "")]), Some("/usr/bin/g++".into()), "an empty wish is none");
    assert_eq!(compiler(&[]), None);
}

#[test]
fn kernels_are_found_where_they_are_built_and_installed() {
    let tree = Tree::new();
    tree.write("/repo/kernels/images/aie2/index.toml", "");
    tree.folder("/repo/kernels/images/aie2p");
    tree.folder("/repo/images/holidays");
    tree.write("/data/transcribe/images/aie2p/index.toml", "");
    let mut system = tree.system(&[]);
    system.surroundings.exe_dir = Some(tree.path("/repo/target/release"));
    system.surroundings.data_dir = Some(tree.path("/data/transcribe/models"));
    let want = [
        Images { root: tree.path("/repo/kernels/images"), indexed: vec!["aie2".into()] },
        Images { root: tree.path("/data/transcribe/images"), indexed: vec!["aie2p".into()] },
    ];
    assert_eq!(system.read().images, want);
    system.surroundings.exe_dir = None;
    system.surroundings.current_dir = Some(tree.path("/repo"));
    assert_eq!(system.read().images[0].root, tree.path("/repo/kernels/images"));
}

#[test]
fn a_model_is_opened_as_far_as_its_header() {
    let tree = Tree::new();
    let folder = format!("/data/models/{}", model::locate::BUNDLED);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        tree.write(&format!("{folder}/{file}"), "nonsense");
    }
    let mut system = tree.system(&[]);
    system.surroundings.data_dir = Some(tree.path("/data/models"));
    let (why, fix) = system.read().model.unwrap_err();
    assert!(why.contains("config.json") && !fix.is_empty(), "{why} | {fix}");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    system.surroundings.data_dir = Some(repository.join("models"));
    assert_eq!(system.read().model, Ok(repository.join("models").join(model::locate::BUNDLED)));
}
