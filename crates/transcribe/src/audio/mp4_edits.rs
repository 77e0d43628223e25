//! The edit lists of MP4, which symphonia skips: they say where in a track the sound begins and how long it is.
//!
//! Encoders write their delay there (23 ms of AAC by ffmpeg, 44 ms by Apple), so without it every time is late by so much.
//! Boxes and fields: ISO/IEC 14496-12, 8.3.2 `tkhd`, 8.4.2 `mdhd`, 8.2.2 `mvhd`, 8.6.6 `elst`.

use std::io::{Read, Seek, SeekFrom};

/// More than the tables of a day of sound need; beyond it edits are not looked for.
const LONGEST_MOOV: u64 = 64 << 20;

/// The part of a track that is to be heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edit {
    /// The track's id.
    pub(super) track: u32,
    /// Where the sound begins, seconds.
    pub(super) start: f64,
    /// How long it is, seconds; infinite if that is not said.
    pub(super) length: f64,
}

/// Edits of the tracks that have a single one; leaves `source` anywhere.
pub(super) fn read(source: &mut (impl Read + Seek)) -> Vec<Edit> {
    find_moov(source).and_then(|moov| parse(&moov)).unwrap_or_default()
}

fn find_moov(source: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    let mut at = 0u64;
    loop {
        source.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0u8; 16];
        source.read_exact(&mut head[..8]).ok()?;
        let kind = [head[4], head[5], head[6], head[7]];
        if at == 0 && &kind != b"ftyp" {
            return None;
        }
        let (size, header) = match number(&head, 0, 4)? {
            1 => {
                source.read_exact(&mut head[8..]).ok()?;
                (number(&head, 8, 8)?, 16)
            }
            0 => (u64::MAX, 8),
            size => (size, 8),
        };
        let body = size.checked_sub(header)?;
        if &kind == b"moov" {
            let mut moov = Vec::new();
            source.take(body.min(LONGEST_MOOV)).read_to_end(&mut moov).ok()?;
            return Some(moov);
        }
        at = at.checked_add(size)?;
    }
}

fn parse(moov: &[u8]) -> Option<Vec<Edit>> {
    let movie_rate = timescale(child(moov, b"mvhd")?)?;
    Some(
        boxes(moov)
            .filter(|(kind, _)| *kind == b"trak")
            .filter_map(|(_, trak)| edit(trak, movie_rate))
            .collect(),
    )
}

fn edit(trak: &[u8], movie_rate: f64) -> Option<Edit> {
    let header = child(trak, b"tkhd")?;
    let track = number(header, if header.first()? == &1 { 20 } else { 12 }, 4)?;
    let rate = timescale(child(child(trak, b"mdia")?, b"mdhd")?)?;
    let list = child(child(trak, b"edts")?, b"elst")?;
    let width = if list.first()? == &1 { 8 } else { 4 };
    let mut edits = list.get(8..)?.chunks_exact(2 * width + 4).filter_map(|entry| {
        let time = number(entry, width, width)?;
        // −1 is an empty edit: a pause before the sound, which nobody needs to hear.
        (time >> (8 * width - 1) == 0)
            .then_some((number(entry, 0, width)? as f64 / movie_rate, time as f64 / rate))
    });
    let (length, start) = edits.next()?;
    let length = if length > 0.0 { length } else { f64::INFINITY };
    // A track that was cut and joined is played as it is stored.
    edits.next().is_none().then_some(Edit { track: u32::try_from(track).ok()?, start, length })
}

/// Ticks a second of an `mvhd` or `mdhd`.
fn timescale(header: &[u8]) -> Option<f64> {
    let ticks = number(header, if header.first()? == &1 { 20 } else { 12 }, 4)?;
    (ticks > 0).then_some(ticks as f64)
}

/// The big-endian number of `width` bytes at `at`.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(bytes.get(at..at + width)?.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(found, _)| *found == kind).map(|(_, body)| body)
}

/// The boxes that `bytes` consists of: kind and body.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (size, header) = match number(bytes, 0, 4)? {
            1 => (usize::try_from(number(bytes, 8, 8)?).ok()?, 16),
            0 => (bytes.len(), 8),
            size => (usize::try_from(size).ok()?, 8),
        };
        let found = (bytes.get(4..8)?, bytes.get(header..size)?);
        bytes = &bytes[size..];
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    /// A file with one track, number 7, of 44100 ticks a second in a movie of 1000, with these (length, start, rate) edits.
    fn file(edits: &[(u32, i32)]) -> Vec<u8> {
        let clock = |ticks: u32| [&[0; 12][..], &ticks.to_be_bytes()].concat();
        let mut list = vec![0; 4];
        list.extend((edits.len() as u32).to_be_bytes());
        for (length, start) in edits {
            list.extend([&length.to_be_bytes()[..], &start.to_be_bytes(), &[0, 1, 0, 0]].concat());
        }
        let trak = [
            boxed(b"tkhd", &[&[0; 12][..], &7u32.to_be_bytes()].concat()),
            boxed(b"edts", &boxed(b"elst", &list)),
            boxed(b"mdia", &boxed(b"mdhd", &clock(44_100))),
        ];
        let moov = [boxed(b"mvhd", &clock(1000)), boxed(b"trak", &trak.concat())].concat();
        [boxed(b"ftyp", b"M4A "), boxed(b"mdat", &[0; 99]), boxed(b"moov", &moov)].concat()
    }

    #[test]
    fn finds_the_single_edit_of_a_track() {
        let want = |start, length| vec![Edit { track: 7, start, length }];
        let read = |bytes: Vec<u8>| super::read(&mut Cursor::new(bytes));
        assert_eq!(read(file(&[(1500, 1024)])), want(1024.0 / 44_100.0, 1.5));
        assert_eq!(read(file(&[(0, 2112)])), want(2112.0 / 44_100.0, f64::INFINITY));
        assert_eq!(read(file(&[(200, -1), (1500, 0)])), want(0.0, 1.5), "an empty edit in front");
        assert_eq!(read(file(&[(500, 0), (700, 44_100)])), [], "cut and joined");
        assert_eq!(read(file(&[])), []);
        assert_eq!(read(b"RIFF....WAVEfmt ".to_vec()), []);
        for len in 0..file(&[(1500, 1024)]).len() {
            read(file(&[(1500, 1024)])[..len].to_vec());
        }
    }
}
