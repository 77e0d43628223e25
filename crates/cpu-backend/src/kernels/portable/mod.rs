//! The kernels in plain Rust: 4 lanes, a register block of 4 rows × 8 columns.

mod lanes;

crate::kernels::instantiate::instantiate!(lanes::Portable, tile 4 x 2,);
