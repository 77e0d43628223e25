//! How repetitive a text is: its bytes over the bytes of its zlib compression (OpenAI utils.py, `compression_ratio`).

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// `len(utf8) / len(zlib.compress(utf8))`: zlib container, level 6 as Python's default. 0 for an empty text.
///
/// The count of bytes decides whether a window is decoded again, so the compressor matters: this workspace uses
/// zlib-rs, which finds short loops as C zlib does. flate2's default, `miniz_oxide`, gives 2.29 for eight times
/// "Thank you." where zlib gives 3.95, and the threshold is 2.4. The tests below fail if the backend changes.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn compression_ratio(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    // Writing to a vector cannot fail; were it to, an infinite ratio would send the window to the next temperature.
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(bytes) => text.len() as f64 / bytes.len() as f64,
        Err(_) => f64::INFINITY,
    }
}
