//! Packets to blocks of samples.

use std::panic::{self, AssertUnwindSafe};

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as id;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::Track;
use symphonia::core::packet::Packet;

use super::collect::Block;
use super::downmix::{Layout, MOST_CHANNELS};
use super::opus::{self, OpusPackets};

/// The decoder of one track.
pub(super) enum Decoder {
    /// One of symphonia's.
    Symphonia(Box<Inner>),
    /// Ours.
    Opus(Box<OpusPackets>),
}

/// symphonia's decoder and what it last made.
pub(super) struct Inner {
    decoder: Box<dyn AudioDecoder>,
    pcm: bool,
    speakers: Option<Vec<Position>>,
    interleaved: Vec<f32>,
    channels: Channels,
    weights: Vec<f32>,
}

/// Why no decoder can be made.
pub(super) struct Unsupported {
    /// A sentence.
    pub(super) why: String,
    /// What to do.
    pub(super) hint: String,
}

impl Decoder {
    /// `speakers` are those that the header of a wav names.
    ///
    /// # Errors
    /// Names the codec that is not supported.
    pub(super) fn new(track: &Track, speakers: Option<&[Position]>) -> Result<Self, Unsupported> {
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(Unsupported::new("the codec of its audio is not known".into()));
        };
        if params.codec == id::CODEC_ID_OPUS {
            return OpusPackets::new(params).map(|opus| Self::Opus(Box::new(opus))).map_err(Unsupported::new);
        }
        let channels = params.channels.as_ref().map_or(1, Channels::count);
        if channels > MOST_CHANNELS {
            return Err(Unsupported::new(format!("it claims {channels} channels")));
        }
        // The defaults ask for the encoder's delay and padding to be trimmed.
        let made = guarded(|| {
            symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default())
        });
        match made {
            Ok(decoder) => Ok(Self::Symphonia(Box::new(Inner {
                decoder,
                pcm: is_pcm(params.codec),
                speakers: speakers.map(<[Position]>::to_vec),
                interleaved: Vec::new(),
                channels: Channels::None,
                weights: Vec::new(),
            }))),
            Err(error) => Err(Unsupported::new(refusal(params, &error))),
        }
    }

    /// Decodes a packet.
    ///
    /// # Errors
    /// A sentence: how the packet is damaged. The next one may be sound.
    pub(super) fn decode(&mut self, packet: &Packet) -> Result<Block<'_>, String> {
        match self {
            Self::Opus(decoder) => {
                decoder.decode(packet)?;
                let interleaved = decoder.decoded();
                Ok(Block { interleaved, rate: opus::RATE, weights: decoder.weights() })
            }
            Self::Symphonia(inner) => {
                let decoder = &mut inner.decoder;
                if let Err(error) = guarded(|| decoder.decode(packet).map(|_| ())) {
                    return Err(error.to_string());
                }
                let decoded = inner.decoder.last_decoded();
                let spec = decoded.spec();
                if inner.channels != *spec.channels() {
                    inner.channels = spec.channels().clone();
                    inner.weights =
                        Layout::new(&inner.channels, inner.pcm, inner.speakers.as_deref()).weights();
                }
                decoded.copy_to_vec_interleaved(&mut inner.interleaved);
                Ok(Block { interleaved: &inner.interleaved, rate: spec.rate(), weights: &inner.weights })
            }
        }
    }
}

impl Unsupported {
    fn new(why: String) -> Self {
        Self { why, hint: "convert it: ffmpeg -i INPUT -ac 1 -ar 16000 out.wav".into() }
    }
}

/// Runs a call into symphonia, turning a panic on damaged data into an error.
///
/// It has such faults: version 0.6.1 multiplies header fields of a wav without a check (`read_adpcm_fmt`, found by our
/// property tests), which is a panic in builds with overflow checks.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, SymphoniaError>) -> Result<T, SymphoniaError> {
    panic::catch_unwind(AssertUnwindSafe(call))
        .unwrap_or(Err(SymphoniaError::DecodeError("it made the decoding library fail")))
}

fn refusal(params: &AudioCodecParameters, error: &SymphoniaError) -> String {
    if params.codec == id::CODEC_ID_AAC && matches!(error, SymphoniaError::Unsupported(_)) {
        return "its audio is HE-AAC or surround AAC, and only plain AAC (AAC-LC, mono or stereo) is supported".into();
    }
    match (name(params.codec), error) {
        (Some(name), SymphoniaError::Unsupported(_)) => {
            format!("its audio is {name}, which is not supported")
        }
        (Some(name), error) => format!("its audio is {name}, which cannot be decoded ({error})"),
        (None, _) => format!("its audio is in a codec that is not supported (number {})", params.codec),
    }
}

/// What people call a codec. Those that always decode need no name.
fn name(codec: AudioCodecId) -> Option<&'static str> {
    const NAMES: &[(AudioCodecId, &str)] = &[
        (id::CODEC_ID_AAC, "AAC"),
        (id::CODEC_ID_ALAC, "ALAC"),
        (id::CODEC_ID_FLAC, "FLAC"),
        (id::CODEC_ID_VORBIS, "Vorbis"),
        (id::CODEC_ID_MP1, "MPEG layer 1"),
        (id::CODEC_ID_MP2, "MPEG layer 2"),
        (id::CODEC_ID_MP3, "MP3"),
        (id::CODEC_ID_AC3, "AC-3 (Dolby Digital)"),
        (id::CODEC_ID_EAC3, "E-AC-3 (Dolby Digital Plus)"),
        (id::CODEC_ID_AC4, "AC-4"),
        (id::CODEC_ID_TRUEHD, "Dolby TrueHD"),
        (id::CODEC_ID_DCA, "DTS"),
        (id::CODEC_ID_WMA, "Windows Media Audio"),
        (id::CODEC_ID_SPEEX, "Speex"),
        (id::CODEC_ID_MUSEPACK, "Musepack"),
        (id::CODEC_ID_WAVPACK, "WavPack"),
        (id::CODEC_ID_MONKEYS_AUDIO, "Monkey's Audio"),
        (id::CODEC_ID_TTA, "True Audio"),
        (id::CODEC_ID_ADPCM_G722, "G.722"),
        (id::CODEC_ID_ADPCM_G726, "G.726"),
        (id::CODEC_ID_ADPCM_G726LE, "G.726"),
    ];
    NAMES.iter().find(|(id, _)| *id == codec).map(|(_, name)| *name)
}

/// Whether it is uncoded audio (or G.711).
pub(super) fn is_pcm(codec: AudioCodecId) -> bool {
    symphonia::default::get_codecs()
        .get_audio_decoder(codec)
        .is_some_and(|decoder| decoder.codec.info.short_name.starts_with("pcm"))
}
