//! The two byte copies of one buffer, kept apart by cache lines as an incoherent device keeps them.
//!
//! Main memory is what the device sees. The host sees its caches: a line that it has written is *dirty* until it is
//! written back, a line that the device has written since it was fetched is *stale* until it is fetched again. On
//! silicon push and pull are both `clflush` (XDNA:src/shim/buffer.cpp): dirty lines are written back, then forgotten.
//! So a pull of a dirty line overwrites what the device wrote; so does an eviction at any moment.

use std::ops::Range;

use crate::device::LINE_BYTES;
use crate::emulator::random::Random;
use crate::kernel::Tap;

/// What stale lines hold in strict mode, again and again: not a number as bf16 and f32, far from 0 as int8.
pub(super) const POISON: [u8; 2] = [0xDB, 0x7F];

/// Lines of each buffer that one disturbance looks at.
const DISTURBED_LINES: usize = 8;

/// Two copies, and the host's lines as they were when they last came from memory or went there.
#[derive(Debug, Default)]
pub(super) struct Lines {
    host: Vec<u8>,
    /// A host line that differs from its line here is dirty.
    fetched: Vec<u8>,
    device: Vec<u8>,
    /// Whether the host may have written since it was last known to have no dirty line.
    touched: bool,
}

impl Lines {
    /// `len_bytes` zeros in both copies; `None` if this machine has no memory for them.
    pub(super) fn zeros(len_bytes: usize) -> Option<Self> {
        let zeros = || {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(len_bytes).ok()?;
            bytes.resize(len_bytes, 0);
            Some(bytes)
        };
        Some(Self { host: zeros()?, fetched: zeros()?, device: zeros()?, touched: false })
    }

    pub(super) fn host(&self) -> &[u8] {
        &self.host
    }

    pub(super) fn host_mut(&mut self) -> &mut [u8] {
        self.touched = true;
        &mut self.host
    }

    pub(super) fn device(&self) -> &[u8] {
        &self.device
    }

    /// Makes memory equal the host's lines that `range` touches.
    pub(super) fn push(&mut self, range: Range<usize>) {
        let range = self.whole_lines(range);
        if range.len() == self.host.len() {
            self.touched = false;
        }
        self.device[range.clone()].copy_from_slice(&self.host[range.clone()]);
        self.fetched[range.clone()].copy_from_slice(&self.host[range]);
    }

    /// Makes the host's lines that `range` touches equal memory, after writing back the dirty ones among them.
    pub(super) fn pull(&mut self, range: Range<usize>) {
        let range = self.whole_lines(range);
        if self.touched {
            for line in lines_of(range.clone()) {
                self.write_back(line.start..line.end.min(range.end));
            }
        }
        self.host[range.clone()].copy_from_slice(&self.device[range.clone()]);
        self.fetched[range.clone()].copy_from_slice(&self.device[range]);
    }

    /// A launch writes `bytes` along `tap`; `false`, and nothing is written, if the walk leaves the buffer.
    ///
    /// With `poison` the host's lines that were clean are stale for all to see, until a pull.
    pub(super) fn device_write(&mut self, tap: &Tap, bytes: &[u8], poison: bool) -> bool {
        if !tap.scatter(bytes, &mut self.device) {
            return false;
        }
        if poison {
            let mut done = 0..0;
            for run in tap.ranges() {
                let lines = self.whole_lines(run);
                if lines != done {
                    self.poison_host(lines.clone());
                    done = lines;
                }
            }
        }
        true
    }

    /// Replaces by poison what memory holds of lines that the host has written and not pushed.
    pub(super) fn poison_unpushed(&mut self) {
        if !self.touched {
            return;
        }
        self.touched = false;
        for line in lines_of(0..self.host.len()) {
            let line = line.start..line.end.min(self.host.len());
            if self.is_dirty(&line) {
                self.touched = true;
                fill_poison(&mut self.device[line.clone()], line.start);
            }
        }
    }

    /// What caches may do at any moment: some dirty lines are written back, some clean ones fetched again.
    pub(super) fn disturb(&mut self, random: &mut Random) {
        let lines = self.host.len().div_ceil(LINE_BYTES);
        for _ in 0..DISTURBED_LINES {
            let start = random.below(lines) * LINE_BYTES;
            let line = self.whole_lines(start..start + 1);
            self.write_back(line.clone());
            self.host[line.clone()].copy_from_slice(&self.device[line.clone()]);
            self.fetched[line.clone()].copy_from_slice(&self.device[line]);
        }
    }

    fn is_dirty(&self, line: &Range<usize>) -> bool {
        self.host[line.clone()] != self.fetched[line.clone()]
    }

    fn write_back(&mut self, line: Range<usize>) {
        if self.is_dirty(&line) {
            self.device[line.clone()].copy_from_slice(&self.host[line]);
        }
    }

    fn poison_host(&mut self, range: Range<usize>) {
        if !self.touched {
            fill_poison(&mut self.host[range.clone()], range.start);
            fill_poison(&mut self.fetched[range.clone()], range.start);
            return;
        }
        for line in lines_of(range.clone()) {
            let line = line.start..line.end.min(range.end);
            if !self.is_dirty(&line) {
                fill_poison(&mut self.host[line.clone()], line.start);
                fill_poison(&mut self.fetched[line.clone()], line.start);
            }
        }
    }

    /// The lines that `range` touches, as bytes; the last line of a buffer may be short.
    fn whole_lines(&self, range: Range<usize>) -> Range<usize> {
        let start = range.start / LINE_BYTES * LINE_BYTES;
        let end = range.end.div_ceil(LINE_BYTES) * LINE_BYTES;
        start.min(self.host.len())..end.min(self.host.len())
    }
}

/// The lines of a range that begins at a line.
fn lines_of(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    range.step_by(LINE_BYTES).map(|start| start..start + LINE_BYTES)
}

/// Fills with [`POISON`] as it stands from offset `start` of a buffer.
fn fill_poison(bytes: &mut [u8], start: usize) {
    for (index, byte) in (start..).zip(bytes) {
        *byte = POISON[index % POISON.len()];
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn lines(len: usize) -> Lines {
        Lines::zeros(len).unwrap()
    }

    fn poisoned(bytes: &[u8]) -> bool {
        bytes.iter().enumerate().all(|(index, &byte)| byte == POISON[index % 2])
    }

    #[test]
    fn poison_is_not_a_number_in_either_float() {
        assert!(half::bf16::from_le_bytes(POISON).is_nan());
        assert!(f32::from_le_bytes([POISON[0], POISON[1], POISON[0], POISON[1]]).is_nan());
    }

    #[test]
    fn push_and_pull_move_whole_lines() {
        let mut it = lines(200);
        it.host_mut().fill(7);
        it.push(70..71);
        assert_eq!(&it.device()[..64], [0; 64]);
        assert_eq!(&it.device()[64..128], [7; 64]);
        assert_eq!(&it.device()[128..], [0; 72]);
        // The last line is short: 192..200.
        it.push(199..200);
        assert_eq!((it.device()[191], it.device()[192]), (0, 7));
    }

    #[test]
    fn a_launch_leaves_poison_on_the_host_until_pulled() {
        let mut it = lines(256);
        assert!(it.device_write(&Tap::linear(0, 70, 2), &[1, 2], true));
        assert_eq!(&it.host()[..64], [0; 64]);
        assert!(poisoned(&it.host()[64..128]));
        assert_eq!(&it.host()[128..], [0; 128]);
        it.pull(64..65);
        assert_eq!((it.host()[69], it.host()[70], it.host()[71]), (0, 1, 2));
    }

    #[test]
    fn what_was_not_pushed_is_poison_to_a_launch_and_only_that() {
        let mut it = lines(256);
        it.host_mut()[10] = 1;
        it.host_mut()[200] = 1;
        it.push(0..64);
        it.poison_unpushed();
        assert_eq!(it.device()[10], 1);
        assert_eq!(&it.device()[64..192], [0; 128]);
        assert!(poisoned(&it.device()[192..]));
        // Pushed at last, it is whole again.
        it.push(192..256);
        assert_eq!((it.device()[200], it.device()[201]), (1, 0));
    }

    #[test]
    fn pulling_a_dirty_line_overwrites_what_the_launch_wrote() {
        let mut it = lines(128);
        it.host_mut()[0] = 9;
        assert!(it.device_write(&Tap::linear(0, 0, 128), &[5; 128], true));
        it.pull(0..128);
        assert_eq!((it.host()[0], it.host()[1], it.host()[64]), (9, 0, 5));
    }

    #[test]
    fn disturbance_moves_lines_but_never_loses_a_synchronised_byte() {
        let mut it = lines(1000);
        let mut random = Random::new(1);
        it.host_mut().fill(3);
        it.push(0..1000);
        assert!(it.device_write(&Tap::linear(0, 500, 100), &[4; 100], false));
        (0..100).for_each(|_| it.disturb(&mut random));
        it.pull(500..600);
        let want: Vec<u8> = (0..1000).map(|i| if (500..600).contains(&i) { 4 } else { 3 }).collect();
        assert_eq!(it.host(), want);
        assert_eq!(it.device(), want);
    }

    /// What a correct caller or a launch does: bytes from `start`, all of `value`.
    #[derive(Clone, Debug)]
    enum Act {
        /// The host fetches, writes and pushes.
        Host { start: usize, len: usize, value: u8 },
        /// A launch writes.
        Launch { start: usize, len: usize, value: u8 },
        /// The host fetches and looks.
        Look { start: usize, len: usize },
        /// Lines move, or are poisoned, as the mode has it.
        Caches,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let span = (0..SOME, 0..SOME, any::<u8>());
        let act = prop_oneof![
            span.clone().prop_map(|(start, len, value)| Act::Host { start, len, value }),
            span.clone().prop_map(|(start, len, value)| Act::Launch { start, len, value }),
            span.prop_map(|(start, len, _)| Act::Look { start, len }),
            Just(Act::Caches),
        ];
        proptest::collection::vec(act, 1..40)
    }

    const SOME: usize = 300;

    proptest! {
        #[test]
        fn who_keeps_the_rules_sees_one_memory(acts in acts(), strict: bool, seed: u64) {
            let (mut it, mut random, mut truth) = (lines(SOME), Random::new(seed), vec![0; SOME]);
            for act in acts {
                match act {
                    Act::Host { start, len, value } => {
                        let range = start..SOME.min(start + len);
                        it.pull(range.clone());
                        it.host_mut()[range.clone()].fill(value);
                        it.push(range.clone());
                        truth[range].fill(value);
                    }
                    Act::Launch { start, len, value } => {
                        let range = start..SOME.min(start + len);
                        let tap = Tap::linear(0, start as u32, range.len() as u32);
                        prop_assert!(it.device_write(&tap, &vec![value; range.len()], strict));
                        truth[range].fill(value);
                    }
                    Act::Look { start, len } => {
                        let range = start..SOME.min(start + len);
                        it.pull(range.clone());
                        prop_assert_eq!(&it.host()[range.clone()], &truth[range]);
                    }
                    Act::Caches if strict => it.poison_unpushed(),
                    Act::Caches => it.disturb(&mut random),
                }
                prop_assert_eq!(it.device(), &truth[..]);
            }
        }
    }

    #[test]
    fn disturbance_writes_back_some_dirty_lines() {
        let mut it = lines(64 * 100);
        it.host_mut().fill(3);
        it.disturb(&mut Random::new(2));
        let written = it.device().chunks(64).filter(|line| line[0] == 3).count();
        assert!((1..=DISTURBED_LINES).contains(&written), "{written}");
    }
}
