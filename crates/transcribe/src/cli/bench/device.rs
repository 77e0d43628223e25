//! A product on a device in one launch of the whole array, its weights resident.

use std::time::{Duration, Instant};

use npu_backend::ops::{Engine, Operation};
use npu_backend::schedule::GemmKind;
use npu_backend::{Choice, Counters, Error, Modelled, open_engine};

use super::ways::Way;
use crate::cli::product::{OnDevice, Product, Spent};
use crate::cli::values::Shape;

/// Rounds that are timed, at most.
const ROUNDS: usize = 20;
/// Time after which no further round is begun.
const ENOUGH: Duration = Duration::from_secs(1);

/// All figures of a device.
pub(super) struct Report {
    pub(super) device: String,
    pub(super) modelled: bool,
    pub(super) shape: Shape,
    pub(super) operations: f64,
    pub(super) products: Vec<OneProduct>,
    pub(super) ways: Vec<Way>,
}

/// Figures of one kind of product.
pub(super) struct OneProduct {
    pub(super) kind: &'static str,
    /// What one round did: A in, one launch, C out.
    pub(super) counters: Counters,
    /// The host's work, measured.
    pub(super) host: Host,
}

/// What the host spent, measured on this machine; medians.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    /// The plan and its words: once for a shape.
    pub(super) plan: Duration,
    /// Packing the weights and making them resident: once for the weights.
    pub(super) weights: Duration,
    pub(super) each: Spent,
    pub(super) rounds: usize,
}

/// Times both kinds of product.
pub(super) fn measure(choice: Choice, product: &Product) -> npu_backend::Result<Report> {
    let mut engine = open_engine(choice)?;
    let products = [("int8 to int32", GemmKind::Int8Int32), ("bf16", GemmKind::Bf16)];
    let products = products
        .into_iter()
        .map(|(name, kind)| one(&mut engine, product, name, kind))
        .collect::<npu_backend::Result<_>>()?;
    let info = engine.info();
    Ok(Report {
        device: info.name.clone(),
        modelled: info.modelled,
        shape: product.shape,
        operations: product.operations(),
        products,
        ways: Vec::new(),
    })
}

fn one(
    engine: &mut Engine,
    product: &Product,
    name: &'static str,
    kind: GemmKind,
) -> npu_backend::Result<OneProduct> {
    let begin = Instant::now();
    let mut ready = OnDevice::new(engine, product, kind)?;
    let weights = begin.elapsed();
    let operation = Operation::Gemm(*ready.problem());
    // The first puts the configuration on the array and makes the stream.
    ready.round(engine)?;
    ready.check().map_err(|why| Error::Image { why: format!("its {name} product is wrong: {why}") })?;
    let before = engine.device().counters();
    let (mut spent, mut plans) = (vec![ready.round(engine)?], Vec::new());
    let counters = engine.device().counters().since(&before);
    let start = Instant::now();
    while spent.len() < ROUNDS && start.elapsed() < ENOUGH {
        spent.push(ready.round(engine)?);
    }
    for _ in 0..spent.len() {
        let begin = Instant::now();
        let words = operation.plan(engine.grid())?.encode();
        plans.push(begin.elapsed());
        drop(words);
    }
    let median_of = |part: fn(&Spent) -> Duration| median(spent.iter().map(part).collect());
    let each = Spent {
        pack: median_of(|spent| spent.pack),
        launch: median_of(|spent| spent.launch),
        unpack: median_of(|spent| spent.unpack),
        round: median_of(|spent| spent.round),
    };
    ready.free(engine)?;
    let host = Host { plan: median(plans), weights, each, rounds: spent.len() };
    Ok(OneProduct { kind: name, counters, host })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What a caller would have waited by the model, without what happens once: making the context, and putting its
/// configuration on the array.
pub(super) fn steady(modelled: &Modelled) -> Duration {
    modelled.elapsed.saturating_sub(modelled.create).saturating_sub(modelled.switch)
}
