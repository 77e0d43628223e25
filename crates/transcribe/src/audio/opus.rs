//! Opus packets, which symphonia hands out but does not decode.

use std::ops::Range;

use opus_pure::{ChannelLayout, MAX_PACKET_SAMPLES, OpusDecoder, OpusMSDecoder};
use symphonia::core::audio::Position;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet;

use super::downmix::Layout;

/// Opus counts its delays at this rate and, decoded at it, needs no rougher filter than our own resampler.
pub(super) const RATE: u32 = 48_000;

/// The identification header: RFC 7845 §5.1 in Ogg and Matroska; in MP4 the `dOps` box, whose numbers are big-endian and
/// whose version is 0 where the other's is 1 ("Encapsulation of Opus in ISO Base Media File Format", §4.3.2).
#[derive(Debug, PartialEq)]
struct Head {
    channels: usize,
    /// Samples at 48 kHz that the encoder put before the sound.
    pre_skip: usize,
    /// Playback gain in 1/256 dB.
    gain_q8: i16,
    family: u8,
    /// Streams, coupled streams and which stream channel feeds each channel; none for family 0.
    mapping: Option<(usize, usize, Vec<u8>)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(b"OpusHead")?;
        let (&[version, channels, a, b, _, _, _, _, c, d, family], rest) = body.split_first_chunk()?;
        let (pre_skip, gain_q8) = match version {
            0 => (u16::from_be_bytes([a, b]), i16::from_be_bytes([c, d])),
            _ => (u16::from_le_bytes([a, b]), i16::from_le_bytes([c, d])),
        };
        let mapping = match (family, rest) {
            (0, _) => None,
            (_, [streams, coupled, order @ ..]) => {
                Some((usize::from(*streams), usize::from(*coupled), order.get(..channels.into())?.to_vec()))
            }
            _ => return None,
        };
        Some(Self { channels: channels.into(), pre_skip: pre_skip.into(), gain_q8, family, mapping })
    }
}

enum Streams {
    One(Box<OpusDecoder>),
    Several(OpusMSDecoder),
}

/// Decodes one track's packets to 48 kHz.
pub(super) struct OpusPackets {
    streams: Streams,
    weights: Vec<f32>,
    /// Frames at the start still to be dropped.
    skip: usize,
    pcm: Vec<f32>,
    /// What the last packet gave, within `pcm`.
    decoded: Range<usize>,
}

impl OpusPackets {
    /// # Errors
    /// A sentence: why this Opus cannot be decoded.
    pub(super) fn new(params: &AudioCodecParameters) -> Result<Self, String> {
        let head = params.extra_data.as_deref().and_then(Head::parse);
        let head = head.ok_or("its Opus header is missing or damaged")?;
        let said = |error: opus_pure::Error| format!("its Opus header is not usable: {error}");
        let streams = match &head.mapping {
            None => {
                let mut decoder = OpusDecoder::new(RATE as i32, head.channels).map_err(said)?;
                decoder.gain_q8 = head.gain_q8.into();
                Streams::One(Box::new(decoder))
            }
            Some((streams, coupled, order)) => {
                let known = ChannelLayout::surround(head.channels, head.family).ok().filter(|known| {
                    known.nb_streams == *streams
                        && known.nb_coupled_streams == *coupled
                        && known.mapping == *order
                });
                if head.family != 1 || known.is_none() {
                    return Err(format!(
                        "its Opus has {} channels in an unusual arrangement (channel mapping family {}), which is not supported",
                        head.channels, head.family
                    ));
                }
                let mut decoder =
                    OpusMSDecoder::new(RATE as i32, head.channels, head.family).map_err(said)?;
                for stream in decoder.streams_mut() {
                    stream.gain_q8 = head.gain_q8.into();
                }
                Streams::Several(decoder)
            }
        };
        Ok(Self {
            streams,
            weights: layout(head.channels).weights(),
            skip: head.pre_skip,
            pcm: vec![0.0; MAX_PACKET_SAMPLES * head.channels],
            decoded: 0..0,
        })
    }

    /// Each channel's part in the mono sum.
    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Interleaved frames of the last packet, less those before the start and after the end of the sound.
    pub(super) fn decoded(&self) -> &[f32] {
        &self.pcm[self.decoded.clone()]
    }

    /// Decodes a packet.
    ///
    /// # Errors
    /// A sentence, if the packet is damaged.
    pub(super) fn decode(&mut self, packet: &Packet) -> Result<(), String> {
        if packet.data.is_empty() {
            return Err("an empty packet".into());
        }
        let decoded = match &mut self.streams {
            Streams::One(decoder) => decoder.decode(&packet.data, MAX_PACKET_SAMPLES, &mut self.pcm),
            Streams::Several(decoder) => decoder.decode(&packet.data, MAX_PACKET_SAMPLES, &mut self.pcm),
        };
        let frames = decoded.map_err(|error| error.to_string())?;
        // The container counts the end in 48 kHz frames too: Ogg by definition, the others give none.
        let surplus = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
        let end = frames.saturating_sub(surplus);
        let start = self.skip.min(frames);
        self.skip -= start;
        let channels = self.weights.len();
        self.decoded = start.min(end) * channels..end * channels;
        Ok(())
    }
}

/// Channels as RFC 7845 §5.1.1.2 orders them (that is Vorbis's order).
fn layout(channels: usize) -> Layout {
    const L: Position = Position::FRONT_LEFT;
    const C: Position = Position::FRONT_CENTER;
    const R: Position = Position::FRONT_RIGHT;
    const SL: Position = Position::SIDE_LEFT;
    const SR: Position = Position::SIDE_RIGHT;
    const BL: Position = Position::REAR_LEFT;
    const BC: Position = Position::REAR_CENTER;
    const BR: Position = Position::REAR_RIGHT;
    const LFE: Position = Position::LFE1;
    let order: &[Position] = match channels {
        3 => &[L, C, R],
        4 => &[L, R, BL, BR],
        5 => &[L, C, R, BL, BR],
        6 => &[L, C, R, BL, BR, LFE],
        7 => &[L, C, R, SL, SR, BC, LFE],
        8 => &[L, C, R, SL, SR, BL, BR, LFE],
        _ => return Layout::Equal(channels),
    };
    Layout::Speakers(order.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn heads_of_ogg_and_of_mp4() {
        // Pre-skip 312, gain −256/256 dB: little-endian under version 1, big-endian under version 0.
        let ogg = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\x00\xff\0";
        let mp4 = b"OpusHead\x00\x02\x01\x38\0\0\xbb\x80\xff\x00\0";
        let want = Head { channels: 2, pre_skip: 312, gain_q8: -256, family: 0, mapping: None };
        assert_eq!(Head::parse(ogg).unwrap(), want);
        assert_eq!(Head::parse(mp4).unwrap(), want);
        assert_eq!(Head::parse(&ogg[..18]), None);
        let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\x00\x04\x01\x02\x03\x05";
        let mapping = Head::parse(surround).unwrap().mapping.unwrap();
        assert_eq!(mapping, (4, 2, vec![0, 4, 1, 2, 3, 5]));
        assert_eq!(Head::parse(&surround[..26]), None, "a mapping cut short");
    }
}
