//! The instruction stream of one launch of a streamed image, as data: which taps each channel of the array moves.
//!
//! It says what the runtime sequence of the IRON design says: fills of memtiles from DDR, each sent to the cores
//! `replay` times, and drains from memtiles to DDR. Everything else (operation, counts, bias) travels in band. Words:
//!
//! ```text
//! 0 magic · 1 version · 2 columns · 3 rows · 4 segments · 5 drains · then each segment and each drain, 13 words:
//! channel | argument | offset | run | 4 × (size, stride) | replay          (bytes; a drain's replay is 1)
//! ```

use crate::kernel::fingerprint::Fingerprint;
use crate::kernel::tap::{MAX_DIMS, Tap, TapDim};

const MAGIC: u32 = 0x4E50_5553;
const VERSION: u32 = 1;
const HEADER_WORDS: usize = 6;
const ENTRY_WORDS: usize = 5 + 2 * MAX_DIMS;
/// No array has more rows or columns; a longer count is damage.
const MAX_SIDE: u32 = 64;

/// Where a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Broadcast along this row of cores.
    A(u32),
    /// Broadcast down this column of cores.
    B(u32),
}

/// A fill: DDR to a memtile, which sends it to its cores `replay` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it goes.
    pub channel: Channel,
    /// What is read.
    pub tap: Tap,
    /// How often the memtile sends it; DDR is read once.
    pub replay: u32,
}

/// A drain: the joined outputs of a column of cores to DDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The column.
    pub column: u32,
    /// What is written.
    pub tap: Tap,
}

/// One launch. Segments of one channel are sent in their order; drains of one column likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Columns of cores used.
    pub columns: u32,
    /// Rows of cores used.
    pub rows: u32,
    /// Fills.
    pub segments: Vec<Segment>,
    /// Drains.
    pub drains: Vec<Drain>,
}

/// Channel A has the low numbers, B the ones from here.
const B_CHANNELS: u32 = 0x100;
const DRAIN: u32 = 0x200;

impl Program {
    /// As words.
    #[must_use]
    pub fn encode(&self) -> Vec<u32> {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let mut words = vec![
            MAGIC,
            VERSION,
            self.columns,
            self.rows,
            count(self.segments.len()),
            count(self.drains.len()),
        ];
        for segment in &self.segments {
            let channel = match segment.channel {
                Channel::A(row) => row,
                Channel::B(column) => B_CHANNELS + column,
            };
            push(&mut words, channel, &segment.tap, segment.replay);
        }
        for drain in &self.drains {
            push(&mut words, DRAIN + drain.column, &drain.tap, 1);
        }
        words
    }

    /// The same launch with its entries in the order of their channels. Only the order within a channel matters.
    #[must_use]
    pub fn by_channel(&self) -> Self {
        let mut sorted = self.clone();
        sorted.segments.sort_by_key(|segment| segment.channel);
        sorted.drains.sort_by_key(|drain| drain.column);
        sorted
    }

    /// Names what the launch does, whatever the order between its channels: built instructions are found by it
    /// (`kernels/designs/program.py` makes the same).
    #[must_use]
    pub fn key(&self) -> String {
        let words = self.by_channel().encode();
        words.iter().fold(Fingerprint::new(), |hash, word| hash.bytes(&word.to_le_bytes())).hex()
    }

    /// From words.
    ///
    /// # Errors
    /// What is wrong with them, as text.
    pub fn decode(words: &[u32]) -> Result<Self, String> {
        let [magic, version, columns, rows, segments, drains, ..] = *words else {
            return Err(format!("a stream of {} words has no header", words.len()));
        };
        if magic != MAGIC || version != VERSION {
            return Err(format!("a stream of magic {magic:#x}, version {version} is not of this version"));
        }
        if columns == 0 || rows == 0 || columns > MAX_SIDE || rows > MAX_SIDE {
            return Err(format!("a stream for {columns} columns of {rows} cores"));
        }
        let entries = u64::from(segments) + u64::from(drains);
        if words.len() as u64 != HEADER_WORDS as u64 + entries * ENTRY_WORDS as u64 {
            return Err(format!("{} words do not hold {segments} fills and {drains} drains", words.len()));
        }
        let mut program = Self { columns, rows, ..Self::default() };
        for (index, entry) in words[HEADER_WORDS..].chunks_exact(ENTRY_WORDS).enumerate() {
            let (channel, tap, replay) = pull(entry);
            let (side, number) = (channel & !0xFF, channel & 0xFF);
            let limit = if side == 0 { rows } else { columns };
            if number >= limit || tap.runs() == 0 || tap.run_bytes == 0 || replay == 0 {
                return Err(format!("entry {index}: channel {channel:#x}, replay {replay}, {tap:?}"));
            }
            match (side, (index as u64) < u64::from(segments)) {
                (0, true) => program.segments.push(Segment { channel: Channel::A(number), tap, replay }),
                (B_CHANNELS, true) => {
                    program.segments.push(Segment { channel: Channel::B(number), tap, replay });
                }
                (DRAIN, false) => program.drains.push(Drain { column: number, tap }),
                _ => return Err(format!("entry {index} has channel {channel:#x}")),
            }
        }
        Ok(program)
    }
}

fn push(words: &mut Vec<u32>, channel: u32, tap: &Tap, replay: u32) {
    words.extend([channel, tap.argument, tap.offset_bytes, tap.run_bytes]);
    words.extend(tap.dims.iter().flat_map(|dim| [dim.size, dim.stride_bytes]));
    words.push(replay);
}

fn pull(entry: &[u32]) -> (u32, Tap, u32) {
    let mut dims = [TapDim::default(); MAX_DIMS];
    for (dim, pair) in dims.iter_mut().zip(entry[4..].chunks_exact(2)) {
        *dim = TapDim { size: pair[0], stride_bytes: pair[1] };
    }
    let tap = Tap { argument: entry[1], offset_bytes: entry[2], run_bytes: entry[3], dims };
    (entry[0], tap, entry[ENTRY_WORDS - 1])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn program() -> Program {
        Program {
            columns: 4,
            rows: 4,
            segments: vec![
                Segment {
                    channel: Channel::A(3),
                    tap: Tap::nested(0, 64, 256, &[(4, 256), (64, 1024)]),
                    replay: 8,
                },
                Segment { channel: Channel::B(0), tap: Tap::linear(1, 0, 4096), replay: 1 },
            ],
            drains: vec![Drain { column: 2, tap: Tap::nested(2, 128, 128, &[(256, 1024)]) }],
        }
    }

    #[test]
    fn words_go_both_ways() {
        assert_eq!(Program::decode(&program().encode()).unwrap(), program());
    }

    #[test]
    fn a_key_sees_the_order_within_a_channel_alone() {
        let mut program = program();
        program.segments.push(Segment { channel: Channel::B(0), tap: Tap::linear(1, 4096, 4096), replay: 1 });
        let key = program.key();
        program.segments.swap(0, 1);
        assert_eq!(program.key(), key);
        program.segments.swap(0, 2);
        assert_ne!(program.key(), key);
    }

    #[test]
    fn damage_is_told_and_never_a_panic() {
        let words = program().encode();
        for cut in 0..words.len() {
            assert!(Program::decode(&words[..cut]).is_err(), "cut to {cut}");
        }
        for (at, value) in
            [(0, 1), (1, 9), (2, 0), (2, 2), (3, 99), (4, u32::MAX), (6, 0x204), (9, 0), (18, 0)]
        {
            let mut broken = words.clone();
            broken[at] = value;
            assert!(Program::decode(&broken).is_err(), "word {at} = {value}");
        }
    }
}
