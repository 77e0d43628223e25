//! Tokens that are not speech: speaker tags, brackets, notes (OpenAI tokenizer.py, `non_speech_tokens`).

/// Symbols that are suppressed where they are one token, alone or after a space.
const SYMBOLS: &str = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 \
    << >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪";

/// Musical symbols, of which the first token is suppressed however many they are: they share their first two bytes with
/// other miscellaneous symbols (U+2640 … U+267F) only.
const MUSICAL: &str = "♩ ♪ ♫ ♬ ♭ ♮ ♯";

/// The sorted tokens, by way of `encode`.
pub(super) fn tokens(encode: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
    // Hyphens and apostrophes are allowed between words, not at the beginning of one.
    let mut result: Vec<u32> = [" -", " '"].iter().filter_map(|text| encode(text).first().copied()).collect();
    let symbols = SYMBOLS.split(' ').map(|symbol| (symbol, false));
    for (symbol, musical) in symbols.chain(MUSICAL.split(' ').map(|symbol| (symbol, true))) {
        for text in [symbol.to_owned(), format!(" {symbol}")] {
            match encode(&text)[..] {
                [only] => result.push(only),
                [first, ..] if musical => result.push(first),
                _ => {}
            }
        }
    }
    result.sort_unstable();
    result.dedup();
    result
}
