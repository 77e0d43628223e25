//! Many channels to one.
//!
//! Stereo is halved and added, as `ffmpeg -ac 1` does. Surround from a codec that knows its loudspeakers is weighted as
//! ffmpeg does too (libswresample's rematrixing to mono: centre 1, front √½, surround ½, bass 0, then normed to sum 1),
//! because speech sits in the centre. So is a wav whose header names the loudspeakers, or has the six channels of 5.1
//! (`wav_speakers`). Other PCM of more than two channels is the mean of all: that is how multitrack recorders and
//! microphone arrays write, and no microphone may be taken for the bass loudspeaker.

use std::f32::consts::FRAC_1_SQRT_2;

use symphonia::core::audio::{Channels, Position};

/// Most channels that are believed; more is taken for damage.
pub(super) const MOST_CHANNELS: usize = 64;

/// What the channels of an input are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layout {
    /// So many channels, of which nothing is known.
    Equal(usize),
    /// Loudspeakers, in the order of the samples.
    Speakers(Vec<Position>),
}

impl Layout {
    /// From symphonia's channels; `pcm` if they come from uncoded audio, `speakers` if the header of a wav names them.
    pub(super) fn new(channels: &Channels, pcm: bool, speakers: Option<&[Position]>) -> Self {
        match (channels, speakers) {
            (_, Some(speakers)) if pcm && speakers.len() == channels.count() => {
                Self::Speakers(speakers.to_vec())
            }
            (Channels::Positioned(positions), _) if !pcm => Self::Speakers(positions.iter().collect()),
            _ => Self::Equal(channels.count()),
        }
    }

    /// One weight per channel; they add up to 1.
    pub(super) fn weights(&self) -> Vec<f32> {
        let weights: Vec<f32> = match self {
            Self::Speakers(positions) if positions.len() > 2 => positions.iter().map(weight).collect(),
            Self::Speakers(positions) => vec![1.0; positions.len()],
            Self::Equal(count) => vec![1.0; *count],
        };
        let sum: f32 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }
}

fn weight(position: &Position) -> f32 {
    let front = Position::FRONT_LEFT
        | Position::FRONT_RIGHT
        | Position::FRONT_LEFT_CENTER
        | Position::FRONT_RIGHT_CENTER
        | Position::FRONT_LEFT_WIDE
        | Position::FRONT_RIGHT_WIDE;
    match *position {
        Position::FRONT_CENTER => 1.0,
        Position::LFE1 | Position::LFE2 => 0.0,
        other if front.contains(other) => FRAC_1_SQRT_2,
        _ => 0.5,
    }
}

/// Appends the weighted sum of each frame of `interleaved` (frames of `weights.len()` samples) to `mono`.
pub(super) fn mix(interleaved: &[f32], weights: &[f32], mono: &mut Vec<f32>) {
    match weights {
        [] => {}
        // Not even a multiplication: 16-bit mono has to come out exactly.
        [_] => mono.extend_from_slice(interleaved),
        _ => mono.extend(
            interleaved
                .chunks_exact(weights.len())
                .map(|frame| frame.iter().zip(weights).map(|(sample, weight)| sample * weight).sum::<f32>()),
        ),
    }
}
