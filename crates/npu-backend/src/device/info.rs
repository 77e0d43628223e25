//! What a device is: generation, geometry, limits.

/// Generation of the array. Images and packed layouts of one are wrong on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// AIE-ML, also called AIE2 or XDNA 1: Phoenix and Hawk Point.
    Aie2,
    /// AIE2P, also called XDNA 2: Strix, Strix Halo, Krackan, Gorgon Point.
    Aie2p,
}

impl Arch {
    /// Its name in folders and files of kernels.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Aie2 => "aie2",
            Self::Aie2p => "aie2p",
        }
    }
}

/// What an open device tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name for people.
    pub name: String,
    /// Generation.
    pub arch: Arch,
    /// Whether this is a model in software: its times are modelled and stand in no table of measurements.
    pub modelled: bool,
    /// Columns that images can use.
    pub columns: usize,
    /// Cores in a column.
    pub cores_per_column: usize,
    /// Memory of a core, bytes.
    pub core_memory_bytes: usize,
    /// Memory of a column's memtile, bytes.
    pub memtile_bytes: usize,
    /// Hardware contexts that can be loaded at a time.
    pub contexts: usize,
    /// Launches that the driver chains in one submission; longer batches are cut by the device.
    pub launches_per_chain: usize,
    /// Submissions that a context queues before [`submit`](crate::Device::submit) blocks.
    pub queued_submissions: usize,
}

impl DeviceInfo {
    /// Cores that images can use.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.columns * self.cores_per_column
    }
}
