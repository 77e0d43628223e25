//! Whisper's text decoder on the CPU: tokens and audio features in, logits out.
//!
//! Weights are immutable and shared; what grows with the text is an explicit [`SelfCache`], what belongs to one audio
//! window an explicit [`CrossCache`].

mod align;
mod block;
mod cross;
mod inference;
mod network;
mod self_cache;
mod weights;

pub use cross::CrossCache;
pub use inference::WindowInference;
pub use network::{Scratch, TextDecoder};
pub use self_cache::SelfCache;
