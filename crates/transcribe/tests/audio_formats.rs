//! Sound inputs of every kind that must load, and come out as the tone that went in.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; what is skipped is named")]

use std::f64::consts::TAU;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use transcribe::audio::{Loaded, load_file, load_stream};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio").join(name)
}

/// Amplitude of `hz` in samples at 16 kHz (one bin of a Fourier transform, Hann-weighted), and its sine part.
fn amplitude(samples: &[f32], hz: f64) -> (f64, f64) {
    let (mut re, mut im, mut weights) = (0.0, 0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let weight = 0.5 - 0.5 * (TAU * n as f64 / samples.len() as f64).cos();
        let angle = TAU * hz * n as f64 / 16_000.0;
        re += weight * f64::from(sample) * angle.cos();
        im += weight * f64::from(sample) * angle.sin();
        weights += weight;
    }
    (2.0 * (re * re + im * im).sqrt() / weights, 2.0 * im / weights)
}

/// Checks that it is a clean tone of 1000 Hz and of `peak`, `seconds` long.
fn assert_tone(loaded: &Loaded, what: &str, seconds: f64, slack: f64, peak: f64) {
    assert_eq!(loaded.warnings, [""; 0], "{what}");
    let samples = loaded.samples.as_slice();
    let got = loaded.samples.seconds();
    assert!((got - seconds).abs() <= slack, "{what}: {got} s, want {seconds} ± {slack}");
    // Less 100 ms at both ends: lossy codecs ring where a tone starts.
    let middle = &samples[1600..samples.len() - 1600];
    let (tone, sine) = amplitude(middle, 1000.0);
    assert!((tone / peak - 1.0).abs() < 0.05, "{what}: peak {tone}, want {peak}");
    // It began at phase 0: cos 0.4 is 0.92, and 0.4 of 1000 Hz is 64 µs, one sample. Only ADTS does not say where its sound
    // begins.
    assert!(sine > 0.92 * tone || what == "tone.aac", "{what}: it is shifted: sine part {sine} of {tone}");
    let all = middle.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / middle.len() as f64;
    assert!((all / (tone * tone / 2.0) - 1.0).abs() < 0.02, "{what}: {all} is not all in the tone of {tone}");
}

#[test]
fn every_codec_and_container() {
    // ffmpeg's sine has a peak of 1/8; making it stereo for mp3, Vorbis and Opus took √½ of it into each channel.
    let stereo = 0.125 / 2f64.sqrt();
    for (name, seconds, slack, peak) in [
        // At 48 kbit/s MP3 lost 5 % of it: ffmpeg decodes the file to 0.08395 too.
        ("tone.mp3", 1.5, 0.0, 0.08395),
        ("tone.flac", 1.2, 0.0, 0.125),
        ("tone.ogg", 1.5, 0.0, stereo),
        ("tone.opus", 1.5, 0.0, 0.125),
        ("tone-opus.mp4", 1.5, 0.0, 0.125),
        ("tone-alac.m4a", 1.2, 0.0, 0.125),
        ("tone.m4a", 1.5, 0.0, 0.125),
        ("tone-faststart.mp4", 1.5, 0.0, 0.125),
        // The padding at the end is not trimmed: symphonia does not hand out Matroska's DiscardPadding.
        ("tone.webm", 1.5, 0.02, stereo),
        ("tone.mkv", 1.5, 0.03, 0.125),
        // And ADTS tells nobody about the encoder's delay of 1024 frames in front.
        ("tone.aac", 1.5, 0.047, 0.125),
        // In the centre of six: 1 of the weights 1 + 2·√½ + 2·½.
        ("tone-5.1.opus", 0.5, 0.0, 0.125 / (2.0 + 2f64.sqrt())),
    ] {
        let path = fixture(name);
        let file = load_file(&path, None).unwrap();
        assert_tone(&file, name, seconds, slack, peak);
        // The same from a pipe, which cannot be sought in.
        let pipe = load_stream(Box::new(Dribble(std::fs::File::open(path).unwrap())), "-", None).unwrap();
        assert_eq!(pipe, file, "{name} from a pipe");
    }
}

/// A pipe: gives few bytes at a time.
struct Dribble<R>(R);

impl<R: Read> Read for Dribble<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(1000);
        self.0.read(&mut buffer[..len])
    }
}

fn load_bytes(bytes: Vec<u8>) -> Loaded {
    load_stream(Box::new(Cursor::new(bytes)), "test", None).unwrap()
}

fn wav(rate: u32, channels: u16, bits: u16, format: SampleFormat, frames: usize, peak: f64) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: format };
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..frames {
        let value = peak * (TAU * 1000.0 * n as f64 / f64::from(rate)).sin();
        for _ in 0..channels {
            match format {
                SampleFormat::Float => writer.write_sample(value as f32).unwrap(),
                SampleFormat::Int => {
                    writer.write_sample((value * f64::from(1u32 << (bits - 1))).round() as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn sixteen_bit_mono_at_16_khz_is_exact() {
    let mut bytes = Cursor::new(Vec::new());
    let spec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    for value in i16::MIN..=i16::MAX {
        writer.write_sample(value).unwrap();
    }
    writer.finalize().unwrap();
    let want: Vec<f32> = (i16::MIN..=i16::MAX).map(|value| f32::from(value) / 32768.0).collect();
    assert_eq!(load_bytes(bytes.into_inner()).samples.as_slice(), want);
}

#[test]
fn wavs_of_many_kinds() {
    for (rate, channels, bits, format) in [
        (8000, 1, 16, SampleFormat::Int),
        (16_000, 2, 16, SampleFormat::Int),
        (22_050, 1, 8, SampleFormat::Int),
        (44_100, 2, 24, SampleFormat::Int),
        (48_000, 1, 32, SampleFormat::Int),
        (48_000, 1, 32, SampleFormat::Float),
        (96_000, 8, 24, SampleFormat::Int),
        (192_000, 2, 32, SampleFormat::Float),
        (11_025, 3, 16, SampleFormat::Int),
    ] {
        let loaded = load_bytes(wav(rate, channels, bits, format, rate as usize, 0.5));
        assert_tone(&loaded, &format!("{channels} × {bits} bits at {rate}"), 1.0, 0.0, 0.5);
    }
}

/// A tone in one channel of a 5.1 wav is heard as in 5.1 of a codec (`tone-5.1.opus` above): speech in the centre is not
/// divided by six, and the bass is left out.
#[test]
fn surround_wavs_are_mixed_by_loudspeakers() {
    let sum = 2.0 + 2f64.sqrt();
    for (channel, part) in [(2, 1.0 / sum), (0, 0.5f64.sqrt() / sum), (5, 0.5 / sum), (3, 0.0)] {
        // hound writes the mask of the first six loudspeakers.
        let mut bytes = wav(16_000, 6, 16, SampleFormat::Int, 16_000, 0.5);
        let data = bytes.len() - 16_000 * 6 * 2;
        for (index, sample) in bytes[data..].chunks_exact_mut(2).enumerate() {
            if index % 6 != channel {
                sample.fill(0);
            }
        }
        let loaded = load_bytes(bytes);
        let (tone, _) = amplitude(&loaded.samples.as_slice()[1600..14_400], 1000.0);
        assert!((tone - 0.5 * part).abs() < 1e-3, "channel {channel}: {tone}, want {}", 0.5 * part);
    }
}

/// A wav by hand: format tag, rate, bits, mono.
fn wav_of(tag: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let bytes_per_frame = bits / 8;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + 2 + data.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(18u32.to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(bytes_per_frame)).to_le_bytes());
    out.extend(bytes_per_frame.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(0u16.to_le_bytes());
    out.extend(b"data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn a_law_and_mu_law() {
    // G.711: the largest and smallest code of each sign. A-law inverts even bits (0x55), µ-law all.
    let a_law = load_bytes(wav_of(6, 16_000, 8, &[0xaa, 0x2a, 0xd5, 0x55]));
    let full = 32256.0 / 32768.0;
    assert_eq!(a_law.samples.as_slice(), [full, -full, 8.0 / 32768.0, -8.0 / 32768.0]);
    let mu_law = load_bytes(wav_of(7, 16_000, 8, &[0x80, 0x00, 0xff, 0x7f]));
    let full = 32124.0 / 32768.0;
    assert_eq!(mu_law.samples.as_slice(), [full, -full, 0.0, 0.0]);
    // At 8 kHz, as telephones have it.
    assert_eq!(load_bytes(wav_of(7, 8000, 8, &[0xff; 800])).samples.as_slice().len(), 1600);
}

#[test]
fn ten_milliseconds_are_enough() {
    let loaded = load_bytes(wav(44_100, 1, 16, SampleFormat::Int, 441, 0.5));
    assert_eq!((loaded.samples.as_slice().len(), loaded.warnings.len()), (160, 0));
    assert_eq!(load_bytes(wav(16_000, 1, 16, SampleFormat::Int, 1, 0.5)).samples.as_slice().len(), 1);
}

#[test]
fn loud_floats_are_not_clipped() {
    let loaded = load_bytes(wav(16_000, 1, 32, SampleFormat::Float, 16_000, 3.0));
    let most = loaded.samples.as_slice().iter().copied().fold(0.0, f32::max);
    assert!((most - 3.0).abs() < 1e-5, "{most}");
}

#[test]
fn names_with_spaces_other_letters_and_wrong_extensions() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["two words.wav", "Привет, мир.wav", "日本語 🎧.wav", "no extension", "really a wav.mp3", "-"]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, wav(16_000, 1, 16, SampleFormat::Int, 16_000, 0.5)).unwrap();
        transcribe::audio::check_file(&path).unwrap();
        assert_tone(&load_file(&path, None).unwrap(), name, 1.0, 0.0, 0.5);
    }
}

#[test]
fn raw_files_and_pipes() {
    let format = "s16le:8000:2".parse().unwrap();
    let bytes: Vec<u8> = wav(8000, 2, 16, SampleFormat::Int, 8000, 0.25)[44..].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.raw");
    std::fs::write(&path, &bytes).unwrap();
    let file = load_file(&path, Some(&format)).unwrap();
    assert_tone(&file, "raw", 1.0, 0.0, 0.25);
    let pipe = load_stream(Box::new(Dribble(Cursor::new(bytes))), "-", Some(&format)).unwrap();
    assert_eq!(pipe, file);
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_like_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    if !std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mkfifo here");
        return;
    }
    transcribe::audio::check_file(&path).unwrap();
    let writer = std::thread::spawn({
        let path = path.clone();
        move || std::fs::write(path, std::fs::read(fixture("tone.m4a")).unwrap()).unwrap()
    });
    let loaded = load_file(&path, None).unwrap();
    writer.join().unwrap();
    assert_eq!(loaded, load_file(&fixture("tone.m4a"), None).unwrap());
}
