//! Filters against OpenAI's file, spectrograms against the definition term by term.
#![allow(clippy::unwrap_used)]

use std::f64::consts::PI;

use super::*;

/// The reference filters: see the file's own head for where they come from.
const REFERENCE: &str = include_str!("mel_filters.txt");

#[test]
fn filters_equal_openai_bit_for_bit() {
    let mut rows = 0;
    for line in REFERENCE.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let n_mels: usize = words[1].parse().unwrap();
        let bank = FilterBank::slaney(n_mels);
        if words[0] == "hash" {
            let bytes = (0..n_mels).flat_map(|row| bank.dense(row)).flat_map(|value| value.to_le_bytes());
            let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
            assert_eq!(format!("{hash:016x}"), words[2], "all {n_mels} filters");
        } else {
            let (row, first): (usize, usize) = (words[2].parse().unwrap(), words[3].parse().unwrap());
            let mut want = vec![0.0f32; filter_bank::N_BINS];
            for (value, bits) in want[first..].iter_mut().zip(&words[4..]) {
                *value = f32::from_bits(u32::from_str_radix(bits, 16).unwrap());
            }
            assert_eq!(bank.dense(row), want, "filter {row} of {n_mels}");
            rows += 1;
        }
    }
    assert_eq!(rows, 10);
}

#[test]
fn window_is_periodic_hann() {
    let window = spectrogram::periodic_hann();
    assert_eq!((window[0], window[N_FFT / 2]), (0.0, 1.0));
    for n in 1..N_FFT {
        assert!((window[n] - window[N_FFT - n]).abs() < 1e-6, "{n}: {} {}", window[n], window[N_FFT - n]);
        let exact = 0.5 - 0.5 * (2.0 * PI * n as f64 / 400.0).cos();
        assert!((f64::from(window[n]) - exact).abs() < 4e-7, "{n}: got {}, exact {exact}", window[n]);
    }
}

/// The definition, term by term in f64: no FFT, no sparse filters, the padded signal written out.
fn direct(samples: &[f32], padding: usize, n_mels: usize) -> Vec<f64> {
    let mut signal: Vec<f64> = samples.iter().copied().map(f64::from).collect();
    signal.resize(samples.len() + padding, 0.0);
    let mirrored: Vec<f64> = (1..=200)
        .rev()
        .map(|i| signal[i])
        .chain(signal.iter().copied())
        .chain((2..202).map(|i| signal[signal.len() - i]))
        .collect();
    let frames = signal.len() / 160;
    let bank = FilterBank::slaney(n_mels);
    let mut rows = vec![0.0; n_mels * frames];
    for frame in 0..frames {
        let power: Vec<f64> = (0..201)
            .map(|bin| {
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..400 {
                    let hann = 0.5 - 0.5 * (2.0 * PI * n as f64 / 400.0).cos();
                    let angle = 2.0 * PI * (bin * n % 400) as f64 / 400.0;
                    re += mirrored[frame * 160 + n] * hann * angle.cos();
                    im -= mirrored[frame * 160 + n] * hann * angle.sin();
                }
                re * re + im * im
            })
            .collect();
        for mel in 0..n_mels {
            let energy: f64 = bank.dense(mel).iter().zip(&power).map(|(w, p)| f64::from(*w) * p).sum();
            rows[mel * frames + frame] = energy.max(1e-10).log10();
        }
    }
    let floor = rows.iter().copied().fold(f64::NEG_INFINITY, f64::max) - 8.0;
    rows.iter().map(|&value| (value.max(floor) + 4.0) / 4.0).collect()
}

/// Noise that is loud from the first to the last sample: reflection at both edges matters.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
        })
        .collect()
}

#[test]
fn log_mel_matches_the_definition() {
    // Lengths around the frame grid and the shortest allowed; paddings that end in the signal, at a frame, beyond.
    for (len, padding, n_mels) in [
        (201, 0, 80),
        (359, 0, 80),
        (1600, 0, 80),
        (1601, 0, 128),
        (2000, 1, 80),
        (2000, 199, 80),
        (2000, 3000, 128),
        (7, 400, 80),
        (0, 480, 80),
    ] {
        let samples = noise(len);
        let got = log_mel(&samples, padding, n_mels).unwrap();
        let want = direct(&samples, padding, n_mels);
        assert_eq!((got.n_mels(), got.frames()), (n_mels, (len + padding) / 160));
        for (index, (got, want)) in got.data().iter().zip(&want).enumerate() {
            // The f32 window (2e-7 off) sets the error; it shows only in bins that happen to be quiet. Slips are > 1e-3.
            let delta = (f64::from(*got) - want).abs();
            assert!(delta < 1e-5, "len {len} + {padding}, value {index}: got {got}, want {want}");
        }
    }
}

#[test]
fn frames_that_straddle_tasks_are_in_their_place() {
    let samples = noise(160 * 300);
    let whole = log_mel(&samples, 0, 80).unwrap();
    let want = direct(&samples, 0, 80);
    for column in [127, 128, 129, 255, 256, 299] {
        let (got, want) = (f64::from(whole.data()[300 + column]), want[300 + column]);
        assert!((got - want).abs() < 2e-6, "frame {column}: got {got}, want {want}");
    }
}

#[test]
fn silence_and_the_floor() {
    let silent = log_mel(&[0.0; 1000], 160, 80).unwrap();
    assert!(silent.data().iter().all(|&value| value == -1.5), "log10(1e-10) is −10, (−10 + 4) / 4 = −1.5");

    // The floor is 8 decades under the loudest value of the whole, padding included.
    let loud = log_mel(&noise(1600), 16_000, 80).unwrap();
    let most = loud.data().iter().copied().fold(f32::MIN, f32::max);
    let least = loud.data().iter().copied().fold(f32::MAX, f32::min);
    assert!((most - least - 2.0).abs() < 1e-6, "8 decades / 4: {most} − {least}");
}

#[test]
fn impossible_inputs_are_errors() {
    let short = log_mel(&[0.1; 200], 0, 80).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::Input, "{short}");
    assert!(log_mel(&[], 0, 80).is_err());
    let bins = log_mel(&[0.1; 1000], 0, 96).unwrap_err();
    assert_eq!(bins.kind(), ErrorKind::Model, "{bins}");
    assert!(bins.to_string().contains("96"), "{bins}");
}

#[test]
fn pad_or_trim_does_both() {
    assert_eq!(pad_or_trim(&[1.0, 2.0], 4), [1.0, 2.0, 0.0, 0.0]);
    assert_eq!(pad_or_trim(&[1.0, 2.0, 3.0], 2), [1.0, 2.0]);
    assert_eq!(pad_or_trim(&[], 1), [0.0]);
}

#[test]
fn constants_are_whisper_s() {
    assert_eq!((N_SAMPLES, N_FRAMES, N_SAMPLES_PER_TOKEN), (480_000, 3000, 320));
    assert_eq!((FRAMES_PER_SECOND, TOKENS_PER_SECOND), (100, 50));
}
