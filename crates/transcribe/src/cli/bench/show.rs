//! The figures on the screen and as JSON. Every time says whether it is modelled or measured.

use std::io::{self, Write};
use std::time::Duration;

use npu_backend::Counters;
use serde_json::{Map, Value, json};

use super::cpu;
use super::device::{OneProduct, Report, steady};
use super::ways::Way;
use crate::cli::values::Shape;

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

/// Thousand millions of operations a second.
fn rate(operations: f64, time: Duration) -> f64 {
    operations / time.as_secs_f64().max(f64::MIN_POSITIVE) / 1e9
}

fn shape_text(Shape { m, k, n }: Shape) -> String {
    format!("{m}×{k}×{n}")
}

fn shape_json(Shape { m, k, n }: Shape) -> Value {
    json!({ "m": m, "k": k, "n": n })
}

pub(super) fn device_text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} on {}", shape_text(report.shape), report.device)?;
    for product in &report.products {
        one(report, product, out)?;
    }
    if report.ways.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nways to launch the int8 product, weights pushed too; all give the numbers of plain arithmetic"
    )?;
    let time = if report.modelled { "modelled ms" } else { "" };
    writeln!(out, "  {:27}{time:>13}{:>10}{:>9}{:>8}{:>8}", "", "launches", "batches", "pushes", "pulls")?;
    for Way { name, counters } in &report.ways {
        let time =
            counters.modelled.map_or(String::new(), |modelled| format!("{:.3}", ms(steady(&modelled))));
        let Counters { launches, batches, pushes, pulls, .. } = counters;
        writeln!(out, "  {name:27}{time:>13}{launches:>10}{batches:>9}{pushes:>8}{pulls:>8}")?;
    }
    Ok(())
}

fn one(report: &Report, product: &OneProduct, out: &mut dyn Write) -> io::Result<()> {
    let (counters, host) = (&product.counters, &product.host);
    writeln!(out, "\n{}, whole array, weights resident", product.kind)?;
    match &counters.modelled {
        Some(modelled) => writeln!(
            out,
            "  modelled, not measured: {:.3} ms, {:.0} Gop/s (running {:.3}, launching {:.3}, pushes and pulls {:.3})",
            ms(steady(modelled)),
            rate(report.operations, steady(modelled)),
            ms(modelled.run + modelled.ends),
            ms(modelled.launch),
            ms(modelled.host),
        )?,
        None => writeln!(
            out,
            "  measured: {:.3} ms, {:.0} Gop/s, from packing to unpacking",
            ms(host.each.round),
            rate(report.operations, host.each.round),
        )?,
    }
    writeln!(
        out,
        "  launches {}, pushes {} ({} bytes), pulls {} ({} bytes)",
        counters.launches, counters.pushes, counters.pushed_bytes, counters.pulls, counters.pulled_bytes
    )?;
    writeln!(
        out,
        "  measured on this machine: plan {:.3} ms, pack {:.3} ms, unpack {:.3} ms: {:.3} ms; a launch's bookkeeping {:.1} µs (median of {})",
        ms(host.plan),
        ms(host.each.pack),
        ms(host.each.unpack),
        ms(host.plan + host.each.pack + host.each.unpack),
        1e3 * ms(host.each.launch),
        host.rounds,
    )?;
    writeln!(
        out,
        "  measured on this machine, once: weights packed and made resident {:.3} ms",
        ms(host.weights)
    )
}

pub(super) fn device_json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let products: Vec<Value> = report
        .products
        .iter()
        .map(|product| {
            let (mut object, host) = (counts(product.kind, &product.counters), &product.host);
            // A round on the emulator takes as long as this machine needs to compute it, which says nothing.
            let round = (!report.modelled).then_some(host.each.round.as_secs_f64());
            object.insert(
                "measured".into(),
                json!({
                    "rounds": host.rounds,
                    "round_seconds": round,
                    "plan_seconds": host.plan.as_secs_f64(),
                    "pack_seconds": host.each.pack.as_secs_f64(),
                    "unpack_seconds": host.each.unpack.as_secs_f64(),
                    "launch_seconds": host.each.launch.as_secs_f64(),
                    "weights_seconds": host.weights.as_secs_f64(),
                }),
            );
            object.into()
        })
        .collect();
    let ways: Vec<Map<String, Value>> =
        report.ways.iter().map(|way| counts(way.name, &way.counters)).collect();
    let report = json!({
        "device": report.device,
        "modelled_device": report.modelled,
        "shape": shape_json(report.shape),
        "products": products,
        "ways": ways,
    });
    writeln!(out, "{report:#}")
}

fn counts(name: &str, counters: &Counters) -> Map<String, Value> {
    let modelled = counters.modelled.map(|modelled| {
        json!({
            "seconds": steady(&modelled).as_secs_f64(),
            "run_seconds": (modelled.run + modelled.ends).as_secs_f64(),
            "launch_seconds": modelled.launch.as_secs_f64(),
            "sync_seconds": modelled.host.as_secs_f64(),
        })
    });
    let fields: [(&str, Value); 8] = [
        ("name", name.into()),
        ("modelled", modelled.into()),
        ("launches", counters.launches.into()),
        ("batches", counters.batches.into()),
        ("pushes", counters.pushes.into()),
        ("pushed_bytes", counters.pushed_bytes.into()),
        ("pulls", counters.pulls.into()),
        ("pulled_bytes", counters.pulled_bytes.into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn cpu_text(report: &cpu::Report, out: &mut dyn Write) -> io::Result<()> {
    let (shape, threads) = (shape_text(report.shape), report.threads);
    writeln!(out, "{shape} on the processor ({}, threads: {threads}), measured", report.level)?;
    for product in &report.products {
        writeln!(
            out,
            "  weights in {:5} best {:.3} ms, {:.1} GFLOP/s; median {:.3} ms, {:.1} GFLOP/s",
            product.weights,
            ms(product.best),
            rate(report.operations, product.best),
            ms(product.median),
            rate(report.operations, product.median),
        )?;
    }
    Ok(())
}

pub(super) fn cpu_json(report: &cpu::Report, out: &mut dyn Write) -> io::Result<()> {
    let product = |product: &cpu::OneProduct| {
        json!({
            "name": product.weights,
            "measured": {
                "best_seconds": product.best.as_secs_f64(),
                "median_seconds": product.median.as_secs_f64(),
                "best_gflop_per_second": rate(report.operations, product.best),
                "median_gflop_per_second": rate(report.operations, product.median),
            },
        })
    };
    let report = json!({
        "device": "cpu",
        "modelled_device": false,
        "level": report.level,
        "threads": report.threads,
        "shape": shape_json(report.shape),
        "products": report.products.iter().map(product).collect::<Vec<_>>(),
        "ways": [],
    });
    writeln!(out, "{report:#}")
}
