//! A model of the device in software.

mod array;
