//! Headerless PCM.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use super::collect::{Block, Collector};
use super::downmix::{Layout, MOST_CHANNELS};
use super::resample::RATES;
use super::{Loaded, source};
use crate::{Error, ErrorKind, Result};

/// Format of headerless PCM, written `ENCODING:RATE:CHANNELS`, e.g. `s16le:16000:1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFormat {
    encoding: Encoding,
    rate: u32,
    channels: usize,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    S8,
    U8,
    S16Le,
    S16Be,
    S24Le,
    S24Be,
    S32Le,
    S32Be,
    F32Le,
    F32Be,
    F64Le,
    F64Be,
}

/// Names are ffmpeg's.
const ENCODINGS: [(&str, Encoding); 12] = [
    ("s8", Encoding::S8),
    ("u8", Encoding::U8),
    ("s16le", Encoding::S16Le),
    ("s16be", Encoding::S16Be),
    ("s24le", Encoding::S24Le),
    ("s24be", Encoding::S24Be),
    ("s32le", Encoding::S32Le),
    ("s32be", Encoding::S32Be),
    ("f32le", Encoding::F32Le),
    ("f32be", Encoding::F32Be),
    ("f64le", Encoding::F64Le),
    ("f64be", Encoding::F64Be),
];

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Self::S8 | Self::U8 => 1,
            Self::S16Le | Self::S16Be => 2,
            Self::S24Le | Self::S24Be => 3,
            Self::S32Le | Self::S32Be | Self::F32Le | Self::F32Be => 4,
            Self::F64Le | Self::F64Be => 8,
        }
    }

    /// One sample from its [`Self::bytes`], full scale ±1.
    fn sample(self, bytes: &[u8]) -> f32 {
        // Most significant byte last, at the end of 8 bytes: a signed number of n bytes is then n·8 bits of an i64's top.
        let mut little = [0u8; 8];
        let place = &mut little[8 - bytes.len()..];
        place.copy_from_slice(bytes);
        if matches!(self, Self::S16Be | Self::S24Be | Self::S32Be | Self::F32Be | Self::F64Be) {
            place.reverse();
        }
        match self {
            Self::F32Le | Self::F32Be => f32::from_le_bytes([little[4], little[5], little[6], little[7]]),
            Self::F64Le | Self::F64Be => f64::from_le_bytes(little) as f32,
            Self::U8 => (f32::from(bytes[0]) - 128.0) / 128.0,
            // Exact for up to 24 bits: a power of two is all that is divided by.
            _ => (i64::from_le_bytes(little) as f64 / -(i64::MIN as f64)) as f32,
        }
    }
}

impl FromStr for RawFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: String| {
            let names: Vec<&str> = ENCODINGS.iter().map(|(name, _)| *name).collect();
            let hint = format!(
                "write ENCODING:RATE:CHANNELS, e.g. s16le:16000:1; encodings are {}",
                names.join(", ")
            );
            Error::new(ErrorKind::Usage, format!("cannot use the raw format `{text}`"), why, hint)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let [encoding, rate, channels] = parts[..] else {
            return Err(wrong("it does not have the three parts".into()));
        };
        let known = ENCODINGS.iter().find(|(name, _)| name.eq_ignore_ascii_case(encoding));
        let (_, encoding) = *known.ok_or_else(|| wrong(format!("there is no encoding `{encoding}`")))?;
        let (least, most) = (RATES.start(), RATES.end());
        let rate =
            rate.parse().ok().filter(|rate| RATES.contains(rate)).ok_or_else(|| {
                wrong(format!("the rate `{rate}` is not a number from {least} to {most} Hz"))
            })?;
        let channels =
            channels.parse().ok().filter(|count| (1..=MOST_CHANNELS).contains(count)).ok_or_else(|| {
                wrong(format!("the channels `{channels}` are not a number from 1 to {MOST_CHANNELS}"))
            })?;
        Ok(Self { encoding, rate, channels })
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            ENCODINGS.iter().find(|(_, encoding)| *encoding == self.encoding).map_or("", |(name, _)| name);
        write!(f, "{name}:{}:{}", self.rate, self.channels)
    }
}

/// What a file that begins so usually is, though headerless sound may begin with any bytes.
fn mark(begin: &[u8]) -> Option<&'static str> {
    const MARKS: [(usize, &[u8], &str); 5] = [
        (0, b"RIFF", "a wav file"),
        (0, b"fLaC", "a FLAC file"),
        (0, b"OggS", "an Ogg file"),
        (0, b"ID3", "an MP3 file"),
        (4, b"ftyp", "an MP4 file"),
    ];
    let found =
        MARKS.iter().find(|(at, mark, _)| begin.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
    found.map(|(_, _, kind)| *kind)
}

/// Reads `stream` to its end.
pub(super) fn decode(mut stream: impl Read, name: &str, format: &RawFormat) -> Result<Loaded> {
    let size = format.encoding.bytes();
    let frame = size * format.channels;
    let weights = Layout::Equal(format.channels).weights();
    let mut collector = Collector::new(name);
    let mut bytes = vec![0u8; frame * 4096];
    let mut interleaved = Vec::with_capacity(format.channels * 4096);
    let mut filled = 0;
    let mut begun = false;
    let mut warnings = Vec::new();
    loop {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(source::broken(name, error)),
        }
        let whole = filled - filled % frame;
        if !begun {
            begun = true;
            warnings.extend(mark(&bytes[..filled]).map(|kind| {
                format!("it begins as {kind} does, and is read as headerless {format} all the same; leave --raw out")
            }));
        }
        interleaved.clear();
        interleaved.extend(bytes[..whole].chunks_exact(size).map(|sample| format.encoding.sample(sample)));
        collector.push(&Block { interleaved: &interleaved, rate: format.rate, weights: &weights })?;
        bytes.copy_within(whole..filled, 0);
        filled -= whole;
    }
    if filled > 0 {
        warnings.push(format!(
            "the last {filled} bytes do not make a frame of {frame} and are left out; is it really {format}?"
        ));
    }
    collector.finish(warnings)
}
