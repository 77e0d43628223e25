//! Plans and packing, without a device.

mod packing;
mod plans;
