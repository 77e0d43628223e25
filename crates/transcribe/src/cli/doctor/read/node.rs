//! A device node: whether it is there, whether it opens, and whose it is.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use super::System;
use crate::cli::doctor::facts::{Group, Node, Refusal};

/// Looks at the node; opening it and closing it again does nothing to the device.
pub(super) fn look(system: &System, path: &Path) -> Node {
    let real = system.at(path);
    let metadata = fs::metadata(&real);
    let opens = File::options().read(true).write(true).open(&real).map(drop);
    Node {
        path: path.to_path_buf(),
        exists: metadata.is_ok(),
        opens: opens.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Refusal::Permission,
            _ => Refusal::Other(error.to_string()),
        }),
        group: metadata.ok().as_ref().and_then(group_id).map(|id| group(system, id)),
    }
}

#[cfg(unix)]
fn group_id(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    Some(metadata.gid())
}

#[cfg(not(unix))]
fn group_id(_: &Metadata) -> Option<u32> {
    None
}

/// What `/etc/group` says: `name:password:number:members`.
fn group(system: &System, id: u32) -> Group {
    let groups = system.text("/etc/group").unwrap_or_default();
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        if fields.nth(1)?.parse() != Ok(id) {
            return None;
        }
        let members = fields.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        Some((name, members.map(String::from).collect()))
    });
    let (name, members) = found.map_or((None, Vec::new()), |(name, members)| (Some(name), members));
    Group { id, name, members }
}
