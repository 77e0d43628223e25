//! One window's decoding, as OpenAI's `decoding.py`: options, result, and the policy that picks tokens.

pub mod inference;
mod options;

pub use inference::Inference;
pub use options::{DecodingOptions, DecodingResult, Task};
