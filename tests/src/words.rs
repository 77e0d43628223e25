//! Word error rate, for comparing transcripts with a reading text.

/// Words that differ, and words there should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Least number of words to insert, delete or replace.
    pub errors: usize,
    /// Words of the reading text.
    pub words: usize,
}

impl WordErrors {
    /// Of one text; letters in lower case, everything that is neither letter, digit nor apostrophe is space.
    #[must_use]
    pub fn of(got: &str, want: &str) -> Self {
        let (got, want) = (words(got), words(want));
        // Levenshtein's rows.
        let mut row: Vec<usize> = (0..=got.len()).collect();
        for (i, wanted) in want.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, word) in got.iter().enumerate() {
                let replaced = diagonal + usize::from(word != wanted);
                diagonal = row[j + 1];
                row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
            }
        }
        Self { errors: row[got.len()], words: want.len() }
    }

    /// Adds those of another text.
    pub fn add(&mut self, other: Self) {
        self.errors += other.errors;
        self.words += other.words;
    }

    /// Errors per hundred words.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts of words")]
    pub fn percent(self) -> f64 {
        100.0 * self.errors as f64 / self.words.max(1) as f64
    }
}

fn words(text: &str) -> Vec<String> {
    let plain: String =
        text.to_lowercase().chars().map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' }).collect();
    plain.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::WordErrors;

    #[test]
    fn insertions_deletions_and_replacements_count_once() {
        let errors = |got, want| WordErrors::of(got, want).errors;
        assert_eq!(errors("The cat sat.", "the cat sat"), 0);
        assert_eq!(errors("the cat", "the cat sat"), 1);
        assert_eq!(errors("the big cat sat", "the cat sat"), 1);
        assert_eq!(errors("a cat sit down", "the cat sat"), 3);
        assert_eq!(WordErrors::of("", "one two").percent(), 100.0);
    }
}
