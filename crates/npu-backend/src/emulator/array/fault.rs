//! What can go wrong on the array while a launch runs.

use std::fmt;

/// A stream of objects, as faults name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Port {
    /// Broadcast along this row.
    A(u32),
    /// Broadcast down this column.
    B(u32),
    /// From the cores of this column to DDR.
    C(u32),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(row) => write!(f, "the A stream of row {row}"),
            Self::B(column) => write!(f, "the B stream of column {column}"),
            Self::C(column) => write!(f, "the C stream of column {column}"),
        }
    }
}

/// A core by its place among the usable ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Core {
    /// From the memtile upwards, from 0.
    pub(crate) row: u32,
    /// From the first usable column, from 0.
    pub(crate) column: u32,
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core (row {}, column {})", self.row, self.column)
    }
}

/// Why a launch did not run to its end. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArrayFault {
    /// Someone waits for an object that never comes: on silicon, until the driver's recovery.
    #[error("{waiter} waits for object {object} of {port} ({what}), which has {available}: a hang")]
    Hang {
        /// Who waits.
        waiter: String,
        /// On what.
        port: Port,
        /// Number of the object waited for, from 0.
        object: usize,
        /// Objects that the stream has.
        available: usize,
        /// What it was to be.
        what: &'static str,
    },
    /// Objects are left at the end: on silicon they would be taken for those of the next launch.
    #[error("{port} has {left} objects that nobody takes, the first is number {object}")]
    Unconsumed {
        /// The stream.
        port: Port,
        /// Number of the first object left, from 0.
        object: usize,
        /// How many are left.
        left: usize,
    },
    /// A tap leaves its argument. On silicon the DMA would read or write someone else's memory.
    #[error("a tap of {port} ends at byte {end_bytes} of argument {argument}, which has {len_bytes}")]
    OutOfRange {
        /// The stream that it serves.
        port: Port,
        /// Number of the argument, from 0.
        argument: u32,
        /// One past the last byte of the tap; `usize::MAX` if that is not an address.
        end_bytes: usize,
        /// Bytes of the argument; 0 if the launch has no such argument.
        len_bytes: usize,
    },
    /// A parameter object that no core can follow: the stream is out of step, or was packed wrongly.
    #[error("{core} takes object {object} of its B stream for parameters: {why}")]
    Parameters {
        /// The core.
        core: Core,
        /// Number of the object, from 0.
        object: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The image has no such entry.
    #[error("the image has {entries} entries, none is number {entry}")]
    NoEntry {
        /// The one asked for.
        entry: usize,
        /// How many there are.
        entries: usize,
    },
}
