//! Attention: of many positions at once ([`attention`], the encoder) and of a few against a cache ([`attend`], the
//! decoder).

mod cache;
mod cached;
mod flash;
mod fused;
mod heads;
mod quantised;
mod whole;

pub use cache::{KvCache, KvStorage};
pub use cached::{Keys, Scores, attend};
pub use flash::attention;
pub(crate) use flash::{attend_all, number, unit};
pub(crate) use heads::{Heads, MAX_HEAD_DIM, Packing, Shape};

/// Which keys a query may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All.
    None,
    /// The queries are the last positions of the keys; each sees itself and what is before it.
    Causal,
}

impl Mask {
    /// How many of `keys` keys query `row` of `rows` sees: always the first ones.
    fn visible(self, row: usize, rows: usize, keys: usize) -> usize {
        match self {
            Self::None => keys,
            Self::Causal => (keys + row + 1).saturating_sub(rows).min(keys),
        }
    }
}
