//! Keys and values of the tokens so far, per block and hypothesis.

use cpu_backend::{KvCache, KvStorage};

/// Self-attention cache of several rows (hypotheses) that share one length.
#[derive(Clone, Debug)]
pub struct SelfCache {
    len: usize,
    capacity: usize,
    /// One row's caches, `[rows][blocks]`.
    rows: Vec<Vec<KvCache>>,
    /// Rows that were dropped, kept for their memory.
    spare: Vec<Vec<KvCache>>,
}

impl SelfCache {
    /// An empty cache with one row.
    pub(super) fn new(
        blocks: usize,
        heads: usize,
        head_dim: usize,
        capacity: usize,
        storage: KvStorage,
    ) -> Self {
        let block = || KvCache::new(heads, head_dim, capacity, storage);
        Self { len: 0, capacity, rows: vec![(0..blocks).map(|_| block()).collect()], spare: Vec::new() }
    }

    /// Tokens that every row holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token was fed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Rows (hypotheses).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Most tokens a row can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Back to one row with the first `len` tokens at most, keeping the memory.
    pub(super) fn truncate(&mut self, len: usize) {
        self.spare.extend(self.rows.drain(1..));
        self.rows[0].iter_mut().for_each(|cache| cache.truncate(len));
        self.len = self.len.min(len);
    }

    /// Every row now holds `n` tokens more.
    pub(super) fn advance(&mut self, n: usize) {
        self.len += n;
    }

    pub(super) fn of(&self, row: usize, block: usize) -> &KvCache {
        &self.rows[row][block]
    }

    pub(super) fn of_mut(&mut self, row: usize, block: usize) -> &mut KvCache {
        &mut self.rows[row][block]
    }

    /// Row `i` becomes what was row `source[i]`: moved where it is taken once, copied where more often.
    ///
    /// Returns `false`, changing nothing, if a source does not exist.
    pub(super) fn rearrange(&mut self, source: &[usize]) -> bool {
        if source.iter().any(|&row| row >= self.rows.len()) {
            return false;
        }
        let mut old: Vec<Option<Vec<KvCache>>> = self.rows.drain(..).map(Some).collect();
        for (row, caches) in old.iter_mut().enumerate() {
            if !source.contains(&row) {
                self.spare.extend(caches.take());
            }
        }
        for (at, &row) in source.iter().enumerate() {
            // The last taker of a row moves it; earlier ones copy it.
            let taken_again = source[at + 1..].contains(&row);
            let next =
                if taken_again { copy(old[row].as_deref(), self.spare.pop()) } else { old[row].take() };
            self.rows.extend(next);
        }
        true
    }
}

/// Copies `original` into the memory of `spare` if there is any.
fn copy(original: Option<&[KvCache]>, spare: Option<Vec<KvCache>>) -> Option<Vec<KvCache>> {
    let original = original?;
    let mut copy = spare.unwrap_or_else(|| original.iter().map(KvCache::empty_like).collect());
    copy.iter_mut().zip(original).for_each(|(to, from)| to.copy_from(from));
    Some(copy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use cpu_backend::{Context, Keys, Level, Mask};

    use super::*;

    /// Rows whose single value is their mark.
    fn cache_with(marks: &[f32]) -> SelfCache {
        let mut cache = SelfCache::new(1, 1, 1, 3, KvStorage::F32);
        assert!(cache.rearrange(&vec![0; marks.len()]));
        for (row, &mark) in marks.iter().enumerate() {
            cache.of_mut(row, 0).extend(&[1.0], &[mark]).unwrap();
        }
        cache.advance(1);
        cache
    }

    /// With one position, attention gives its value.
    fn marks(cache: &SelfCache) -> Vec<f32> {
        let caches: Vec<&KvCache> = (0..cache.rows()).map(|row| cache.of(row, 0)).collect();
        let (q, mut out) = (vec![1.0; caches.len()], vec![0.0; caches.len()]);
        let context = Context::single(Level::detect());
        cpu_backend::attend(&context, &q, Keys::Each(&caches), Mask::None, 1.0, None, &mut out);
        out
    }

    #[test]
    fn rows_follow_their_sources() {
        for source in [&[0, 1, 2][..], &[2, 0, 1], &[1, 1, 1], &[2, 2, 0], &[0], &[0, 0, 1, 1, 2, 2]] {
            let mut cache = cache_with(&[1.0, 2.0, 3.0]);
            assert!(cache.rearrange(source));
            let wanted: Vec<f32> = source.iter().map(|&row| [1.0, 2.0, 3.0][row]).collect();
            assert_eq!(marks(&cache), wanted, "{source:?}");
        }
    }

    #[test]
    fn copies_do_not_share_what_comes_after() {
        let mut cache = cache_with(&[1.0]);
        assert!(cache.rearrange(&[0, 0]));
        cache.of_mut(0, 0).extend(&[1.0], &[9.0]).unwrap();
        assert_eq!(marks(&cache), [5.0, 1.0]);
    }

    #[test]
    fn a_row_that_does_not_exist_is_refused() {
        let mut cache = cache_with(&[1.0, 2.0]);
        assert!(!cache.rearrange(&[0, 2]));
        assert_eq!(marks(&cache), [1.0, 2.0]);
    }

    #[test]
    fn truncated_is_one_row_of_the_first_tokens() {
        let mut cache = cache_with(&[1.0, 2.0]);
        for row in 0..2 {
            cache.of_mut(row, 0).extend(&[1.0], &[9.0]).unwrap();
        }
        cache.advance(1);
        cache.truncate(1);
        assert_eq!((cache.rows(), cache.len(), cache.of(0, 0).len()), (1, 1, 1));
        assert_eq!(marks(&cache), [1.0]);
        cache.truncate(0);
        assert_eq!((cache.rows(), cache.len(), cache.of(0, 0).len()), (1, 0, 0));
    }
}
