//! Python's idea of white space, which `str.strip` and `\s` follow.

/// Whether Python's `str.isspace` holds for `c`: Unicode's White_Space and the four ASCII separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Python's `text.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}
