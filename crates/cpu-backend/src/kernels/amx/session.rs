//! One thread's use of the tile registers: configured by the first product of a task, released at its end.

use super::instructions::Instructions;
#[cfg(test)]
use super::model::Model;
use super::product::{self, Bf16Pairs, ByteQuads, CONFIG, Operands};
use super::tiles::Tiles;
use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// Whose registers this thread has configured.
    static CONFIGURED: Cell<Option<TileUnit>> = const { Cell::new(None) };
}

#[cfg(test)]
thread_local! {
    /// The registers of threads that have none.
    static MODEL: std::cell::RefCell<Model> = std::cell::RefCell::new(Model::new());
}

/// Whether this thread holds tile state.
#[cfg(test)]
pub(crate) fn tiles_are_configured() -> bool {
    CONFIGURED.get().is_some()
}

/// Where products by tiles run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TileUnit {
    /// In the processor.
    Processor,
    /// In the model of it.
    #[cfg(test)]
    Model,
}

/// What a product does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sums of pairs of bf16, in f32.
    Bf16,
    /// The same, added to what is there.
    AddBf16,
    /// Sums of quads of bytes, unsigned times signed, in i32.
    Bytes,
}

/// Releases this thread's registers when it is dropped, if a product has configured them. Held for a task.
pub(crate) struct TileSession {
    on_its_thread: PhantomData<*mut ()>,
}

impl TileSession {
    pub(crate) fn new() -> Self {
        Self { on_its_thread: PhantomData }
    }
}

impl Drop for TileSession {
    fn drop(&mut self) {
        // SAFETY: the registers are configured, so the instruction is there.
        unsafe {
            match CONFIGURED.take() {
                None => {}
                Some(TileUnit::Processor) => Instructions.release(),
                #[cfg(test)]
                Some(TileUnit::Model) => MODEL.with_borrow_mut(|model| model.release()),
            }
        }
    }
}

impl TileUnit {
    /// One product. Configures this thread's registers unless they are; without a [`TileSession`] around it they
    /// stay so.
    ///
    /// # Safety
    /// The operands are as their fields say. `TileUnit::Processor`: the processor has AMX-TILE, AMX-BF16 and
    /// AMX-INT8, and the system permits them ([`super::refusal`]).
    pub(crate) unsafe fn multiply(self, kind: Kind, on: Operands) {
        let configured = CONFIGURED.replace(Some(self)) == Some(self);
        // SAFETY: the caller vouches for the instructions and the operands; there is but one configuration, and this
        // thread's registers have it from there to the release that clears the mark.
        unsafe {
            match self {
                Self::Processor => run(&mut Instructions, configured, kind, on),
                #[cfg(test)]
                Self::Model => MODEL.with_borrow_mut(|model| run(model, configured, kind, on)),
            }
        }
    }
}

/// One product, after configuring the registers unless they are.
///
/// # Safety
/// As [`product::product`]; when `configured`, the registers are.
unsafe fn run<T: Tiles>(tiles: &mut T, configured: bool, kind: Kind, on: Operands) {
    // SAFETY: the contracts are the same, and the registers are configured before the product.
    unsafe {
        if !configured {
            tiles.configure(&CONFIG);
        }
        match kind {
            Kind::Bf16 => product::product::<T, Bf16Pairs, false>(tiles, on),
            Kind::AddBf16 => product::product::<T, Bf16Pairs, true>(tiles, on),
            Kind::Bytes => product::product::<T, ByteQuads, false>(tiles, on),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; units that are not there are named")]
    use super::*;
    use crate::kernels::PANEL;
    use crate::kernels::amx::HEIGHT;
    use crate::tests::{gamma, numbers};
    use half::bf16;

    /// The processor's unit if it has one (says so if not), and the model.
    fn units() -> Vec<TileUnit> {
        if let Some(refusal) = super::super::refusal() {
            eprintln!("skipped on the processor: {refusal}");
            return vec![TileUnit::Model];
        }
        vec![TileUnit::Processor, TileUnit::Model]
    }

    /// Rows of numbers in −1…1, NaN between the rows and behind the last.
    fn bf16_rows(seed: u64, rows: usize, columns: usize, stride: usize) -> Vec<bf16> {
        let mut out = vec![bf16::NAN; rows * stride + 64];
        for (row, from) in numbers(seed, rows * columns).chunks(columns.max(1)).take(rows).enumerate() {
            out[row * stride..][..columns].iter_mut().zip(from).for_each(|(to, &v)| *to = bf16::from_f32(v));
        }
        out
    }

    /// Against f64. Products of bf16 numbers are exact in f32 (those below the least normal number are lost); a term
    /// takes part in at most 16 sums of its chain, that of the two chains, one for each step, and one more when the
    /// product is added to what was there.
    fn check_bf16(unit: TileUnit, pairs: usize, gap: usize, add: bool) {
        let (k, stride, ldc) = (2 * pairs, 2 * pairs + gap, PANEL + gap);
        let (a, b) = (bf16_rows(1, HEIGHT, k, stride), bf16_rows(2, pairs, 2 * PANEL, 2 * PANEL));
        let before = numbers(3, HEIGHT * ldc);
        let mut c = before.clone();
        let on = Operands {
            a: a.as_ptr().cast(),
            a_stride: 2 * stride,
            b: b.as_ptr().cast(),
            groups: pairs,
            c: c.as_mut_ptr().cast(),
            c_stride: 4 * ldc,
        };
        // SAFETY: as many rows at these strides are there; the unit is one of this machine.
        unsafe { unit.multiply(if add { Kind::AddBf16 } else { Kind::Bf16 }, on) };
        for (at, &got) in c.iter().enumerate() {
            let (i, j) = (at / ldc, at % ldc);
            if j >= PANEL {
                assert_eq!(got, before[at], "column {j} was written");
                continue;
            }
            let terms =
                (0..k).map(|d| a[i * stride + d].to_f64() * b[(d / 2 * PANEL + j) * 2 + d % 2].to_f64());
            let start = if add { f64::from(before[at]) } else { 0.0 };
            let (want, size) = terms.fold((start, start.abs()), |(sum, size), t| (sum + t, size + t.abs()));
            let bound = gamma(18 + pairs.div_ceil(16)) * size + k as f64 * f64::from(f32::MIN_POSITIVE);
            let off = (f64::from(got) - want).abs();
            assert!(off <= bound, "{unit:?}, depth {k}, add {add}, at {i},{j}: {got} for {want} ± {bound}");
        }
    }

    /// Sums of whole numbers are exact.
    fn check_bytes(unit: TileUnit, quads: usize, gap: usize) {
        let (k, stride, ldc) = (4 * quads, 4 * quads + gap, PANEL + gap);
        let a: Vec<u8> = (0..HEIGHT * stride).map(|i| (i * 37 % 256) as u8).collect();
        let b: Vec<i8> = (0..k * PANEL).map(|i| (i * 101 % 256) as u8 as i8).collect();
        let mut c = vec![-9_i32; HEIGHT * ldc];
        let on = Operands {
            a: a.as_ptr(),
            a_stride: stride,
            b: b.as_ptr().cast(),
            groups: quads,
            c: c.as_mut_ptr().cast(),
            c_stride: 4 * ldc,
        };
        // SAFETY: as many rows at these strides are there; the unit is one of this machine.
        unsafe { unit.multiply(Kind::Bytes, on) };
        for (at, &got) in c.iter().enumerate() {
            let (i, j) = (at / ldc, at % ldc);
            let term =
                |d: usize| i32::from(a[i * stride + d]) * i32::from(b[(d / 4 * PANEL + j) * 4 + d % 4]);
            let want = if j < PANEL { (0..k).map(term).sum() } else { -9 };
            assert_eq!(got, want, "{unit:?}, depth {k}, at {i},{j}");
        }
    }

    #[test]
    fn every_depth_and_stride() {
        for unit in units() {
            let _session = TileSession::new();
            for groups in [0, 1, 2, 15, 16, 17, 31, 32, 33, 50, 128] {
                for gap in [0, 6] {
                    check_bf16(unit, groups, gap, false);
                    check_bf16(unit, groups, gap, true);
                    check_bytes(unit, groups, gap);
                }
            }
        }
    }

    /// The registers are a thread's own; they are configured at the first product and gone after the session, also
    /// when sessions nest and when a task panics.
    #[test]
    fn registers_are_configured_and_released() {
        for unit in units() {
            let configured = || CONFIGURED.get() == Some(unit);
            let outer = TileSession::new();
            assert!(!configured(), "before a product");
            check_bytes(unit, 3, 0);
            assert!(configured(), "after one");
            std::thread::scope(|s| s.spawn(|| assert!(!configured(), "on another thread")).join().unwrap());
            drop(TileSession::new());
            assert!(!configured(), "after an inner session");
            check_bytes(unit, 3, 0);
            let task = || {
                let _session = TileSession::new();
                check_bytes(unit, 3, 0);
                panic!("a task that fails");
            };
            assert!(std::panic::catch_unwind(task).is_err() && !configured(), "after a panic");
            check_bytes(unit, 3, 0);
            drop(outer);
            assert!(!configured(), "after the session");
        }
    }
}
