//! One thread's use of the tile registers: configured at the first product, released at the end.

use super::instructions::Instructions;
#[cfg(test)]
use super::model::Model;
use super::product::{self, Bf16Pairs, Dot, GROUP, HEIGHT, I8Quads};
use super::tiles::Tiles;
use crate::kernels::PANEL;
use half::bf16;
use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// Whether a session of this thread is open.
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Where the registers are.
enum Unit {
    Processor(Instructions),
    #[cfg(test)]
    Model(Box<Model>),
}

/// The tile registers of this thread. Dropping it releases them; there is one at a time, and it stays on its thread.
pub(crate) struct TileSession {
    unit: Unit,
    /// Rows that the registers are configured for; 0 before the first product.
    rows: usize,
    on_its_thread: PhantomData<*mut ()>,
}

impl TileSession {
    /// The processor's registers.
    ///
    /// # Safety
    /// The processor has AMX-TILE, AMX-BF16 and AMX-INT8, and the system permits them ([`super::refusal`]).
    pub(crate) unsafe fn of_the_processor() -> Self {
        Self::open(Unit::Processor(Instructions))
    }

    /// Registers in the model.
    #[cfg(test)]
    pub(crate) fn of_the_model() -> Self {
        Self::open(Unit::Model(Box::new(Model::new())))
    }

    fn open(unit: Unit) -> Self {
        // A second one would release the registers of the first.
        assert!(!OPEN.replace(true), "this thread's tile registers are in use");
        Self { unit, rows: 0, on_its_thread: PhantomData }
    }

    /// `c[rows][32] = a[rows][2·pairs] · b[2·pairs][32]` for up to 32 rows: `a` at `a_stride` numbers a row, `b` a
    /// panel `[pairs][32][2]`, `c` in rows of 32.
    pub(crate) fn product_bf16(
        &mut self,
        rows: usize,
        a: &[bf16],
        a_stride: usize,
        b: &[bf16],
        pairs: usize,
        c: &mut [f32],
    ) {
        check(rows, (a.len(), a_stride), b.len(), 2 * pairs, c.len());
        let (a, b, c) = (a.as_ptr().cast(), b.as_ptr().cast(), c.as_mut_ptr().cast());
        // SAFETY: the lengths were checked.
        unsafe { self.product::<Bf16Pairs>(rows, a, a_stride * size_of::<bf16>(), b, pairs, c) }
    }

    /// `c[rows][32] = a[rows][4·quads] · b[4·quads][32]`, exactly, for up to 32 rows: `a` at `a_stride` numbers a
    /// row, `b` a panel `[quads][32][4]`, `c` in rows of 32.
    pub(crate) fn product_i8(
        &mut self,
        rows: usize,
        a: &[i8],
        a_stride: usize,
        b: &[i8],
        quads: usize,
        c: &mut [i32],
    ) {
        check(rows, (a.len(), a_stride), b.len(), 4 * quads, c.len());
        let (a, b, c) = (a.as_ptr().cast(), b.as_ptr().cast(), c.as_mut_ptr().cast());
        // SAFETY: the lengths were checked.
        unsafe { self.product::<I8Quads>(rows, a, a_stride, b, quads, c) }
    }

    /// # Safety
    /// As [`product::product`], without what concerns instructions and registers.
    unsafe fn product<D: Dot>(
        &mut self,
        rows: usize,
        a: *const u8,
        a_stride: usize,
        b: *const u8,
        groups: usize,
        c: *mut u8,
    ) {
        let configured = self.rows == rows;
        self.rows = rows;
        // SAFETY: whoever opened the session vouched for the instructions; the caller does for the pointers.
        unsafe {
            match &mut self.unit {
                Unit::Processor(tiles) => {
                    run::<_, D>(tiles, configured, rows, a, a_stride, b, groups, c);
                }
                #[cfg(test)]
                Unit::Model(tiles) => run::<_, D>(&mut **tiles, configured, rows, a, a_stride, b, groups, c),
            }
        }
    }
}

/// One product, after configuring the registers unless they are.
///
/// # Safety
/// As [`product::product`]; when `configured`, the registers are as its configuration says.
#[allow(clippy::too_many_arguments, reason = "a matrix product: operands, strides, sizes")]
unsafe fn run<T: Tiles, D: Dot>(
    tiles: &mut T,
    configured: bool,
    rows: usize,
    a: *const u8,
    a_stride: usize,
    b: *const u8,
    groups: usize,
    c: *mut u8,
) {
    // SAFETY: the contracts are the same; the configuration is that of the rows.
    unsafe {
        if !configured {
            tiles.configure(&product::config(rows));
        }
        product::product::<T, D>(tiles, rows, a, a_stride, b, groups, c);
    }
}

/// Panics unless the operands of a product of `rows` × `k` with a panel are there; `a` is its length and stride.
fn check(rows: usize, a: (usize, usize), b: usize, k: usize, c: usize) {
    let (a, a_stride) = a;
    assert!((1..=HEIGHT).contains(&rows), "{rows} rows");
    assert!(a >= (rows - 1) * a_stride + k, "{rows} rows of {k} at a stride of {a_stride} in {a}");
    assert!(b >= k * PANEL && c >= rows * PANEL, "a panel of depth {k} in {b}, {rows} rows of sums in {c}");
}

impl Drop for TileSession {
    fn drop(&mut self) {
        if self.rows > 0 {
            // SAFETY: whoever opened the session vouched for the instruction.
            unsafe {
                match &mut self.unit {
                    Unit::Processor(tiles) => tiles.release(),
                    #[cfg(test)]
                    Unit::Model(tiles) => tiles.release(),
                }
            }
        }
        OPEN.set(false);
    }
}

const _: () = assert!(GROUP == size_of::<f32>() && GROUP == size_of::<i32>());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{gamma, numbers};

    /// bf16 in −1…1 at a row stride with NaN between the rows, and NaN behind the end.
    fn matrix(seed: u64, rows: usize, columns: usize, stride: usize) -> Vec<bf16> {
        let mut out = vec![bf16::NAN; rows * stride + 64];
        for (row, from) in numbers(seed, rows * columns).chunks(columns.max(1)).take(rows).enumerate() {
            out[row * stride..][..columns].iter_mut().zip(from).for_each(|(to, &v)| *to = bf16::from_f32(v));
        }
        out
    }

    /// Against f64. Products of bf16 numbers are exact in f32 (those below the least normal number are lost), and a
    /// term takes part in at most 16 sums of its chain, that of the two chains, and one for each step.
    fn check_bf16(session: &mut TileSession, rows: usize, pairs: usize, stride: usize) {
        let k = 2 * pairs;
        let (a, b) = (matrix(1, rows, k, stride), matrix(2, pairs, 2 * PANEL, 2 * PANEL));
        let mut c = vec![7.5_f32; HEIGHT * PANEL];
        session.product_bf16(rows, &a[..(rows - 1) * stride + k], stride, &b[..k * PANEL], pairs, &mut c);
        for (at, &got) in c.iter().enumerate() {
            let (i, j) = (at / PANEL, at % PANEL);
            if i >= rows {
                assert_eq!(got, 7.5, "row {i} of {rows} was written");
                continue;
            }
            let terms =
                (0..k).map(|d| a[i * stride + d].to_f64() * b[(d / 2 * PANEL + j) * 2 + d % 2].to_f64());
            let (want, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
            let bound = gamma(17 + pairs.div_ceil(16)) * size + k as f64 * f64::from(f32::MIN_POSITIVE);
            assert!(
                (f64::from(got) - want).abs() <= bound,
                "[{rows}, {k}] at {i},{j}: {got} for {want} ± {bound}"
            );
        }
    }

    fn check_i8(session: &mut TileSession, rows: usize, quads: usize, stride: usize) {
        let k = 4 * quads;
        let byte = |i: usize, by: usize| (i * by % 256) as u8 as i8;
        let a: Vec<i8> = (0..rows * stride).map(|i| byte(i, 37)).collect();
        let b: Vec<i8> = (0..k * PANEL).map(|i| byte(i, 101)).collect();
        let mut c = vec![-9_i32; HEIGHT * PANEL];
        session.product_i8(rows, &a, stride, &b, quads, &mut c);
        for (at, &got) in c.iter().enumerate() {
            let (i, j) = (at / PANEL, at % PANEL);
            let term =
                |d: usize| i32::from(a[i * stride + d]) * i32::from(b[(d / 4 * PANEL + j) * 4 + d % 4]);
            let want = if i < rows { (0..k).map(term).sum() } else { -9 };
            assert_eq!(got, want, "[{rows}, {k}] at {i},{j}");
        }
    }

    fn check_all(session: &mut TileSession) {
        for rows in [1, 2, 15, 16, 17, 31, 32] {
            for groups in [0, 1, 2, 15, 16, 17, 31, 32, 33, 50, 128] {
                for gap in [0, 6] {
                    check_bf16(session, rows, groups, 2 * groups + gap);
                    check_i8(session, rows, groups, 4 * groups + gap);
                }
            }
        }
    }

    #[test]
    fn every_edge_on_the_model() {
        check_all(&mut TileSession::of_the_model());
    }

    #[test]
    fn every_edge_on_the_processor() {
        if let Some(refusal) = super::super::refusal() {
            assert!(!refusal.is_empty());
            return;
        }
        // SAFETY: nothing was refused.
        check_all(&mut unsafe { TileSession::of_the_processor() });
    }

    #[test]
    fn one_session_a_thread_and_another_after_it() {
        for _ in 0..2 {
            let first = TileSession::of_the_model();
            assert!(std::panic::catch_unwind(TileSession::of_the_model).is_err());
            let elsewhere = std::thread::spawn(|| drop(TileSession::of_the_model()));
            elsewhere.join().unwrap();
            drop(first);
        }
    }

    #[test]
    #[should_panic(expected = "17 rows of 8 at a stride of 8 in 130")]
    fn operands_that_are_too_short_are_refused() {
        let (a, b, mut c) = ([bf16::ONE; 130], [bf16::ONE; 8 * PANEL], [0.0; HEIGHT * PANEL]);
        TileSession::of_the_model().product_bf16(17, &a, 8, &b, 4, &mut c);
    }
}
