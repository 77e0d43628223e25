//! Buffers that were given back and wait for the next that needs their like: making one costs the driver a mapping and
//! locked pages, and a product by itself needs two.

use std::collections::VecDeque;

use crate::device::{Buffer, BufferRole};

/// Bytes kept idle at most: the operands of some layers of the largest model.
const LIMIT_BYTES: usize = 64 << 20;

/// Idle buffers, oldest first.
#[derive(Default)]
pub(super) struct Pool {
    idle: VecDeque<Buffer>,
    bytes: usize,
}

impl Pool {
    /// The buffer of this length and role that was given back last.
    pub(super) fn take(&mut self, len_bytes: usize, role: BufferRole) -> Option<Buffer> {
        let fits = |idle: &Buffer| idle.len_bytes() == len_bytes && idle.role() == role;
        let buffer = self.idle.iter().rposition(fits).and_then(|at| self.idle.remove(at))?;
        self.bytes -= len_bytes;
        Some(buffer)
    }

    /// Keeps a buffer; [`Self::surplus`] says what has to go for it.
    pub(super) fn give(&mut self, buffer: Buffer) {
        self.bytes += buffer.len_bytes();
        self.idle.push_back(buffer);
    }

    /// The oldest buffer, while more bytes are idle than may be.
    pub(super) fn surplus(&mut self) -> Option<Buffer> {
        if self.bytes <= LIMIT_BYTES { None } else { self.oldest() }
    }

    /// The oldest buffer, if there is one.
    pub(super) fn oldest(&mut self) -> Option<Buffer> {
        let buffer = self.idle.pop_front()?;
        self.bytes -= buffer.len_bytes();
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT_BYTES, Pool};
    use crate::device::{Buffer, BufferId, BufferRole};

    fn buffer(id: u64, len_bytes: usize, role: BufferRole) -> Buffer {
        Buffer::new(BufferId(id), len_bytes, role)
    }

    #[test]
    fn only_the_like_is_taken_and_the_last_given_first() {
        let mut pool = Pool::default();
        for id in 0..3 {
            pool.give(buffer(id, 100, BufferRole::Input));
        }
        pool.give(buffer(3, 100, BufferRole::Output));
        let mut take = |len, role| pool.take(len, role).map(|buffer| buffer.id().0);
        assert_eq!(take(99, BufferRole::Input), None);
        assert_eq!(take(100, BufferRole::Scratch), None);
        assert_eq!(take(100, BufferRole::Input), Some(2));
        assert_eq!(take(100, BufferRole::Output), Some(3));
        assert_eq!(take(100, BufferRole::Output), None);
        assert_eq!(pool.bytes, 200);
    }

    #[test]
    fn the_oldest_go_when_too_much_is_idle() {
        let mut pool = Pool::default();
        for id in 0..3 {
            pool.give(buffer(id, LIMIT_BYTES / 2, BufferRole::Input));
        }
        assert_eq!(pool.surplus().map(|buffer| buffer.id().0), Some(0));
        assert!(pool.surplus().is_none());
        assert_eq!(pool.oldest().map(|buffer| buffer.id().0), Some(1));
    }
}
