//! Numbers and strings as Python's `json` writes them.

use std::io::{self, Write};

use serde_json::Value;

/// `float.__repr__`: the shortest digits that read back as `value`; with an exponent below 1e-4 and from 1e16 on.
/// Not-a-number and the infinities are `NaN`, `Infinity`, `-Infinity`.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        // Rust writes 1.5e-7, Python 1.5e-07.
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    // Debug keeps `.0` and, within this range, writes no exponent.
    format!("{value:?}")
}

/// A string in quotes, in ASCII (`ensure_ascii`).
pub(super) fn string(text: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    for c in text.chars() {
        match c {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            '\u{8}' => out.write_all(b"\\b")?,
            '\u{c}' => out.write_all(b"\\f")?,
            ' '..='~' => write!(out, "{c}")?,
            _ => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?,
        }
    }
    out.write_all(b"\"")
}

/// `[a, b]`.
pub(super) fn list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut dyn Write,
    mut item: impl FnMut(T, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (i, value) in items.into_iter().enumerate() {
        if i > 0 {
            out.write_all(b", ")?;
        }
        item(value, out)?;
    }
    out.write_all(b"]")
}

/// Any JSON value in the same style.
pub(super) fn value(json: &Value, out: &mut dyn Write) -> io::Result<()> {
    match json {
        Value::String(text) => string(text, out),
        Value::Number(number) => match number.as_f64() {
            Some(float_value) if number.is_f64() => write!(out, "{}", float(float_value)),
            _ => write!(out, "{number}"),
        },
        Value::Array(items) => list(items, out, value),
        Value::Object(map) => {
            out.write_all(b"{")?;
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.write_all(b", ")?;
                }
                string(key, out)?;
                out.write_all(b": ")?;
                value(item, out)?;
            }
            out.write_all(b"}")
        }
        Value::Null | Value::Bool(_) => write!(out, "{json}"),
    }
}
