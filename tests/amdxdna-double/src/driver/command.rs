//! Commands as XRT lays them into command objects (XRT:src/runtime_src/core/include/xrt/detail/ert.h), and the driver's
//! answers in them (XDNA:drivers/accel/amdxdna/amdxdna_ctx.c).

use std::sync::atomic::{Ordering, fence};

/// How a command stands: the low four bits of its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum CommandState {
    New = 1,
    Completed = 4,
    Error = 5,
    Abort = 6,
    Timeout = 8,
}

/// What the driver is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// One launch.
    Start(Start),
    /// Launches in other command objects, by their handles.
    Chain(Vec<u32>),
}

/// One launch: number of the compute unit, and its registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) unit: usize,
    pub(super) registers: Vec<u32>,
}

const START_CU: u32 = 0;
const CHAIN: u32 = 19;
/// Words of a chain before its handles: count, index submitted, index of the error, three reserved.
const CHAIN_HEAD: usize = 6;
/// Which of them is the error's index.
const ERROR_INDEX: usize = 2;

impl Command {
    /// Reads a command object.
    ///
    /// # Errors
    /// What the driver would not send to the firmware, as text.
    pub(super) fn parse(object: &[u8]) -> Result<Self, String> {
        let header = word(object, 0).ok_or("a command without a header")?;
        let (opcode, count) = (header >> 23 & 0x1F, (header >> 12 & 0x7FF) as usize);
        let words: Option<Vec<u32>> = (1..=count).map(|index| word(object, index)).collect();
        let words = words.ok_or_else(|| format!("a command of {count} words in {} bytes", object.len()))?;
        match opcode {
            START_CU => {
                let masks = 1 + (header >> 10 & 3) as usize;
                if count <= masks {
                    return Err(format!("a start of {count} words, {masks} of them masks"));
                }
                let unit = (0..).zip(&words[..masks]).find_map(|(index, mask)| {
                    (*mask != 0).then(|| index * 32 + mask.trailing_zeros() as usize)
                });
                let unit = unit.ok_or("a start of no compute unit")?;
                Ok(Self::Start(Start { unit, registers: words[masks..].to_vec() }))
            }
            CHAIN => {
                let handles = words.get(CHAIN_HEAD..).unwrap_or_default().chunks_exact(2);
                let number = words.first().map_or(0, |&number| number as usize);
                if number == 0 || number > handles.len() {
                    return Err(format!("a chain of {number} commands in {count} words"));
                }
                Ok(Self::Chain(handles.take(number).map(|handle| handle[0]).collect()))
            }
            _ => {
                Err(format!("opcode {opcode}: the double knows START_CU and CMD_CHAIN, of the xclbin's flow"))
            }
        }
    }
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    bytes.get(index * 4..index * 4 + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// Writes how a command stands. Programs read this word while it is written, and then what the command wrote.
pub(super) fn set_state(object: &mut [u8], state: CommandState) {
    fence(Ordering::Release);
    if let Some(first) = object.first_mut() {
        *first = *first & 0xF0 | state as u8;
    }
}

/// Says in a command object that launch `index` of it failed. What was in the first launch's own object gives way to the
/// report on the context's health, of which this firmware has none: its words are all ones. So a run that was in a
/// failed submission cannot be started again as it is.
pub(super) fn fail(object: &mut [u8], first: Option<&mut [u8]>, index: usize, state: CommandState) {
    let report = match first {
        Some(first) => {
            let at = (1 + ERROR_INDEX) * 4;
            let index = u32::try_from(index).unwrap_or(0);
            if let Some(place) = object.get_mut(at..at + 4) {
                place.copy_from_slice(&index.to_le_bytes());
            }
            first.get_mut(4..)
        }
        None => object.get_mut(4..),
    };
    if let Some(report) = report {
        report.fill(0xFF);
    }
    set_state(object, state);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn object(opcode: u32, extra_masks: u32, words: &[u32]) -> Vec<u8> {
        let header = opcode << 23 | u32::try_from(words.len()).unwrap() << 12 | extra_masks << 10 | 1;
        let mut bytes: Vec<u8> = [header].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(4096, 0);
        bytes
    }

    #[test]
    fn a_start_names_its_unit_by_the_masks() {
        let start = |unit, registers: &[u32]| Command::Start(Start { unit, registers: registers.to_vec() });
        assert_eq!(Command::parse(&object(0, 0, &[0b100, 3, 0, 7])).unwrap(), start(2, &[3, 0, 7]));
        assert_eq!(Command::parse(&object(0, 1, &[0, 0b1, 9])).unwrap(), start(32, &[9]));
    }

    #[test]
    fn a_chain_names_objects() {
        let words = [2, 0, 0, 0, 0, 0, 11, 0, 12, 0];
        assert_eq!(Command::parse(&object(19, 0, &words)).unwrap(), Command::Chain(vec![11, 12]));
    }

    #[test]
    fn damage_is_told() {
        for bytes in [
            vec![],
            object(0, 0, &[1]),
            object(0, 0, &[0, 1]),
            object(20, 0, &[1, 2]),
            object(19, 0, &[3, 0, 0, 0, 0, 0, 11, 0, 12, 0]),
            object(19, 0, &[]),
            object(0, 0, &[1, 2])[..8].to_vec(),
        ] {
            assert!(Command::parse(&bytes).is_err());
        }
    }

    #[test]
    fn a_failure_stands_in_the_chain_and_takes_the_first_launchs_words() {
        let mut chain = object(19, 0, &[2, 0, 0, 0, 0, 0, 11, 0, 12, 0]);
        let mut first = object(0, 0, &[1, 3, 0]);
        fail(&mut chain, Some(&mut first), 1, CommandState::Error);
        assert_eq!((chain[0] & 0xF, word(&chain, 1 + ERROR_INDEX)), (5, Some(1)));
        assert!(first[0] & 0xF == 1 && first[4..].iter().all(|&byte| byte == 0xFF));
        let mut alone = object(0, 0, &[1, 3, 0]);
        fail(&mut alone, None, 0, CommandState::Timeout);
        assert!(alone[0] & 0xF == 8 && alone[4..].iter().all(|&byte| byte == 0xFF));
        set_state(&mut alone, CommandState::New);
        assert_eq!(alone[0] & 0xF, 1);
    }
}
