//! Samples, raw formats, downmixing and resampling by numbers; whole files are in `tests/audio_formats.rs`.
#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;

use symphonia::core::audio::{Channels, Position};

use super::downmix::{Layout, mix};
use super::resample::Resampler;
use super::*;

fn sine(rate: u32, hz: f64, frames: usize) -> Vec<f32> {
    (0..frames).map(|n| (0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

fn resample(rate: u32, mono: &[f32], pieces: usize) -> Vec<f32> {
    let mut resampler = Resampler::new(rate).unwrap();
    let mut out = Vec::new();
    for piece in mono.chunks(pieces) {
        resampler.push(piece, &mut out).unwrap();
    }
    resampler.finish(&mut out).unwrap();
    out
}

fn power(samples: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), sample| (sum + sample * sample, count + 1.0));
    sum / count
}

#[test]
fn a_resampled_sine_is_that_sine_in_its_place() {
    for rate in [8000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000, 44_056] {
        for hz in [100.0, 1000.0, 3500.0] {
            let got = resample(rate, &sine(rate, hz, rate as usize), 1152);
            let want = sine(SAMPLE_RATE, hz, 16_000);
            assert_eq!(got.len(), 16_000, "{rate} Hz");
            // Less 50 ms at both ends, where the filter sees the sine begin and stop.
            let middle = 800..15_200;
            let noise = power(middle.clone().map(|n| f64::from(got[n]) - f64::from(want[n])));
            let snr = 10.0 * (power(middle.map(|n| f64::from(want[n]))) / noise).log10();
            // 16-bit audio has 98 dB at full scale; the sine is at half of it.
            assert!(snr > 92.0, "{hz} Hz at {rate}: SNR {snr:.1} dB");
        }
    }
}

#[test]
fn what_16_khz_cannot_hold_is_gone() {
    for (rate, hz) in [(48_000, 8_200.0), (48_000, 12_000.0), (44_100, 15_900.0), (96_000, 40_000.0)] {
        let got = resample(rate, &sine(rate, hz, rate as usize), 4096);
        let rest = power(got[800..15_200].iter().map(|&sample| f64::from(sample)));
        let decibels = 10.0 * (rest / 0.125).log10();
        assert!(decibels < -90.0, "{hz} Hz at {rate} comes back at {decibels:.1} dB");
    }
}

#[test]
fn length_is_exact_and_does_not_depend_on_the_pieces() {
    for (rate, frames) in
        [(48_000, 1), (48_000, 2), (8000, 1), (44_100, 441), (44_100, 99_999), (11_025, 12_345)]
    {
        let mono = sine(rate, 440.0, frames);
        let whole = resample(rate, &mono, usize::MAX >> 1);
        let want = (frames as f64 * 16_000.0 / f64::from(rate)).round() as usize;
        assert_eq!(whole.len(), want, "{frames} frames at {rate}");
        assert_eq!(resample(rate, &mono, 7), whole);
    }
    assert!(resample(44_100, &[], 1).is_empty());
    assert!(Resampler::new(0).is_err() && Resampler::new(u32::MAX).is_err());
}

#[test]
fn weights_are_those_of_the_module_text() {
    let five_one = Position::FRONT_LEFT
        | Position::FRONT_RIGHT
        | Position::FRONT_CENTER
        | Position::LFE1
        | Position::REAR_LEFT
        | Position::REAR_RIGHT;
    let surround = Layout::new(&Channels::Positioned(five_one), false, None).weights();
    let sum = 1.0 + 2.0 * 0.5f32.sqrt() + 1.0;
    for (got, want) in surround.iter().zip([0.5f32.sqrt(), 0.5f32.sqrt(), 1.0, 0.0, 0.5, 0.5]) {
        assert!((got - want / sum).abs() < 1e-6, "{surround:?}");
    }
    // The same channels in PCM are microphones, unless the header says otherwise.
    assert_eq!(Layout::new(&Channels::Positioned(five_one), true, None).weights(), [1.0 / 6.0; 6]);
    let named: Vec<Position> = five_one.iter().collect();
    assert_eq!(Layout::new(&Channels::Positioned(five_one), true, Some(&named)).weights(), surround);
    assert_eq!(Layout::new(&Channels::Discrete(6), true, Some(&named)).weights(), surround);
    assert_eq!(Layout::new(&Channels::Discrete(4), true, Some(&named)).weights(), [0.25; 4]);
    let stereo = Channels::Positioned(Position::FRONT_LEFT | Position::FRONT_RIGHT);
    assert_eq!(Layout::new(&stereo, false, None).weights(), [0.5, 0.5]);
    assert_eq!(Layout::new(&Channels::Positioned(Position::FRONT_LEFT), false, None).weights(), [1.0]);

    let mut mono = Vec::new();
    mix(&[1.0, 0.5, -1.0, 0.0], &[0.5, 0.5], &mut mono);
    assert_eq!(mono, [0.75, -0.5]);
}

#[test]
fn samples_must_be_sound() {
    assert_eq!(Samples::new(vec![0.0; 8000]).unwrap().seconds(), 0.5);
    for (bad, word) in [(f32::NAN, "not a number"), (f32::INFINITY, "infinite"), (-1e13, "-1e13")] {
        let error = Samples::new(vec![0.0, 1.0, bad]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.why().contains("sample 2") && error.why().contains(word), "{error}");
    }
}

#[test]
fn raw_formats_parse_or_say_why_not() {
    for good in ["s16le:16000:1", "u8:8000:2", "s8:8000:2", "f64be:48000:8", "s24be:96000:3"] {
        assert_eq!(good.parse::<RawFormat>().unwrap().to_string(), good);
    }
    for (bad, says) in [
        ("", "three parts"),
        ("s16le:16000", "three parts"),
        ("s16:16000:1", "no encoding `s16`"),
        ("s16le:0:1", "rate `0`"),
        ("s16le:16k:1", "rate `16k`"),
        ("s16le:16000:0", "channels `0`"),
        ("s16le:16000:65", "channels `65`"),
        ("s16le:16000:-1", "channels `-1`"),
    ] {
        let error = bad.parse::<RawFormat>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{bad}");
        assert!(error.why().contains(says), "{bad}: {error}");
        assert!(error.hint().contains("s16le:16000:1"), "{bad}: {error}");
    }
}

#[test]
fn raw_samples_of_every_encoding() {
    // −1, −1/2, 0, 1/2 (exact in each), and for integers the largest value.
    let cases: [(&str, &[u8], &[f32]); 12] = [
        ("s8", &[0x80, 0xc0, 0, 0x40, 0x7f], &[-1.0, -0.5, 0.0, 0.5, 127.0 / 128.0]),
        ("u8", &[0, 0x40, 0x80, 0xc0, 0xff], &[-1.0, -0.5, 0.0, 0.5, 127.0 / 128.0]),
        ("s16le", &[0, 0x80, 0, 0xc0, 0, 0, 0, 0x40, 0xff, 0x7f], &[-1.0, -0.5, 0.0, 0.5, 32767.0 / 32768.0]),
        ("s16be", &[0x80, 0, 0xc0, 0, 0, 0, 0x40, 0, 0x7f, 0xff], &[-1.0, -0.5, 0.0, 0.5, 32767.0 / 32768.0]),
        ("s24le", &[0, 0, 0x80, 0, 0, 0xc0, 1, 0, 0], &[-1.0, -0.5, 1.0 / 8_388_608.0]),
        ("s24be", &[0x80, 0, 0, 0xc0, 0, 0, 0, 0, 1], &[-1.0, -0.5, 1.0 / 8_388_608.0]),
        ("s32le", &[0, 0, 0, 0x80, 0, 0, 0, 0x40], &[-1.0, 0.5]),
        ("s32be", &[0x80, 0, 0, 0, 0x40, 0, 0, 0], &[-1.0, 0.5]),
        ("f32le", &[0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f], &[-1.0, 0.5]),
        ("f32be", &[0xbf, 0x80, 0, 0, 0x3f, 0, 0, 0], &[-1.0, 0.5]),
        ("f64le", &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f], &[0.5]),
        ("f64be", &[0x3f, 0xe0, 0, 0, 0, 0, 0, 0], &[0.5]),
    ];
    for (encoding, bytes, want) in cases {
        let format: RawFormat = format!("{encoding}:16000:1").parse().unwrap();
        let got = raw::decode(bytes, "test", &format).unwrap();
        assert_eq!(got.samples.as_slice(), want, "{encoding}");
        assert_eq!(got.warnings, [""; 0], "{encoding}");
    }
}

#[test]
fn raw_stereo_and_a_broken_last_frame() {
    let format: RawFormat = "s16le:16000:2".parse().unwrap();
    let got = raw::decode(&[0, 0x40, 0, 0x20, 0, 0x40, 0, 0xc0, 1, 2, 3][..], "test", &format).unwrap();
    assert_eq!(got.samples.as_slice(), [0.375, 0.0]);
    assert!(got.warnings[0].contains("last 3 bytes"), "{:?}", got.warnings);
    let error = raw::decode(&[][..], "`a`", &format).unwrap_err();
    assert!(error.to_string().contains("cannot read `a`: there is no sound"), "{error}");
    let bad = raw::decode(&f32::NAN.to_le_bytes()[..], "`a`", &"f32le:16000:1".parse().unwrap()).unwrap_err();
    assert!(bad.why().contains("sample 0 (at 0.000 s) is not a number"), "{bad}");
}
