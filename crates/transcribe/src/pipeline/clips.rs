//! Which parts of the file are transcribed (OpenAI transcribe.py, `clip_timestamps`).

use crate::{Error, ErrorKind, Result};

/// Start and end of a clip, mel frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clip {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Pairs of start and end; none stands for the whole file, an odd count ends at the end of the file.
///
/// Ends are cut to `content_frames`. OpenAI does not do that, and with a clip that begins or ends past the end of the
/// audio it goes on with windows of no or negative length, often for ever (openai/whisper issue 2005).
///
/// # Errors
/// [`ErrorKind::Usage`] on times that are negative or not finite.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn clips(timestamps: &[f64], content_frames: usize) -> Result<Vec<Clip>> {
    if let Some(bad) = timestamps.iter().find(|time| !time.is_finite() || **time < 0.0) {
        return Err(Error::new(
            ErrorKind::Usage,
            "cannot use these clip timestamps",
            format!("{bad} is not a time in the file"),
            "give start,end,start,end,… in seconds",
        ));
    }
    // Python's round: halves to even.
    let mut points: Vec<usize> =
        timestamps.iter().map(|time| (time * 100.0).round_ties_even() as usize).collect();
    if points.is_empty() {
        points.push(0);
    }
    if points.len() % 2 == 1 {
        points.push(content_frames);
    }
    Ok(points.chunks_exact(2).map(|pair| Clip { start: pair[0], end: pair[1].min(content_frames) }).collect())
}

/// A warning about the clips that begin where there is nothing left to hear; none if all begin within the audio.
pub(crate) fn beyond_the_end(clips: &[Clip], content_frames: usize) -> Option<String> {
    let seconds = |frame: usize| frame as f64 / 100.0;
    let starts: Vec<String> = clips
        .iter()
        .filter(|clip| clip.start >= content_frames)
        .map(|clip| format!("{:.2}", seconds(clip.start)))
        .collect();
    let which = match starts.len() {
        0 => return None,
        1 => "the clip that begins",
        _ => "the clips that begin",
    };
    Some(format!(
        "{which} at {} s lie{} past the end of the audio ({:.2} s): nothing is transcribed there",
        starts.join(", "),
        if starts.len() == 1 { "s" } else { "" },
        seconds(content_frames)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pairs(timestamps: &[f64]) -> Vec<(usize, usize)> {
        clips(timestamps, 5000).unwrap().into_iter().map(|clip| (clip.start, clip.end)).collect()
    }

    #[test]
    fn times_make_clips() {
        assert_eq!(pairs(&[]), [(0, 5000)]);
        assert_eq!(pairs(&[0.0]), [(0, 5000)]);
        assert_eq!(pairs(&[1.0, 2.5, 40.0]), [(100, 250), (4000, 5000)]);
        assert_eq!(pairs(&[0.125, 0.375]), [(12, 38)], "halves to even");
        assert_eq!(pairs(&[10.0, 99.0, 70.0]), [(1000, 5000), (7000, 5000)], "the second one is empty");
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(clips(&[0.0, bad], 5000).unwrap_err().kind(), ErrorKind::Usage);
        }
    }
    #[test]
    fn clips_past_the_end_are_named() {
        let warning = |timestamps: &[f64]| beyond_the_end(&clips(timestamps, 5000).unwrap(), 5000);
        for within in [&[][..], &[0.0], &[10.0, 99.0], &[49.99]] {
            assert_eq!(warning(within), None, "{within:?}");
        }
        let one = "the clip that begins at 50.00 s lies past the end of the audio (50.00 s): nothing is transcribed there";
        assert_eq!(warning(&[50.0]).as_deref(), Some(one));
        let two = "the clips that begin at 60.00, 80.50 s lie past";
        let got = warning(&[0.0, 10.0, 60.0, 70.0, 80.5]).unwrap();
        assert!(got.starts_with(two), "{got}");
    }
}
