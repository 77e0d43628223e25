//! A model of the device in software. Only its array is here yet.

#[allow(dead_code, reason = "the device half, which runs launches on it, is built beside this")]
mod array;

pub use array::Arithmetic;
