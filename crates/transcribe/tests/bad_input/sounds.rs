//! Sound files, good and bad, made of one sample.

use std::path::Path;

use super::repository;

/// The good file: 2.99 s, 16 kHz mono s16, a header of 44 bytes.
pub(crate) fn good() -> Vec<u8> {
    std::fs::read(repository().join("samples/SS-0880.wav")).unwrap()
}

/// Its samples as bytes.
pub(crate) fn pcm() -> Vec<u8> {
    good().split_off(44)
}

fn samples() -> Vec<i16> {
    pcm().chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// A file of the audio tests.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio").join(name)).unwrap()
}

/// The form of the samples, as a wav's header tells it.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) rate: u32,
    pub(crate) channels: u16,
    pub(crate) bits: u16,
    pub(crate) float: bool,
}

/// That of the samples.
pub(crate) const USUAL: Form = Form { rate: 16_000, channels: 1, bits: 16, float: false };

/// A wav whose header claims `claimed` bytes of sound.
pub(crate) fn wav(form: Form, claimed: u32, data: &[u8]) -> Vec<u8> {
    let frame = form.channels * form.bits / 8;
    let mut out = b"RIFF".to_vec();
    out.extend(claimed.saturating_add(36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend(if form.float { 3u16 } else { 1 }.to_le_bytes());
    out.extend(form.channels.to_le_bytes());
    out.extend(form.rate.to_le_bytes());
    out.extend((form.rate * u32::from(frame)).to_le_bytes());
    out.extend(frame.to_le_bytes());
    out.extend(form.bits.to_le_bytes());
    out.extend(b"data");
    out.extend(claimed.to_le_bytes());
    out.extend(data);
    out
}

/// A wav that claims what it has.
fn whole(form: Form, data: &[u8]) -> Vec<u8> {
    wav(form, u32::try_from(data.len()).unwrap(), data)
}

/// 24-bit integers.
pub(crate) fn in_24_bits() -> Vec<u8> {
    let data: Vec<u8> = samples()
        .iter()
        .flat_map(|&sample| (i32::from(sample) << 8).to_le_bytes().into_iter().take(3))
        .collect();
    whole(Form { bits: 24, ..USUAL }, &data)
}

/// 32-bit floats; one of them may be replaced.
pub(crate) fn in_floats(replaced: Option<(usize, f32)>) -> Vec<u8> {
    let mut floats: Vec<f32> = samples().iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    if let Some((index, value)) = replaced {
        floats[index] = value;
    }
    let data: Vec<u8> = floats.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    whole(Form { bits: 32, float: true, ..USUAL }, &data)
}

/// 8 kHz mono: every second sample.
pub(crate) fn at_8_khz() -> Vec<u8> {
    let data: Vec<u8> = samples().iter().step_by(2).flat_map(|sample| sample.to_le_bytes()).collect();
    whole(Form { rate: 8000, ..USUAL }, &data)
}

/// 96 kHz in eight channels, all alike: five points on the line between two samples.
pub(crate) fn at_96_khz_in_8_channels() -> Vec<u8> {
    let samples = samples();
    let mut data = Vec::new();
    for (index, &sample) in samples.iter().enumerate() {
        let (here, next) = (i32::from(sample), i32::from(*samples.get(index + 1).unwrap_or(&0)));
        for step in 0..6 {
            let value = i16::try_from(here + (next - here) * step / 6).unwrap();
            (0..8).for_each(|_| data.extend(value.to_le_bytes()));
        }
    }
    whole(Form { rate: 96_000, channels: 8, ..USUAL }, &data)
}

/// 10 ms from the middle.
pub(crate) fn ten_milliseconds() -> Vec<u8> {
    whole(USUAL, &pcm()[32_000..32_320])
}
