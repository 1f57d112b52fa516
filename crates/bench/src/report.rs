//! Figures: collected, printed as a table, written as JSON.

use crate::machine;
use anyhow::Context;
use serde::Serialize;
use std::path::PathBuf;

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// Its fixed name.
    pub(crate) name: &'static str,
    /// What was measured.
    pub(crate) value: f64,
    /// Of `value` and `peer_value`.
    pub(crate) unit: &'static str,
    /// Beside what, in the same run.
    pub(crate) peer: Option<String>,
    /// The peer's figure.
    pub(crate) peer_value: Option<f64>,
    /// `value` / `peer_value`.
    pub(crate) ratio: Option<f64>,
    /// Load average of the last minute when the measurement began: what else the machine did.
    pub(crate) load: f64,
}

/// Those of one run.
#[derive(Debug)]
pub(crate) struct Report {
    only: Option<String>,
    figures: Vec<Figure>,
    /// Where the measurement that goes on began.
    load: f64,
}

impl Report {
    /// None yet; of those that come, only `only` is kept.
    pub(crate) fn new(only: Option<&str>) -> Self {
        Self { only: only.map(str::to_owned), figures: Vec::new(), load: machine::load() }
    }

    /// Notes the load before the next figures.
    pub(crate) fn begin(&mut self, what: &str) {
        self.load = machine::load();
        println!("{what} (load {:.2})", self.load);
    }

    /// Adds a figure, with what the peer did.
    pub(crate) fn add(&mut self, name: &'static str, value: f64, unit: &'static str, peer: Option<(String, f64)>) {
        if self.only.as_deref().is_some_and(|only| only != name) {
            return;
        }
        let (peer, peer_value) = peer.unzip();
        let ratio = peer_value.map(|peer| value / peer);
        self.figures.push(Figure { name, value, unit, peer, peer_value, ratio, load: self.load });
    }

    /// Prints the table and writes the file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        println!(
            "\n{:<28} {:>12} {:<8} {:>12} {:>8} {:>6}  peer",
            "figure", "value", "unit", "peer value", "ratio", "load"
        );
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), rounded);
        for figure in &self.figures {
            let (value, peer_value, ratio) = (rounded(figure.value), shown(figure.peer_value), shown(figure.ratio));
            let peer = figure.peer.as_deref().unwrap_or("-");
            println!(
                "{:<28} {value:>12} {:<8} {peer_value:>12} {ratio:>8} {:>6.2}  {peer}",
                figure.name, figure.unit, figure.load
            );
        }
        let path = std::env::var_os("BENCH_JSON")
            .map(PathBuf::from)
            .map_or_else(|| machine::target_folder().map(|folder| folder.join("bench.json")), Ok)?;
        let text = serde_json::to_string_pretty(&self.figures)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

/// Three digits that say something.
fn rounded(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// The value at `share` (0 to 1) of sorted samples: the smallest that at least that share do not exceed.
pub(crate) fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    // Sample counts are far below 2^52.
    let rank = (samples.len() as f64 * share).ceil() as usize;
    samples.get(rank.clamp(1, samples.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{percentile, rounded};

    #[test]
    fn percentiles_are_samples() {
        let mut samples = [4.0, 1.0, 3.0, 2.0];
        for (share, value) in [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)] {
            assert_eq!(percentile(&mut samples, share), value, "{share}");
        }
        assert!(percentile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn figures_keep_three_digits() {
        for (value, text) in [(12345.6, "12346"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")] {
            assert_eq!(rounded(value), text);
        }
    }
}
