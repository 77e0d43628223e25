//! Special tokens: their ids, read from the file by name, and their names as OpenAI prints them.

use std::collections::HashMap;

use super::file::{AddedToken, TokenBytes};
use super::languages::LANGUAGES;

/// Timestamps 0.00 … 30.00 in steps of 0.02 s.
pub(super) const N_TIMESTAMPS: u32 = 1501;

/// Ids of the special tokens and the way back to their names.
#[derive(Debug)]
pub(super) struct Special {
    pub(super) eot: u32,
    pub(super) sot: u32,
    pub(super) translate: u32,
    pub(super) transcribe: u32,
    pub(super) sot_lm: u32,
    pub(super) sot_prev: u32,
    pub(super) no_speech: Option<u32>,
    pub(super) no_timestamps: u32,
    pub(super) timestamp_begin: u32,
    /// Languages of the vocabulary by token, also of English-only models (which have the tokens but no use for them).
    pub(super) languages: Vec<(&'static str, u32)>,
    names: HashMap<u32, String>,
    ids: HashMap<String, u32>,
}

impl Special {
    /// Looks every special token up by name; the error names the one that is missing.
    pub(super) fn find(added: Vec<AddedToken>, vocab: &TokenBytes) -> Result<Self, String> {
        let mut ids: HashMap<String, u32> =
            added.into_iter().map(|token| (token.content, token.id)).collect();
        // The hub's older files call it by another name; OpenAI prints this one.
        if let Some(id) = ids.remove("<|nocaptions|>") {
            ids.entry("<|nospeech|>".into()).or_insert(id);
        }
        let mut id = |name: &str| -> Result<u32, String> {
            if let Some(id) = ids.get(name) {
                return Ok(*id);
            }
            // English-only files have <|endoftext|> in the vocabulary too.
            let id = vocab.find(name.as_bytes()).ok_or_else(|| format!("it has no token {name}"))?;
            ids.insert(name.into(), id);
            Ok(id)
        };
        let eot = id("<|endoftext|>")?;
        let sot = id("<|startoftranscript|>")?;
        let translate = id("<|translate|>")?;
        let transcribe = id("<|transcribe|>")?;
        let sot_lm = id("<|startoflm|>")?;
        let sot_prev = id("<|startofprev|>")?;
        let no_timestamps = id("<|notimestamps|>")?;
        let timestamp_begin = match ids.get("<|0.00|>") {
            Some(id) => *id,
            // Many files leave the timestamps out; they follow.
            None => no_timestamps.checked_add(1).ok_or("<|notimestamps|> has an impossible id")?,
        };
        let mut languages: Vec<(&'static str, u32)> = LANGUAGES
            .iter()
            .filter_map(|(code, _)| ids.get(&format!("<|{code}|>")).map(|id| (*code, *id)))
            .collect();
        languages.sort_by_key(|(_, id)| *id);
        let special = Self {
            eot,
            sot,
            translate,
            transcribe,
            sot_lm,
            sot_prev,
            no_speech: ids.get("<|nospeech|>").copied(),
            no_timestamps,
            timestamp_begin,
            languages,
            names: ids.iter().map(|(name, id)| (*id, name.clone())).collect(),
            ids,
        };
        special.check()?;
        Ok(special)
    }

    /// What all code relies on: text below eot below the other specials below the timestamps.
    fn check(&self) -> Result<(), String> {
        let between =
            [self.sot, self.translate, self.transcribe, self.sot_lm, self.sot_prev, self.no_timestamps];
        let languages = self.languages.iter().map(|(_, id)| *id);
        for id in between.into_iter().chain(self.no_speech).chain(languages) {
            if id <= self.eot || id >= self.timestamp_begin {
                return Err(format!(
                    "special token {id} is not between <|endoftext|> {} and the first timestamp {}",
                    self.eot, self.timestamp_begin
                ));
            }
        }
        if self.timestamp_begin.checked_add(N_TIMESTAMPS).is_none() {
            return Err(format!("the first timestamp has the impossible id {}", self.timestamp_begin));
        }
        Ok(())
    }

    /// Code of the first language whose token a multilingual file lacks; without it that language could be neither
    /// asked for nor detected, and nobody would be told.
    ///
    /// Languages stand between `<|startoftranscript|>` and `<|translate|>`: 99 of them, or 100 from large-v3 on.
    pub(super) fn missing_language(&self) -> Option<&'static str> {
        let room = self.translate.saturating_sub(self.sot + 1) as usize;
        let expected = if room < LANGUAGES.len() { LANGUAGES.len() - 1 } else { LANGUAGES.len() };
        let known = |code: &str| self.languages.iter().any(|(known, _)| *known == code);
        LANGUAGES[..expected].iter().map(|(code, _)| *code).find(|code| !known(code))
    }

    /// One past the last token that the file or the timestamps reach.
    pub(super) fn end(&self) -> usize {
        let named = self.names.keys().copied().max().unwrap_or(0).saturating_add(1);
        named.max(self.timestamp_begin + N_TIMESTAMPS) as usize
    }

    /// How OpenAI writes a token from `<|endoftext|>` on: `<|en|>`, `<|1.08|>`; none if there is no such token.
    pub(super) fn name(&self, id: u32) -> Option<String> {
        match id.checked_sub(self.timestamp_begin) {
            Some(steps) if steps < N_TIMESTAMPS => Some(timestamp_name(steps)),
            _ => self.names.get(&id).cloned(),
        }
    }

    /// The first special token that is spelled out in `text`.
    pub(super) fn spelled_in(&self, text: &str) -> Option<String> {
        text.match_indices("<|").find_map(|(start, _)| {
            let rest = &text[start..];
            let end = rest.get(2..)?.find("|>")? + 4;
            let name = rest.get(..end)?;
            (self.ids.contains_key(name) || is_timestamp(name)).then(|| name.to_owned())
        })
    }
}

/// `<|1.08|>` for 54 steps of 0.02 s.
fn timestamp_name(steps: u32) -> String {
    format!("<|{:.2}|>", f64::from(steps) * 0.02)
}

fn is_timestamp(name: &str) -> bool {
    let seconds = name.strip_prefix("<|").and_then(|rest| rest.strip_suffix("|>"));
    let seconds: Option<f64> = seconds.and_then(|text| text.parse().ok());
    seconds.is_some_and(|seconds| {
        (0.0..=30.0).contains(&seconds)
            && (0..N_TIMESTAMPS)
                .find(|steps| (f64::from(*steps) * 0.02 - seconds).abs() < 0.005)
                .is_some_and(|steps| timestamp_name(steps) == name)
    })
}
