//! The encoder's layers. Each file opens with its equation and shapes.

pub(crate) mod block;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod stem;
