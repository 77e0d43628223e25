//! Whole operations on one device: resident weights, matrices in buffers, launches made once and run many times.

mod built;
mod engine;
mod images;
mod modelled;
mod pool;
pub mod strategies;
mod weights;

pub use built::{BuiltImages, IMAGES_VARIABLE};
pub use engine::Engine;
pub use images::{Images, Operation};
pub use modelled::ModelledImages;
pub use weights::DeviceWeights;
