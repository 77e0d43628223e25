//! Containers: finding the audio track, feeding its packets to the decoder, going on past damage.

use std::ops::Range;

use symphonia::core::audio::Position;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::codec::{Decoder, Unsupported, guarded};
use super::collect::Collector;
use super::mp4_edits::{self, Edit};
use super::source::{self, Shared};
use super::{Loaded, codec, unreadable, wav_speakers};
use crate::{Error, Result};

/// A reader that fails so many times running, with no packet between, is believed to be stuck.
const MOST_STUMBLES: usize = 16;

/// Decodes whatever `source` contains.
pub(super) fn decode(source: Box<dyn MediaSource>, name: &str) -> Result<Loaded> {
    let mut source = Shared::new(source);
    let notes = Notes { edits: mp4_edits::read(&mut source), speakers: wav_speakers::read(&mut source) };
    let start = source.restarted().map_err(|error| source::broken(name, error))?;
    open(start, name).and_then(|format| play(format, name, &notes)).or_else(|error| {
        // A Matroska file that was cut short points to tables that are gone, and symphonia gives up a whole MP4 whose data
        // end early. Read as pipes, of which nobody knows the length, they give what is there.
        let again = source.restarted_as_pipe().ok().and_then(|pipe| open(pipe, name).ok());
        again.and_then(|format| play(format, name, &notes).ok()).ok_or(error)
    })
}

/// What the container says and symphonia does not tell.
struct Notes {
    edits: Vec<Edit>,
    speakers: Option<Vec<Position>>,
}

fn play(mut format: Box<dyn FormatReader>, name: &str, notes: &Notes) -> Result<Loaded> {
    let mut track = Playing::choose(&*format, name, notes)?;
    let mut collector = Collector::new(name);
    let mut damage = Damage::default();
    let mut stumbles = 0;
    loop {
        match guarded(|| format.next_packet()) {
            Ok(None) => break,
            Ok(Some(packet)) => {
                stumbles = 0;
                if packet.track_id != track.id {
                    continue;
                }
                damage.packets += 1;
                damage.lost += track.gap_before(&packet);
                match track.decoder.decode(&packet) {
                    Ok(block) if block.interleaved.is_empty() => {}
                    Ok(mut block) => {
                        let channels = block.weights.len().max(1);
                        let (frames, rate) = (block.interleaved.len() / channels, block.rate);
                        let heard = heard(track.edit, track.frames, frames, rate);
                        block.interleaved = &block.interleaved[heard.start * channels..heard.end * channels];
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
                track = Playing::choose(&*format, name, notes)?;
            }
            Err(SymphoniaError::IoError(error)) if error.raw_os_error().is_some() => {
                return Err(source::broken(name, error));
            }
            Err(SymphoniaError::IoError(error)) if track.open_ended && is_end(&error) => break,
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

/// Finds out what it is, by content alone: a wrong extension does not matter.
fn open(source: Shared, name: &str) -> Result<Box<dyn FormatReader>> {
    let probed = guarded(|| {
        let stream = MediaSourceStream::new(Box::new(source), Default::default());
        let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
        symphonia::default::get_probe().probe(&Hint::new(), stream, format, metadata)
    });
    probed.map_err(|error| not_audio(name, error))
}

fn not_audio(name: &str, error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(error) if error.raw_os_error().is_some() => source::broken(name, error),
        error => {
            let why = match &error {
                SymphoniaError::Unsupported(_) => "it is not audio in a format that is known".into(),
                SymphoniaError::IoError(_) => {
                    "it is not audio in a format that is known, or it ends within its header".into()
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
    /// Seconds that the container promises.
    promised: Option<f64>,
    /// The container says that it does not know its length.
    open_ended: bool,
    /// Frames decoded.
    frames: u64,
    /// Frames and rate of the last sound packet.
    last_block: Option<(usize, u32)>,
    /// The part to be heard, where the container says so.
    edit: Option<Edit>,
    /// Seconds that one tick of the container's clock has.
    tick: f64,
    /// Tick at which the next packet should begin.
    next_tick: Option<i64>,
}

impl Playing {
    /// The default audio track, or the first other one that can be decoded.
    fn choose(format: &dyn FormatReader, name: &str, notes: &Notes) -> Result<Self> {
        let default = format.default_track(TrackType::Audio);
        let others = format.tracks().iter().filter(|track| track.track_type() == Some(TrackType::Audio));
        let mut refused: Option<Unsupported> = None;
        for track in default.into_iter().chain(others) {
            match Decoder::new(track, notes.speakers.as_deref()) {
                Ok(decoder) => return Ok(Self::new(track, decoder, format, &notes.edits)),
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

    fn new(track: &Track, decoder: Decoder, format: &dyn FormatReader, edits: &[Edit]) -> Self {
        let open_ended = is_open_ended(track);
        let promised = promised_seconds(track, format).filter(|_| !open_ended);
        let mut edit = edits.iter().find(|edit| edit.track == track.id).copied();
        if let (Some(edit), Decoder::Opus(_)) = (&mut edit, &decoder) {
            // That is the pre-skip, which Opus's own header tells the decoder.
            edit.start = 0.0;
        }
        let tick =
            track.time_base.map_or(0.0, |base| f64::from(base.numer.get()) / f64::from(base.denom.get()));
        Self {
            id: track.id,
            promised,
            open_ended,
            decoder,
            frames: 0,
            last_block: None,
            edit,
            tick,
            next_tick: None,
        }
    }

    /// Seconds that are missing before `packet`, by its time.
    fn gap_before(&mut self, packet: &Packet) -> f64 {
        // Less is the coarse clock of Matroska, or a packet without a length.
        const LEAST: f64 = 0.15;
        let expected = self.next_tick.replace(packet.pts.get().saturating_add_unsigned(packet.dur.get()));
        let gap =
            expected.map_or(0.0, |expected| packet.pts.get().saturating_sub(expected) as f64 * self.tick);
        if gap >= LEAST { gap } else { 0.0 }
    }

    fn take_note(&mut self, frames: usize, rate: u32) {
        self.frames += frames as u64;
        self.last_block = Some((frames, rate));
    }
}

/// Which of the `frames` after the first `before` ones of a track are to be heard.
fn heard(edit: Option<Edit>, before: u64, frames: usize, rate: u32) -> Range<usize> {
    let Some(edit) = edit else { return 0..frames };
    // `as` saturates: an infinite length becomes the largest number.
    let start = (edit.start * f64::from(rate)).round() as u64;
    let end = start.saturating_add((edit.length * f64::from(rate)).round() as u64);
    let within = |frame: u64| usize::try_from(frame.saturating_sub(before)).unwrap_or(frames).min(frames);
    within(start)..within(end)
}

/// Length of a track by its container, seconds.
fn promised_seconds(track: &Track, format: &dyn FormatReader) -> Option<f64> {
    let params = track.codec_params.as_ref()?.audio()?;
    if let (Some(frames), Some(rate)) = (track.num_frames, params.sample_rate) {
        return Some(frames as f64 / f64::from(rate));
    }
    // Matroska knows only the length of the whole, which other tracks may have made longer.
    let info = format.media_info();
    match (format.tracks().len(), info.duration, info.time_base) {
        (1, Some(duration), Some(base)) => Some(base.calc_duration(duration)?.as_secs_f64()),
        _ => None,
    }
}

fn is_end(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::UnexpectedEof
}

/// Whether the length in the header of a wav only says that the writer did not know it.
///
/// Programs that write into a pipe put about 2³¹ bytes there (arecord, sox), or 2³² − 1 (ffmpeg), of which symphonia makes none.
fn is_open_ended(track: &Track) -> bool {
    const STREAMED: u64 = 0x7fff_0000;
    let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else { return false };
    let bytes = u64::from(params.bits_per_sample.unwrap_or(0) / 8)
        * params.channels.as_ref().map_or(0, |channels| channels.count() as u64);
    match track.num_frames {
        Some(frames) => frames.saturating_mul(bytes) >= STREAMED,
        None => codec::is_pcm(params.codec),
    }
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
    /// Seconds that are missing between packets.
    lost: f64,
}

impl Damage {
    fn note(&mut self, why: String, seconds: f64) {
        if self.bad == 0 {
            self.first = (why, seconds);
        }
        self.bad += 1;
    }

    /// Notes if much less came than was promised: over 0.2 s, and over 1 %, because some promises are estimates.
    fn check_length(&mut self, track: &Playing) {
        if let (Some(promised), Some((_, rate))) = (track.promised, track.last_block) {
            let here = track.frames as f64 / f64::from(rate);
            if promised - here > f64::max(0.2, promised * 0.01) {
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
        } else if self.lost > 0.0 {
            warnings.push(format!(
                "{:.2} s are missing in the middle; what follows comes early by so much",
                self.lost
            ));
        }
        warnings
    }
}
