//! The files of the PCI function, in a temporary folder to which the program's paths are redirected.
//!
//! What XRT and `xrt-smi` look at (XRT:src/runtime_src/core/pcie/linux, XDNA:src/shim): the driver's folder with a
//! symlink to the function, the function's attributes, and the node.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The node.
pub(crate) const NODE: &CStr = c"/dev/accel/accel0";
const NODE_PATH: &str = "/dev/accel/accel0";

/// Domain, bus, device and function of the double, as on many laptops with Phoenix.
const ADDRESS: &str = "0000:c5:00.1";
const FUNCTION: &str = "/sys/devices/pci0000:00/0000:00:08.2/0000:c5:00.1";

/// Whatever lies below these is the double's.
const ROOTS: [&str; 5] = [
    "/sys/bus/pci/drivers/amdxdna",
    "/sys/bus/pci/devices/0000:c5:00.1",
    FUNCTION,
    "/sys/module/amdxdna",
    "/dev/accel",
];

/// Name and content of the function's attributes (a Phoenix laptop's).
const ATTRIBUTES: [(&str, &str); 12] = [
    ("vendor", "0x1022"),
    ("device", "0x1502"),
    ("revision", "0x00"),
    ("subsystem_vendor", "0x1022"),
    ("subsystem_device", "0x1502"),
    ("class", "0x118000"),
    ("device_type", "0"),
    ("vbnv", "RyzenAI-npu1"),
    ("fw_version", "1.5.5.391"),
    ("link_width", "16"),
    ("link_speed", "16.0 GT/s PCIe"),
    ("resource", "0x0000000090a00000 0x0000000090afffff 0x0000000000040200"),
];

/// The path where the double keeps what the program looks for at `path`; `None` if that is not the device's.
pub(crate) fn redirect(path: &CStr) -> Option<CString> {
    let text = path.to_str().ok()?;
    // XRT joins paths with double slashes now and then.
    if !text.starts_with("/sys/") && !text.starts_with("/dev/") {
        return None;
    }
    let plain = if text.contains("//") {
        text.split('/').filter(|part| !part.is_empty()).fold(String::new(), |path, part| path + "/" + part)
    } else {
        text.to_owned()
    };
    let ours = ROOTS
        .iter()
        .any(|root| plain.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if !ours {
        return None;
    }
    CString::new(format!("{}{plain}", folder()?.to_str()?)).ok()
}

/// The path that the program shall see instead of one below the double's folder.
pub(crate) fn shown(path: &CStr) -> Option<CString> {
    let root = FOLDER.get()?.as_ref()?.to_str()?;
    CString::new(path.to_str().ok()?.strip_prefix(root)?).ok()
}

/// Takes the function and its node away.
pub(crate) fn remove() {
    let Some(folder) = folder() else { return };
    for path in [NODE_PATH.to_owned(), format!("/sys/bus/pci/drivers/amdxdna/{ADDRESS}")] {
        // It may have gone before.
        std::fs::remove_file(below(folder, &path)).ok();
    }
}

/// Puts back what `remove` took.
pub(crate) fn restore() {
    let Some(folder) = folder() else { return };
    let link = below(folder, &format!("/sys/bus/pci/drivers/amdxdna/{ADDRESS}"));
    if !link.exists() {
        // Without them XRT finds no device, which is what the test will say.
        symlink(below(folder, FUNCTION), link).ok();
        std::fs::write(below(folder, NODE_PATH), "").ok();
    }
}

static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The folder, made when it is first needed; `None` if that failed, and then there is no device.
fn folder() -> Option<&'static PathBuf> {
    FOLDER
        .get_or_init(|| {
            let folder = std::env::temp_dir().join(format!("amdxdna-double-{}", std::process::id()));
            let no_node = crate::settings::Settings::read().is_ok_and(|settings| settings.no_node);
            make(&folder, !no_node).ok()?;
            crate::driver::at_exit(remove_folder);
            // Symlinks of the folder itself are resolved, so that `shown` recognises what `realpath` says.
            folder.canonicalize().ok()
        })
        .as_ref()
}

extern "C" fn remove_folder() {
    if let Some(Some(folder)) = FOLDER.get() {
        std::fs::remove_dir_all(folder).ok();
    }
}

fn make(folder: &Path, node: bool) -> io::Result<()> {
    // Of a process that had this number before and was killed.
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let create = |path: &str| std::fs::create_dir_all(below(folder, path));
    for path in ["/sys/bus/pci/drivers/amdxdna", "/sys/bus/pci/devices", "/sys/module/amdxdna", "/dev/accel"]
    {
        create(path)?;
    }
    create(&format!("{FUNCTION}/accel/accel0"))?;
    for (name, content) in ATTRIBUTES {
        std::fs::write(below(folder, &format!("{FUNCTION}/{name}")), format!("{content}\n"))?;
    }
    std::fs::write(below(folder, &format!("{FUNCTION}/config")), config_space())?;
    std::fs::write(below(folder, "/sys/module/amdxdna/version"), "double\n")?;
    for link in [format!("/sys/bus/pci/drivers/amdxdna/{ADDRESS}"), format!("/sys/bus/pci/devices/{ADDRESS}")]
    {
        symlink(below(folder, FUNCTION), below(folder, &link))?;
    }
    if node {
        std::fs::write(below(folder, NODE_PATH), "")?;
    }
    Ok(())
}

/// The head of the function's configuration space: vendor, device, class.
fn config_space() -> [u8; 64] {
    let mut space = [0; 64];
    space[0..4].copy_from_slice(&[0x22, 0x10, 0x02, 0x15]);
    space[9..12].copy_from_slice(&[0x00, 0x80, 0x11]);
    space
}

fn below(folder: &Path, absolute: &str) -> PathBuf {
    folder.join(absolute.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_the_devices_paths_are_redirected() {
        for path in [
            c"/sys/bus/pci/drivers/amdxdna",
            c"/sys/bus/pci/drivers/amdxdna/0000:c5:00.1",
            c"/sys/bus/pci/devices/0000:c5:00.1/device_type",
            c"/sys/bus/pci/devices//0000:c5:00.1//accel",
            c"/dev/accel/accel0",
        ] {
            let there = redirect(path).unwrap();
            assert!(Path::new(there.to_str().unwrap()).exists(), "{path:?} ▸ {there:?}");
        }
        for path in [
            c"/sys/bus/pci/drivers/amdxdna2",
            c"/sys/bus/pci/drivers/xocl",
            c"/dev/accelerator",
            c"dev/accel",
            c"/",
        ] {
            assert_eq!(redirect(path), None, "{path:?}");
        }
    }

    #[test]
    fn the_function_resolves_to_its_place_below_sys_devices() {
        let link = redirect(c"/sys/bus/pci/drivers/amdxdna/0000:c5:00.1").unwrap();
        let real = std::fs::canonicalize(link.to_str().unwrap()).unwrap();
        let real = CString::new(real.to_str().unwrap()).unwrap();
        assert_eq!(shown(&real).unwrap().to_str().unwrap(), FUNCTION);
        assert_eq!(shown(c"/usr/lib"), None);
    }
}
