//! Containers: finding the audio track, feeding its packets to the decoder, going on past damage.

use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use super::codec::{Decoder, Unsupported};
use super::collect::Collector;
use super::{Loaded, source, unreadable};
use crate::{Error, Result};

/// A reader that fails so many times running, with no packet between, is believed to be stuck.
const MOST_STUMBLES: usize = 16;

/// Decodes whatever `source` contains.
pub(super) fn decode(source: Box<dyn MediaSource>, name: &str) -> Result<Loaded> {
    let stream = MediaSourceStream::new(source, Default::default());
    // symphonia goes by content alone, so that a wrong extension does not matter.
    let probed = symphonia::default::get_probe().probe(
        &Hint::new(),
        stream,
        FormatOptions::default(),
        MetadataOptions::default(),
    );
    let mut format = probed.map_err(|error| not_audio(name, error))?;
    let mut track = Playing::choose(&*format, name)?;
    let mut collector = Collector::new(name);
    let mut damage = Damage::default();
    let mut stumbles = 0;
    loop {
        match format.next_packet() {
            Ok(None) => break,
            Ok(Some(packet)) => {
                stumbles = 0;
                if packet.track_id != track.id {
                    continue;
                }
                damage.packets += 1;
                match track.decoder.decode(&packet) {
                    Ok(block) if block.interleaved.is_empty() => {}
                    Ok(block) => {
                        let (frames, rate) =
                            (block.interleaved.len() / block.weights.len().max(1), block.rate);
                        collector.push(&block)?;
                        track.take_note(frames, rate);
                    }
                    Err(why) => {
                        damage.note(why, collector.seconds());
                        // Silence in its place keeps the times of what follows.
                        if let Some((frames, rate)) = track.last_block {
                            collector.push_silence(frames, rate)?;
                            track.frames += frames as u64;
                        }
                    }
                }
            }
            // Another stream follows in the same file (chained Ogg): its sound is appended.
            Err(SymphoniaError::ResetRequired) => {
                damage.check_length(&track);
                track = Playing::choose(&*format, name)?;
            }
            Err(SymphoniaError::IoError(error)) if error.raw_os_error().is_some() => {
                return Err(source::broken(name, error));
            }
            Err(error) => {
                stumbles += 1;
                if stumbles > MOST_STUMBLES {
                    damage.stopped = Some((error.to_string(), collector.seconds()));
                    break;
                }
            }
        }
    }
    damage.check_length(&track);
    if damage.packets > 0 && damage.bad == damage.packets {
        let why = format!("all {} packets of its audio are damaged ({})", damage.bad, damage.first.0);
        return Err(unreadable(name, why, "check that the recording or download was finished"));
    }
    collector.finish(damage.warnings())
}

fn not_audio(name: &str, error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(error) if error.raw_os_error().is_some() => source::broken(name, error),
        error => {
            let why = match &error {
                SymphoniaError::Unsupported(_) | SymphoniaError::IoError(_) => {
                    "it is not audio in a format that is known".into()
                }
                error => format!("it is not audio in a format that is known, or it is damaged ({error})"),
            };
            let hint = "known are wav, aiff, caf, flac, mp3, aac, ogg, opus, m4a, mp4, mkv and webm; \
                        convert others: ffmpeg -i INPUT -ac 1 -ar 16000 out.wav";
            unreadable(name, why, hint).with_source(error)
        }
    }
}

/// The track that is being decoded.
struct Playing {
    id: u32,
    decoder: Decoder,
    /// Frames that the container promises.
    promised: Option<u64>,
    /// Frames decoded.
    frames: u64,
    /// Frames and rate of the last sound packet.
    last_block: Option<(usize, u32)>,
}

impl Playing {
    /// The default audio track, or the first other one that can be decoded.
    fn choose(format: &dyn FormatReader, name: &str) -> Result<Self> {
        let default = format.default_track(TrackType::Audio);
        let others = format.tracks().iter().filter(|track| track.track_type() == Some(TrackType::Audio));
        let mut refused: Option<Unsupported> = None;
        for track in default.into_iter().chain(others) {
            match Decoder::new(track) {
                Ok(decoder) => return Ok(Self::new(track, decoder)),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(match refused {
            Some(Unsupported { why, hint }) => unreadable(name, why, hint),
            None if format.tracks().iter().any(|track| track.codec_params.is_none()) => unreadable(
                name,
                "none of its tracks is in a codec that is known",
                "convert it: ffmpeg -i INPUT -ac 1 -ar 16000 out.wav",
            ),
            None => unreadable(name, "there is no audio track in it", "check that it is the right file"),
        })
    }

    fn new(track: &Track, decoder: Decoder) -> Self {
        Self {
            id: track.id,
            promised: track.num_frames.filter(|_| !is_open_ended(track)),
            decoder,
            frames: 0,
            last_block: None,
        }
    }

    fn take_note(&mut self, frames: usize, rate: u32) {
        self.frames += frames as u64;
        self.last_block = Some((frames, rate));
    }
}

/// Whether the length in the header only says that the writer did not know it.
///
/// Programs that write wav into a pipe put about 2³¹ bytes there (arecord, sox) or 2³² − 1, which symphonia knows.
fn is_open_ended(track: &Track) -> bool {
    const STREAMED: u64 = 0x7fff_0000;
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let frame = params.and_then(|params| {
        Some(u64::from(params.bits_per_sample? / 8) * params.channels.as_ref()?.count() as u64)
    });
    matches!((track.num_frames, frame), (Some(frames), Some(bytes)) if frames.saturating_mul(bytes) >= STREAMED)
}

/// What went wrong on the way.
#[derive(Default)]
struct Damage {
    packets: usize,
    bad: usize,
    /// What was wrong with the first bad packet, and at which second.
    first: (String, f64),
    /// Why reading stopped before the end, and at which second.
    stopped: Option<(String, f64)>,
    /// Seconds that are there, and that the container promises.
    short: Option<(f64, f64)>,
}

impl Damage {
    fn note(&mut self, why: String, seconds: f64) {
        if self.bad == 0 {
            self.first = (why, seconds);
        }
        self.bad += 1;
    }

    /// Notes if much less came than was promised: over half a second, and over 1 %, because some promises are estimates.
    fn check_length(&mut self, track: &Playing) {
        if let (Some(promised), Some((_, rate))) = (track.promised, track.last_block) {
            let (here, promised) = (track.frames as f64 / f64::from(rate), promised as f64 / f64::from(rate));
            if promised - here > f64::max(0.5, promised * 0.01) {
                self.short = Some((here, promised));
            }
        }
    }

    fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.bad > 0 {
            let (why, seconds) = self.first;
            warnings.push(format!(
                "{} of {} packets are damaged, the first at {seconds:.2} s ({why}); silence stands in their place",
                self.bad, self.packets
            ));
        }
        if let Some((here, promised)) = self.short {
            warnings.push(format!(
                "it is cut short: {here:.2} s are there, where its header promises {promised:.2} s"
            ));
        } else if let Some((why, seconds)) = self.stopped {
            warnings.push(format!("what follows {seconds:.2} s is missing or damaged ({why})"));
        }
        warnings
    }
}
