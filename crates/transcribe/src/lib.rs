//! Speech to text with Whisper, token for token as OpenAI's implementation does it.
//!
//! Modules stand in the order of the data: [`audio`] ▸ [`mel`] ▸ encoder ([`whisper_encoder`]) ▸ [`text_decoder`] under
//! the policy of [`decoding`] ▸ [`segment`] (and [`timing`] for words) ▸ [`writer`]; [`pipeline`] tells the story.

pub mod audio;
pub mod cli;
pub mod decoding;
mod error;
pub mod mel;
pub mod model;
pub mod pipeline;
pub mod segment;
pub mod speech_model;
pub mod text_decoder;
pub mod timing;
pub mod tokenizer;
pub mod writer;

pub use error::{Error, ErrorKind, Result};
pub use segment::{Segment, Transcription, Word};
