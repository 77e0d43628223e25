//! A stable hash of the kernels' files: it tells a stale image or a stale library from a fresh one, no more.
//!
//! FNV-1a of 128 bits (offset basis and prime of <http://www.isthe.com/chongo/tech/comp/fnv/>): short enough to be
//! written again in the Makefile's Python. Nothing here defends against someone who wants two files to collide.

/// A hash under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    /// Of nothing.
    pub(crate) const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// With these bytes after those before.
    #[must_use]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        Self(bytes.iter().fold(self.0, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME)))
    }

    /// With a text and a zero byte after those before, so that two texts are not one.
    #[must_use]
    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0])
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

/// Of everything that an image is made of: the manifest, then name and text of each source by order of names.
pub(crate) fn of_kernels(manifest: &str, sources: &[(&str, &str)]) -> String {
    let mut sources = sources.to_vec();
    sources.sort_unstable();
    let start = Fingerprint::new().text(manifest);
    sources.iter().fold(start, |hash, (name, text)| hash.text(name).text(text)).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // The basis is the hash of nothing; the others were computed by Python's integers from the definition.
        assert_eq!(Fingerprint::new().hex(), "6c62272e07bb014262b821756295c58d");
        assert_eq!(Fingerprint::new().bytes(b"a").hex(), "d228cb696f1a8caf78912b704e4a8964");
    }

    #[test]
    fn the_order_of_files_does_not_matter_but_where_they_end_does() {
        assert_eq!(of_kernels("m", &[("a", "1"), ("b", "2")]), of_kernels("m", &[("b", "2"), ("a", "1")]));
        assert_ne!(of_kernels("m", &[("a", "1b")]), of_kernels("m", &[("a1", "b")]));
    }
}
