//! Values as typed on the command line: Python's spellings of booleans and None, times, token ids, languages, devices.

use std::ffi::OsStr;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use cpu_backend::Level;

use crate::model::{Device, LevelKind};
use crate::tokenizer::{language_code, language_name};

/// A value or `None`, as OpenAI's `optional_int` and `optional_float` (a plain `Option` means "not given" to clap).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maybe<T>(pub Option<T>);

/// Seconds of clips: start, end, start, end, …
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClipTimes(pub Vec<f64>);

/// Token ids; −1 stands for the tokenizer's non-speech tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIds(pub Vec<i64>);

/// A language code, or `None` to detect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language(pub Option<&'static str>);

/// Sizes of a matrix product: A `[m, k]` · B `[k, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of A.
    pub m: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Columns of B.
    pub n: usize,
}

/// The largest size of a product that is timed: the result is also computed plainly, and has to fit this machine.
const LARGEST: usize = 8192;

type Parsed<T> = Result<T, String>;

/// Python's `None` in any case.
fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

/// `True` or `False` in any case.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("write True or False".into()),
    }
}

/// A finite number.
pub(super) fn number(text: &str) -> Parsed<f64> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err("the number must be finite".into()),
        Err(_) => Err("this is not a number".into()),
    }
}

/// A finite number of at least 0.
pub(super) fn not_negative(text: &str) -> Parsed<f64> {
    let value = number(text)?;
    if value >= 0.0 { Ok(value) } else { Err("the number must not be below 0".into()) }
}

/// A finite number, or None.
pub(super) fn maybe_number(text: &str) -> Parsed<Maybe<f64>> {
    if is_none(text) {
        return Ok(Maybe(None));
    }
    number(text).map(|value| Maybe(Some(value))).map_err(|why| format!("{why}; None turns it off"))
}

/// A whole number of at least 0, or None.
pub(super) fn maybe_count(text: &str) -> Parsed<Maybe<usize>> {
    if is_none(text) {
        return Ok(Maybe(None));
    }
    count(text).map(|value| Maybe(Some(value))).map_err(|why| format!("{why}, or None"))
}

/// A whole number, of an unsigned type.
pub(super) fn count<T: FromStr>(text: &str) -> Parsed<T> {
    text.trim().parse().map_err(|_| "write a whole number, 0 or more".into())
}

/// Three sizes, as `512,512,512` or `512x512x512`.
pub(super) fn shape(text: &str) -> Parsed<Shape> {
    let sizes: Vec<Option<usize>> = text.split([',', 'x']).map(|size| size.trim().parse().ok()).collect();
    match sizes[..] {
        [Some(m), Some(k), Some(n)] if [m, k, n].iter().all(|size| (1..=LARGEST).contains(size)) => {
            Ok(Shape { m, k, n })
        }
        _ => Err(format!("write three sizes of 1 to {LARGEST}, as 512,512,512")),
    }
}

/// A language by code, name or alias, in any case; `None` or `auto` detects it.
pub(super) fn language(text: &str) -> Parsed<Language> {
    if is_none(text) || text.eq_ignore_ascii_case("auto") {
        return Ok(Language(None));
    }
    language_code(text.trim()).map(|code| Language(Some(code))).ok_or_else(|| {
        "Whisper knows no such language; write a code such as en, or a name such as English".into()
    })
}

/// The English name of a language code, with a capital.
pub(super) fn language_title(code: &str) -> String {
    let name = language_name(code).unwrap_or(code);
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Token ids with commas between; nothing suppresses nothing.
pub(super) fn token_ids(text: &str) -> Parsed<TokenIds> {
    if is_none(text) || text.trim().is_empty() {
        return Ok(TokenIds(Vec::new()));
    }
    let id = |part: &str| match part.trim().parse::<i64>() {
        Ok(id) if (-1..=i64::from(u32::MAX)).contains(&id) => Ok(id),
        _ => Err(format!("`{}` is no token id; write numbers with commas between, or -1", part.trim())),
    };
    text.split(',').map(id).collect::<Parsed<_>>().map(TokenIds)
}

/// Times of clips with commas between: start, end, start, end, …; each seconds or `[hours:]minutes:seconds`. The last
/// end may be missing: it is the end of the file. OpenAI drops a clip that ends before it starts; here it is refused.
pub(super) fn clip_times(text: &str) -> Parsed<ClipTimes> {
    if text.trim().is_empty() {
        return Ok(ClipTimes(Vec::new()));
    }
    let times = text.split(',').map(|part| time(part.trim())).collect::<Parsed<Vec<f64>>>()?;
    for clip in times.chunks_exact(2) {
        if clip[1] <= clip[0] {
            return Err(format!("a clip ends at {} s but starts at {} s", clip[1], clip[0]));
        }
    }
    Ok(ClipTimes(times))
}

/// Seconds, or `[hours:]minutes:seconds` with fields below 60 after the first.
pub(super) fn time(text: &str) -> Parsed<f64> {
    let wrong = || format!("`{text}` is no time; write seconds such as 61.5, or 1:01.5");
    let fields: Vec<&str> = text.split(':').collect();
    if fields.len() > 3 {
        return Err(wrong());
    }
    let (last, before) = fields.split_last().ok_or_else(wrong)?;
    let mut seconds = 0.0;
    for field in before {
        let plain = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
        let value: u32 = field.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
        seconds = (seconds + f64::from(value)) * 60.0;
    }
    let value =
        last.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(wrong)?;
    let later_fields = before.iter().skip(1).filter_map(|field| field.parse().ok());
    let bounded = !before.is_empty();
    if (bounded && value >= 60.0) || later_fields.into_iter().any(|field: f64| field >= 60.0) {
        return Err(format!("`{text}` is no time: minutes and seconds go to 59"));
    }
    Ok(seconds + value)
}

/// Parses `--device`, and says why those of PyTorch are not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeviceParser;

impl TypedValueParser for DeviceParser {
    type Value = Device;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Device, clap::Error> {
        (|text: &str| device(text)).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(DEVICES.iter().map(|device| PossibleValue::new(device.name()))))
    }
}

const DEVICES: [Device; 4] = [Device::Auto, Device::Cpu, Device::Npu, Device::Emulator];

fn device(text: &str) -> Parsed<Device> {
    let lower = text.to_ascii_lowercase();
    if let Some(device) = DEVICES.into_iter().find(|device| device.name() == lower) {
        return Ok(device);
    }
    let kind = lower.split(':').next().unwrap_or_default();
    Err(if ["cuda", "mps", "xpu", "hip", "rocm", "gpu", "xla", "vulkan", "metal"].contains(&kind) {
        "this program runs on the processor (cpu) or an AMD NPU (npu), not on graphics cards; \
         leave --device away to use the best that is there"
            .into()
    } else {
        "the devices are auto, cpu, npu and emulator".into()
    })
}

/// Parses `--cpu-level`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LevelParser;

impl TypedValueParser for LevelParser {
    type Value = LevelKind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<LevelKind, clap::Error> {
        (|text: &str| level(text)).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(LevelKind::ALL.iter().map(|level| PossibleValue::new(level.name()))))
    }
}

fn level(text: &str) -> Parsed<LevelKind> {
    let lower = text.to_ascii_lowercase();
    let there = || {
        let levels: Vec<_> = Level::available().into_iter().map(|level| level.kind().name()).collect();
        levels.join(", ")
    };
    let named = LevelKind::ALL.into_iter().find(|level| level.name() == lower);
    named.ok_or_else(|| format!("there is no such level; this machine has {}", there()))
}

#[cfg(test)]
mod tests;
