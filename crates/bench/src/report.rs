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
    /// Beside what, in the same run: the best of its peers.
    pub(crate) peer: Option<String>,
    /// The peer's figure.
    pub(crate) peer_value: Option<f64>,
    /// `value` / `peer_value`.
    pub(crate) ratio: Option<f64>,
    /// Its other peers, the better ones first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<Other>,
    /// Load average of the last minute when the measurement began: what else the machine did.
    pub(crate) load: f64,
}

/// A peer that another one beats.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Other {
    /// Beside what, in the same run.
    pub(crate) peer: String,
    /// The peer's figure.
    pub(crate) peer_value: f64,
    /// The figure's own value / `peer_value`.
    pub(crate) ratio: f64,
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

    /// Adds a figure, with what its peers did, the best first.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        peers: impl IntoIterator<Item = (String, f64)>,
    ) {
        if self.only.as_deref().is_some_and(|only| only != name) {
            return;
        }
        let mut peers = peers.into_iter();
        let (peer, peer_value) = peers.next().unzip();
        let ratio = peer_value.map(|peer| value / peer);
        let others = peers.map(|(peer, peer_value)| Other { peer, peer_value, ratio: value / peer_value }).collect();
        self.figures.push(Figure { name, value, unit, peer, peer_value, ratio, others, load: self.load });
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
            for Other { peer, peer_value, ratio } in &figure.others {
                let (peer_value, ratio) = (rounded(*peer_value), rounded(*ratio));
                println!("{:<50} {peer_value:>12} {ratio:>8} {:>6}  {peer}", "", "");
            }
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
    use super::{Report, percentile, rounded};

    #[test]
    fn percentiles_are_samples() {
        let mut samples = [4.0, 1.0, 3.0, 2.0];
        for (share, value) in [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)] {
            assert_eq!(percentile(&mut samples, share), value, "{share}");
        }
        assert!(percentile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn the_best_peer_is_the_peer_and_the_others_stay_beside_it() {
        let mut report = Report::new(None);
        report.add("alone", 1.0, "s", None);
        report.add("beside", 8.0, "tasks/s", vec![("fast".to_owned(), 4.0), ("slow".to_owned(), 2.0)]);
        let told = serde_json::to_value(&report.figures).unwrap();
        assert!(told[0]["peer"].is_null() && told[0].get("others").is_none());
        assert_eq!((&told[1]["peer"], &told[1]["ratio"]), (&"fast".into(), &2.0.into()));
        assert_eq!(told[1]["others"], serde_json::json!([{"peer": "slow", "peer_value": 2.0, "ratio": 4.0}]));
    }

    #[test]
    fn figures_keep_three_digits() {
        for (value, text) in [(12345.6, "12346"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")] {
            assert_eq!(rounded(value), text);
        }
    }
}
