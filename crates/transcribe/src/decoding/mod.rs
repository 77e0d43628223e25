//! One window's decoding, as OpenAI's `decoding.py`: options, result, and the policy that picks tokens.
//!
//! [`InitialTokens`] ▸ raw logits of an [`Inference`] ▸ [`filters`] ▸ a [`Search`] ([`Greedy`] or [`BeamSearch`]) ▸
//! [`most_likely`] ▸ [`DecodingResult`]; [`WindowDecoder`] drives it.

mod beam;
mod compression;
pub mod filters;
mod greedy;
mod hypotheses;
pub mod inference;
mod language;
mod logits;
mod options;
mod options_check;
pub(crate) mod python;
mod rank;
mod sample;
mod sampler;
mod sot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token_ids;
mod window;
mod zlib_size;

pub use beam::BeamSearch;
pub use compression::compression_ratio;
pub use filters::LogitsFilter;
pub use greedy::Greedy;
pub use hypotheses::{Candidate, Hypotheses, Search};
pub use inference::{Inference, Likely};
pub use language::{LanguageProbability, detect_language, resolve_language};
pub use options::{DecodingOptions, DecodingResult, Task};
pub use rank::most_likely;
pub use sample::{Sampled, Vocabulary, sample_window};
pub use sampler::{Sampler, seed_of_attempt};
pub use sot::InitialTokens;
pub use token_ids::TokenIds;
pub use window::WindowDecoder;
