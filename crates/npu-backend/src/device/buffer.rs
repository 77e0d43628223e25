//! Memory that host and device both see, each through its own copy.

/// The name of a buffer; ids are not used again during the life of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u64);

/// What a buffer is for. Decides its memory and what launches may do to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BufferRole {
    /// Written by the host, read by launches.
    Input,
    /// Written by launches, read by the host.
    Output,
    /// As [`Self::Input`], but written once and resident: packed weights.
    Weight,
    /// Written by one launch and read by a later one; the host need not see it.
    Scratch,
}

impl BufferRole {
    /// Whether launches write it.
    #[must_use]
    pub fn device_writes(self) -> bool {
        matches!(self, Self::Output | Self::Scratch)
    }

    /// Whether a buffer of this role can stand for an argument that a kernel declares as `declared`.
    ///
    /// A scratch buffer stands for inputs and outputs, so that launches can be chained without the host.
    #[must_use]
    pub fn fits(self, declared: Self) -> bool {
        self == declared || (self == Self::Scratch && declared != Self::Weight)
    }
}

/// The owner's handle of a buffer. It cannot be copied, so it cannot be freed twice; verbs and launches name the buffer
/// by [`Self::id`], and refuse the id of one that is gone.
#[derive(Debug)]
pub struct Buffer {
    id: BufferId,
    len_bytes: usize,
    role: BufferRole,
}

impl Buffer {
    /// For implementors of [`Device`](crate::Device): a handle for memory just made.
    #[must_use]
    pub fn new(id: BufferId, len_bytes: usize, role: BufferRole) -> Self {
        Self { id, len_bytes, role }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> BufferId {
        self.id
    }

    /// Its length as asked for, bytes; the device may hold more.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// What it is for.
    #[must_use]
    pub fn role(&self) -> BufferRole {
        self.role
    }
}

#[cfg(test)]
mod tests {
    use super::BufferRole::{Input, Output, Scratch, Weight};

    #[test]
    fn only_scratch_stands_for_another_role() {
        let roles = [Input, Output, Weight, Scratch];
        let fits: Vec<_> = roles.map(|got| roles.map(|declared| got.fits(declared))).into();
        //                        Input  Output Weight Scratch
        assert_eq!(fits[0], [true, false, false, false], "Input");
        assert_eq!(fits[1], [false, true, false, false], "Output");
        assert_eq!(fits[2], [false, false, true, false], "Weight");
        assert_eq!(fits[3], [true, true, false, true], "Scratch");
    }
}
