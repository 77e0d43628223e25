//! Which loudspeakers the channels of a wav belong to, by its own header.
//!
//! symphonia gives every wav positions, made-up ones where the header says nothing; here only what the header says counts.
//! Chunks and fields: the RIFF `fmt ` chunk, WAVEFORMATEX and WAVEFORMATEXTENSIBLE (Microsoft, mmreg.h).

use std::io::{Read, Seek, SeekFrom};

use symphonia::core::audio::Position;

/// Tag of WAVEFORMATEXTENSIBLE, which has a channel mask.
const EXTENSIBLE: u16 = 0xfffe;
/// Chunks before `fmt ` are few and small; beyond so many it is not looked for.
const MOST_CHUNKS: usize = 64;
/// Front left, front right, centre, bass, rear left, rear right: the order in which wavs have 5.1 if they do not say.
const FIVE_ONE: u32 = 0b11_1111;

/// Positions in the order of the samples, if the header has a mask of as many loudspeakers as channels, or if it has six
/// channels and no mask (ffmpeg takes those for 5.1, too). `None`: nothing is known, or it is no wav. Leaves `source`
/// anywhere.
pub(super) fn read(source: &mut (impl Read + Seek)) -> Option<Vec<Position>> {
    let format = find_format(source)?;
    let field = |at: usize| Some(u16::from_le_bytes(format.get(at..at + 2)?.try_into().ok()?));
    let (tag, channels) = (field(0)?, field(2)?);
    let mask = match tag {
        EXTENSIBLE => u32::from(field(20)?) | u32::from(field(22)?) << 16,
        _ => 0,
    };
    let mask = match (mask, channels) {
        (0, 6) => FIVE_ONE,
        (mask, channels) if mask.count_ones() == u32::from(channels) => mask,
        _ => return None,
    };
    Position::from_wave_channel_mask(mask).map(|positions| positions.iter().collect())
}

/// The body of the `fmt ` chunk, as far as it is needed.
fn find_format(source: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    source.seek(SeekFrom::Start(0)).ok()?;
    let mut head = [0u8; 12];
    source.read_exact(&mut head).ok()?;
    if !matches!(&head[..4], b"RIFF" | b"RF64") || &head[8..] != b"WAVE" {
        return None;
    }
    for _ in 0..MOST_CHUNKS {
        let mut head = [0u8; 8];
        source.read_exact(&mut head).ok()?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if &head[..4] == b"fmt " {
            let mut body = Vec::new();
            source.take(u64::from(size.min(40))).read_to_end(&mut body).ok()?;
            return Some(body);
        }
        // Chunks are filled up to an even length.
        source.seek(SeekFrom::Current(i64::from(size) + i64::from(size % 2))).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// The begin of a wav: another chunk of odd length, then the format with an optional mask.
    fn header(channels: u16, mask: Option<u32>) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVEjunk\x03\0\0\0abc\0fmt ".to_vec();
        let tag = if mask.is_some() { EXTENSIBLE } else { 1 };
        out.extend(if mask.is_some() { 40u32 } else { 16 }.to_le_bytes());
        out.extend(tag.to_le_bytes());
        out.extend(channels.to_le_bytes());
        out.extend([0; 12]);
        if let Some(mask) = mask {
            out.extend([22, 0, 16, 0]);
            out.extend(mask.to_le_bytes());
            out.extend([0; 16]);
        }
        out
    }

    fn of(bytes: Vec<u8>) -> Option<Vec<Position>> {
        read(&mut Cursor::new(bytes))
    }

    #[test]
    fn only_what_the_header_says_counts() {
        let five_one = [
            Position::FRONT_LEFT,
            Position::FRONT_RIGHT,
            Position::FRONT_CENTER,
            Position::LFE1,
            Position::REAR_LEFT,
            Position::REAR_RIGHT,
        ];
        for six in [header(6, None), header(6, Some(0)), header(6, Some(0x3f))] {
            assert_eq!(of(six).as_deref(), Some(&five_one[..]));
        }
        let side = of(header(6, Some(0x60f)));
        assert_eq!(side.as_ref().and_then(|all| all.last()), Some(&Position::SIDE_RIGHT));
        let three = of(header(3, Some(0x7)));
        assert_eq!(three.as_deref(), Some(&five_one[..3]));
        // Microphones, or a mask that is wrong.
        for unknown in [header(4, None), header(8, None), header(4, Some(0)), header(6, Some(0x7))] {
            assert_eq!(of(unknown), None);
        }
    }

    #[test]
    fn what_is_no_wav_says_nothing() {
        let whole = header(6, Some(0x3f));
        for cut in 0..whole.len() - 16 {
            assert_eq!(of(whole[..cut].to_vec()), None, "cut at {cut}");
        }
        assert_eq!(of(b"OggS and more than twelve bytes".to_vec()), None);
    }
}
