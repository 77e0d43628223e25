//! The cores at work: the jobs of one core, done by the kernels' own code on that core's memory.

use super::l1::{ACC_BYTES, C_BYTES, L1, ML_BYTES, PARAMETER_BYTES, SCORES_BYTES};
use super::native::{Half, Kernels};
use super::parameters::{Operation, STEP_GRANULE};
use super::streams::Stream;
use super::worker::Job;

/// Keys in a block of bf16 attention, and in half a block of int8 attention.
const KEYS: usize = 32;

/// Objects of each side that a core multiplies at a time; [`STEP_GRANULE`] makes their number even.
const OBJECTS_A_TURN: usize = 2;
const _: () = assert!(STEP_GRANULE.is_multiple_of(OBJECTS_A_TURN as u32));

/// One core: its place in its row, its streams and the code it runs.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'a> {
    /// The kernels.
    pub(crate) kernels: &'a Kernels,
    /// Which of the slots on the A stream are its own.
    pub(crate) column: usize,
    /// Columns that share the A stream.
    pub(crate) columns: usize,
    /// Channel 0.
    pub(crate) a: &'a Stream<'a>,
    /// Channel 1.
    pub(crate) b: &'a Stream<'a>,
}

/// What a core keeps in its memory besides the objects of its streams.
struct Memory {
    acc: L1<ACC_BYTES>,
    /// On silicon the slots 2 and 3 of the ring for A.
    scores: L1<SCORES_BYTES>,
    ml: L1<ML_BYTES>,
    parameters: L1<PARAMETER_BYTES>,
    c: L1<C_BYTES>,
}

impl Worker<'_> {
    /// Does the jobs in order; answers the C objects in theirs.
    pub(crate) fn run(&self, jobs: &[Job]) -> Vec<L1<C_BYTES>> {
        let mut memory = Memory {
            acc: L1::zeroed(),
            scores: L1::zeroed(),
            ml: L1::zeroed(),
            parameters: L1::zeroed(),
            c: L1::zeroed(),
        };
        let mut out = Vec::with_capacity(jobs.iter().map(Job::c_halves).sum::<usize>().div_ceil(2));
        // Which half of C the next int8 tile fills.
        let mut half = Half::First;
        for job in jobs {
            memory.parameters.0.copy_from_slice(&self.b.object(job.b).0[..PARAMETER_BYTES]);
            match job.parameters.operation {
                Operation::GemmI8I32 => {
                    self.accumulate(job, &mut memory);
                    for half in Half::BOTH {
                        self.kernels.finish_i8_i32(&memory.acc, half, &mut memory.c);
                        out.push(memory.c.clone());
                    }
                    continue;
                }
                Operation::GemmI8I8 => {
                    self.accumulate(job, &mut memory);
                    self.kernels.finish_i8_i8(&memory.acc, &memory.parameters, half, &mut memory.c);
                    half = half.next();
                    if half == Half::Second {
                        continue;
                    }
                }
                Operation::GemmBf16 | Operation::GemmI8Bf16 => {
                    self.accumulate(job, &mut memory);
                    self.finish_bf16(job, &mut memory);
                }
                _ if job.parameters.idle => memory.c.0.fill(0),
                Operation::AttentionBf16 => self.attention_bf16(job, &mut memory),
                Operation::AttentionI8 => self.attention_i8(job, &mut memory),
            }
            out.push(memory.c.clone());
        }
        out
    }

    /// The K steps of a GEMM, from cleared accumulators, which an idle core leaves so.
    fn accumulate(&self, job: &Job, memory: &mut Memory) {
        self.kernels.zero_acc(&mut memory.acc);
        if job.parameters.idle {
            return;
        }
        let acc = &mut memory.acc;
        for step in (0..job.parameters.steps).step_by(OBJECTS_A_TURN) {
            let [a0, a1] = [0, 1].map(|object| self.a.object(job.a + step + object));
            let [b0, b1] = [0, 1].map(|object| self.b.object(job.b + 1 + step + object));
            match job.parameters.operation {
                Operation::GemmBf16 => self.kernels.gemm_bf16_step2(a0, a1, b0, b1, acc),
                _ => self.kernels.gemm_i8_step2(a0, a1, b0, b1, acc),
            }
        }
    }

    /// The epilogue of the two GEMMs whose output is bf16.
    fn finish_bf16(&self, job: &Job, memory: &mut Memory) {
        let Memory { acc, parameters, c, .. } = memory;
        let after = job.a + job.parameters.steps;
        let own = after + 2 * self.column;
        match (job.parameters.operation, job.parameters.residual) {
            (Operation::GemmI8Bf16, _) => {
                self.kernels.finish_i8_bf16(acc, parameters, self.a.object(after), c);
            }
            (_, true) => {
                let (left, right) = (self.a.object(own), self.a.object(own + 1));
                self.kernels.finish_bf16_residual(acc, parameters, left, right, c);
            }
            (_, false) => self.kernels.finish_bf16(acc, parameters, c),
        }
    }

    /// One head's 64 queries against all keys; the queries wait in C, which is free until the end.
    fn attention_bf16(&self, job: &Job, memory: &mut Memory) {
        let Memory { acc: o, scores, ml, c, .. } = memory;
        for part in 0..2 {
            let object = self.a.object(job.a + 2 * self.column + part);
            c.0[part * object.0.len()..][..object.0.len()].copy_from_slice(&object.0);
        }
        let (n_valid, scale) = (job.parameters.n_valid as i32, job.parameters.scale);
        self.kernels.attention_begin(o, ml);
        for step in 0..job.parameters.steps {
            let at = job.b + 1 + 2 * step;
            self.kernels.attention_scores(c, self.b.object(at), scores);
            self.kernels.attention_softmax(scores, ml, o, (step * KEYS) as i32, n_valid, scale);
            self.kernels.attention_values(scores, self.b.object(at + 1), o);
        }
        self.kernels.attention_end(o, ml, c);
    }

    /// As [`Self::attention_bf16`] in int8, with scales for queries and keys, 64 keys in two halves.
    fn attention_i8(&self, job: &Job, memory: &mut Memory) {
        let Memory { acc: o, scores, ml, parameters, c } = memory;
        let q = self.a.object(job.a + self.column);
        let q_scales = self.a.object(job.a + self.columns + self.column);
        let (n_valid, scale) = (job.parameters.n_valid as i32, job.parameters.scale);
        self.kernels.attention_begin(o, ml);
        for step in 0..job.parameters.steps {
            let at = job.b + 1 + 3 * step;
            let [k, v, k_scales] = [0, 1, 2].map(|part| self.b.object(at + part));
            let key0 = (step * 2 * KEYS) as i32;
            for half in Half::BOTH {
                self.kernels.attention_i8_scores(q, q_scales, k, k_scales, half, scores);
                self.kernels.attention_i8_softmax(scores, ml, o, key0, half, n_valid, scale);
                self.kernels.attention_i8_values(scores, v, half, o);
            }
        }
        self.kernels.attention_i8_end(o, ml, parameters, c);
    }
}
