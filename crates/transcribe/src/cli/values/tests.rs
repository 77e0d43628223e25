//! Values as typed.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn booleans_are_pythons() {
    for (text, want) in [("True", true), ("False", false), ("true", true), ("FALSE", false)] {
        assert_eq!(boolean(text), Ok(want), "{text}");
    }
    for bad in ["", "yes", "1", "None", "Tru"] {
        assert!(boolean(bad).is_err(), "{bad}");
    }
}

#[test]
fn numbers_may_be_none() {
    assert_eq!(maybe_number("None"), Ok(Maybe(None)));
    assert_eq!(maybe_number("-1.0"), Ok(Maybe(Some(-1.0))));
    assert_eq!(maybe_number("1e-3"), Ok(Maybe(Some(0.001))));
    for bad in ["", "nan", "inf", "x", "1,5"] {
        assert!(maybe_number(bad).is_err(), "{bad}");
    }
    assert_eq!(maybe_count("none"), Ok(Maybe(None)));
    assert_eq!(maybe_count("5"), Ok(Maybe(Some(5))));
    for bad in ["-1", "5.0", ""] {
        assert!(maybe_count(bad).is_err(), "{bad}");
    }
    assert_eq!(not_negative("0"), Ok(0.0));
    assert!(not_negative("-0.1").is_err());
}

#[test]
fn languages_by_code_name_and_alias() {
    for (text, want) in [
        ("en", Some("en")),
        ("EN", Some("en")),
        ("English", Some("en")),
        ("german", Some("de")),
        ("Castilian", Some("es")),
        ("Mandarin", Some("zh")),
        ("None", None),
        ("auto", None),
    ] {
        assert_eq!(language(text), Ok(Language(want)), "{text}");
    }
    assert!(language("klingon").is_err());
    assert_eq!(language_title("de"), "German");
    assert_eq!(language_title("xx"), "Xx");
}

#[test]
fn suppressed_tokens() {
    for (text, want) in [("-1", vec![-1]), ("", vec![]), ("None", vec![]), ("1, 2,-1", vec![1, 2, -1])] {
        assert_eq!(token_ids(text), Ok(TokenIds(want)), "{text}");
    }
    for bad in ["-2", "x", "1,,2", "1.5", "99999999999"] {
        assert!(token_ids(bad).is_err(), "{bad}");
    }
}

#[test]
fn devices_of_pytorch_are_refused_with_a_reason() {
    for device_ in DEVICES {
        assert_eq!(device(device_.name()), Ok(device_));
    }
    assert_eq!(device("CPU"), Ok(Device::Cpu));
    for bad in ["cuda", "cuda:0", "mps"] {
        assert!(device(bad).unwrap_err().contains("graphics"), "{bad}");
    }
    assert!(device("tpu").unwrap_err().contains("auto, cpu"));
}

#[test]
fn clips_as_openai_writes_them() {
    for (text, want) in [
        ("0", vec![0.0]),
        ("", vec![]),
        ("1.5,3", vec![1.5, 3.0]),
        (" 0 , 10 , 20 ", vec![0.0, 10.0, 20.0]),
        ("1:01.5,1:00:00", vec![61.5, 3600.0]),
        ("90,0:02:00", vec![90.0, 120.0]),
    ] {
        assert_eq!(clip_times(text), Ok(ClipTimes(want)), "{text}");
    }
    for bad in
        ["a", "1,", ",1", "-1", "nan", "inf", "5,5", "5,4", "1:60", "1:60:00", "1:2:3:4", ":5", "1:", "+1:2"]
    {
        assert!(clip_times(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_time_is_its_fields(hours in 0u32..100, minutes in 0u32..60, milliseconds in 0u32..60_000) {
        let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        let want = f64::from(hours * 3600 + minutes * 60) + f64::from(milliseconds) / 1000.0;
        let got = time(&format!("{hours}:{minutes:02}:{seconds}")).unwrap();
        // One addition to a number below 2^19: an error of at most half its last place, 2^-35.
        prop_assert!((got - want).abs() <= 2f64.powi(-34), "got {got}, want {want}");
        prop_assert_eq!(time(&format!("{}:{seconds}", hours * 60 + minutes)).unwrap(), got);
    }

    #[test]
    fn seconds_are_read_as_rust_reads_them(value in 0.0f64..1e6) {
        prop_assert_eq!(time(&value.to_string()), Ok(value));
    }

    #[test]
    fn clips_keep_their_number_and_order(mut times in prop::collection::btree_set(0u32..1_000_000, 0..20)) {
        let times: Vec<f64> = std::mem::take(&mut times).into_iter().map(|ms| f64::from(ms) / 1000.0).collect();
        let text: Vec<String> = times.iter().map(f64::to_string).collect();
        prop_assert_eq!(clip_times(&text.join(",")), Ok(ClipTimes(times)));
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,40}") {
        if let Ok(ClipTimes(times)) = clip_times(&text) {
            prop_assert!(times.iter().all(|time| time.is_finite() && *time >= 0.0), "{times:?}");
        }
        let _ = (token_ids(&text), language(&text), device(&text), maybe_number(&text), maybe_count(&text));
    }

    #[test]
    fn times_made_of_their_own_letters_are_sound(text in "[0-9:.,]{0,16}") {
        if let Ok(ClipTimes(times)) = clip_times(&text) {
            prop_assert!(times.chunks_exact(2).all(|clip| clip[0] < clip[1]), "{times:?}");
        }
    }
}
