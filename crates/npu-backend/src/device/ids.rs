//! Numbers for ids: never used twice in a process, so that an id of another device is unknown here, not a mix-up.

use std::sync::atomic::{AtomicU64, Ordering};

/// The next number; the first is 1.
pub(crate) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::fresh;

    #[test]
    fn no_number_comes_twice() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..1000).map(|_| fresh()).collect::<Vec<_>>())).collect();
        let mut seen: Vec<u64> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4000);
    }
}
