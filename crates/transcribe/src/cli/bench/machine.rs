//! `transcribe bench` without a product: this machine's limits, what Whisper takes on it, and what that suggests.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::advice::advice;
use super::limits::{self, Limits};
use super::whisper::{self, Whisper};
use crate::Result;
use crate::model::Precision;

/// All of it.
pub(super) struct Report {
    limits: Limits,
    whispers: Vec<Whisper>,
    /// Why there are no figures of a model.
    no_model: Option<String>,
    suggestions: Vec<String>,
}

/// Measures; takes some ten seconds.
///
/// # Errors
/// Threads that do not start. A model that is not there is told in the report.
pub(super) fn measure(threads: usize) -> Result<Report> {
    let limits = limits::measure(threads)?;
    let (mut whispers, mut no_model) = (Vec::new(), None);
    for precision in [Precision::Auto, Precision::F32, Precision::Bf16] {
        match whisper::measure(precision, limits.threads) {
            Ok(figures) => whispers.push(figures),
            Err(error) => {
                no_model = Some(error.to_string());
                break;
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(limits.threads, usize::from);
    let suggestions = advice(&limits, &whispers, cores);
    Ok(Report { limits, whispers, no_model, suggestions })
}

pub(super) fn text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let limits = &report.limits;
    writeln!(out, "the processor ({}, threads: {}), measured", limits.level, limits.threads)?;
    for (name, rate) in limits.products {
        writeln!(out, "  products in {name:5}{rate:>8.0} Gop/s")?;
    }
    writeln!(out, "  f32 on one thread{:>5.0} Gop/s", limits.single_thread)?;
    writeln!(out, "  reading memory   {:>5.1} GB/s", limits.read)?;
    for whisper in &report.whispers {
        writeln!(
            out,
            "\nthe bundled model, --precision {}, measured\n  load {:.0} ms; 30 s encoded in {:.0} ms; a token in {:.2} ms ({:.0} tokens/s), of five beams {:.2} ms",
            whisper.precision.name(),
            1e3 * whisper.load.as_secs_f64(),
            1e3 * whisper.window.as_secs_f64(),
            1e3 * whisper.token.as_secs_f64(),
            1.0 / whisper.token.as_secs_f64(),
            1e3 * whisper.token_of_five.as_secs_f64(),
        )?;
        let sum: f64 = whisper.parts.iter().map(|(_, took)| took.as_secs_f64()).sum();
        writeln!(out, "  operation by operation {:.0} ms:", 1e3 * sum)?;
        for (name, took) in &whisper.parts {
            let share = 100.0 * took.as_secs_f64() / sum;
            writeln!(out, "    {name:26}{:>7.1} ms{share:>5.0} %", 1e3 * took.as_secs_f64())?;
        }
    }
    if let Some(why) = &report.no_model {
        writeln!(out, "\nno figures of a model: {why}")?;
    }
    if !report.suggestions.is_empty() {
        writeln!(out, "\nsuggestions")?;
        report.suggestions.iter().try_for_each(|sentence| writeln!(out, "  {sentence}"))?;
    }
    Ok(())
}

pub(super) fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let limits = &report.limits;
    let products: Vec<Value> =
        limits.products.iter().map(|(name, rate)| json!({ "name": name, "gop_per_second": rate })).collect();
    let whispers: Vec<Value> = report
        .whispers
        .iter()
        .map(|whisper| {
            let parts: Vec<Value> = whisper
                .parts
                .iter()
                .map(|(name, took)| json!({ "name": name, "seconds": took.as_secs_f64() }))
                .collect();
            json!({
                "precision": whisper.precision.name(),
                "load_seconds": whisper.load.as_secs_f64(),
                "window_seconds": whisper.window.as_secs_f64(),
                "token_seconds": whisper.token.as_secs_f64(),
                "token_of_five_seconds": whisper.token_of_five.as_secs_f64(),
                "operation_by_operation": parts,
            })
        })
        .collect();
    let report = json!({
        "device": "cpu",
        "modelled_device": false,
        "level": limits.level,
        "threads": limits.threads,
        "limits": {
            "products": products,
            "single_thread_f32_gop_per_second": limits.single_thread,
            "read_gb_per_second": limits.read,
        },
        "models": whispers,
        "no_model": report.no_model,
        "suggestions": report.suggestions,
    });
    writeln!(out, "{report:#}")
}
