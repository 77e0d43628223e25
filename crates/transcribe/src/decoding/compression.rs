//! How repetitive a text is: its bytes over the bytes of its zlib compression (OpenAI utils.py, `compression_ratio`).

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::zlib_size::compressed_size;

/// `len(utf8) / len(zlib.compress(utf8))`: zlib container, level 6 as Python's default. 0 for an empty text.
///
/// Exactly zlib's count for up to 16 383 bytes, which is more than a window's 224 tokens say; beyond that zlib-rs's,
/// which is a few bytes off. (flate2's default backend, `miniz_oxide`, gives 2.29 for eight times "Thank you." where
/// zlib gives 3.95, and the threshold is 2.4.)
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn compression_ratio(text: &str) -> f64 {
    if let Some(size) = compressed_size(text.as_bytes()) {
        return text.len() as f64 / size as f64;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    // Writing to a vector cannot fail; were it to, an infinite ratio would send the window to the next temperature.
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(bytes) => text.len() as f64 / bytes.len() as f64,
        Err(_) => f64::INFINITY,
    }
}
