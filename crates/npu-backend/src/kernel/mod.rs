//! What runs on the array: instruction streams, the manifest, images.

pub(crate) mod fingerprint;
pub mod image;
pub mod manifest;
pub mod stream;
pub mod tap;

pub use stream::{Channel, Drain, Program, Segment};
pub use tap::{Tap, TapDim};
