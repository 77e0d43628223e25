//! Times as subtitles write them.

/// `01:02:03.456`; without hours below one hour unless they are always wanted (OpenAI utils.py, `format_timestamp`).
///
/// Rounds to milliseconds, halves to even. A negative time, at which OpenAI's stops, is written as zero.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn format_timestamp(seconds: f64, always_include_hours: bool, decimal_marker: char) -> String {
    let milliseconds = (seconds * 1000.0).round_ties_even() as u64;
    let (hours, rest) = (milliseconds / 3_600_000, milliseconds % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, milliseconds) = (rest / 1000, rest % 1000);
    let hours = if always_include_hours || hours > 0 { format!("{hours:02}:") } else { String::new() };
    format!("{hours}{minutes:02}:{seconds:02}{decimal_marker}{milliseconds:03}")
}
