//! What a core does with its streams: the worker's loop as a list of jobs, each with its place on the streams.
//!
//! Objects carry no names: a core knows what one is by counting. So the walk over the streams needs the parameter
//! objects alone, and finds every hang and every left object before anything is computed.

use super::fault::{ArrayFault, Core, Port};
use super::parameters::{HEADER_BYTES, Operation, Parameters};

/// One output tile (or two halves of one): its parameters and where its objects stand on the streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Job {
    /// What to do.
    pub(crate) parameters: Parameters,
    /// Position of the parameter object on the B stream; the other objects follow it.
    pub(crate) b: usize,
    /// Position of its first object on the A stream.
    pub(crate) a: usize,
}

/// Halves of a C object.
const HALVES: usize = 2;

impl Job {
    /// Objects taken from the A stream on an array of `columns`.
    pub(crate) fn a_objects(&self, columns: u32) -> usize {
        let Parameters { operation, residual, steps, .. } = self.parameters;
        let slots = 2 * columns as usize;
        match operation {
            Operation::GemmBf16 => steps + if residual { slots } else { 0 },
            Operation::GemmI8I32 | Operation::GemmI8I8 => steps,
            // One object of L2, of which the first quarter holds the row scales.
            Operation::GemmI8Bf16 => steps + 4,
            // Two objects of Q a column; in int8, one of Q and one of its row scales.
            Operation::AttentionBf16 | Operation::AttentionI8 => slots,
        }
    }

    /// Objects taken from the B stream, the parameters among them.
    pub(crate) fn b_objects(&self) -> usize {
        let steps = self.parameters.steps;
        match self.parameters.operation {
            Operation::AttentionBf16 => 1 + 2 * steps,
            Operation::AttentionI8 => 1 + 3 * steps,
            _ => 1 + steps,
        }
    }

    /// Halves of C objects that it fills.
    pub(crate) fn c_halves(&self) -> usize {
        match self.parameters.operation {
            Operation::GemmI8I32 => 2 * HALVES,
            Operation::GemmI8I8 => 1,
            _ => HALVES,
        }
    }
}

/// Lengths of the streams of one core, in objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// Of the A stream.
    pub(crate) a: usize,
    /// Of the B stream.
    pub(crate) b: usize,
    /// C objects that the drains of the column take from each of its cores.
    pub(crate) c: usize,
}

/// The jobs of `core`, given the head of any object of its B stream.
///
/// # Errors
/// [`ArrayFault::Hang`], [`ArrayFault::Unconsumed`], [`ArrayFault::Parameters`], and those of `header`.
pub(crate) fn jobs(
    core: Core,
    columns: u32,
    lengths: Lengths,
    header: impl Fn(usize) -> Result<[u8; HEADER_BYTES], ArrayFault>,
) -> Result<Vec<Job>, ArrayFault> {
    let mut jobs: Vec<Job> = Vec::new();
    let (mut a, mut b, mut halves) = (0, 0, 0);
    while b < lengths.b {
        let bad = |why| ArrayFault::Parameters { core, object: b, why };
        let parameters = Parameters::decode(&header(b)?, columns).map_err(bad)?;
        let job = Job { parameters, a, b };
        if halves % HALVES != 0 && parameters.operation != Operation::GemmI8I8 {
            return Err(bad(format!("{:?} while half an object of int8 waits", parameters.operation)));
        }
        let (a_end, b_end) = (a + job.a_objects(columns), b + job.b_objects());
        if a_end > lengths.a || b_end > lengths.b {
            return Err(starved(core, &job, columns, lengths));
        }
        halves += job.c_halves();
        if halves.div_ceil(HALVES) > lengths.c {
            return Err(ArrayFault::Hang {
                waiter: core.to_string(),
                port: Port::C(core.column),
                object: lengths.c,
                available: lengths.c,
                what: "a drain that takes its output",
            });
        }
        jobs.push(job);
        (a, b) = (a_end, b_end);
    }
    if a < lengths.a {
        return Err(ArrayFault::Unconsumed { port: Port::A(core.row), object: a, left: lengths.a - a });
    }
    if halves / HALVES < lengths.c {
        return Err(ArrayFault::Hang {
            waiter: format!("the drain of column {}", core.column),
            port: Port::C(core.column),
            object: halves / HALVES,
            available: halves / HALVES,
            what: "an output of every core",
        });
    }
    Ok(jobs)
}

/// The fault of a job whose objects do not all come: which one the core waits for first.
fn starved(core: Core, job: &Job, columns: u32, lengths: Lengths) -> ArrayFault {
    let (a_left, b_left) = (lengths.a - job.a, lengths.b - job.b - 1);
    let attention = job.parameters.operation.is_attention();
    // Attention takes all queries first. A GEMM takes A and B in turn, A first, and the rest of A at the end.
    let a_is_first = match attention {
        true => a_left < job.a_objects(columns),
        false => b_left >= job.parameters.steps || a_left <= b_left,
    };
    let (port, available, what) = match (a_is_first, attention) {
        (true, true) => (Port::A(core.row), lengths.a, "queries"),
        (true, false) => (Port::A(core.row), lengths.a, "a block of A, or what follows the last"),
        (false, true) => (Port::B(core.column), lengths.b, "keys and values"),
        (false, false) => (Port::B(core.column), lengths.b, "a block of B"),
    };
    ArrayFault::Hang { waiter: core.to_string(), port, object: available, available, what }
}
