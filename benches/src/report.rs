//! The report: one table of figures, the distributions, the curves, and the machine; for people and for programs.

use std::fmt::{self, Display, Write};

use serde::Serialize;

use crate::curves::Curve;
use crate::machine::Machine;
use crate::percentiles::Percentiles;
use crate::quantity::{Quantity, Target};

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// What it is to reach.
    pub target: Option<Target>,
    /// What it reached.
    pub measured: Quantity,
    /// What the machine can do at best, of the same unit.
    pub floor: Option<Quantity>,
}

/// Everything of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How long, and how thoroughly.
    pub form: &'static str,
    /// Length of the run in seconds.
    pub seconds: f64,
    /// Share of the CPUs' time that the hypervisor kept during the run, in hundredths.
    pub stolen_percent: f64,
    /// The table.
    pub figures: Vec<Figure>,
    /// The distributions.
    pub percentiles: Vec<Percentiles>,
    /// The curves.
    pub curves: Vec<Curve>,
}

impl Report {
    /// The table alone.
    pub fn table(&self) -> String {
        let mut text = String::new();
        row(&mut text, ["what", "target", "measured", "met", "floor", "against the floor"]);
        row(&mut text, ["---"; 6]);
        for figure in &self.figures {
            let met = figure.target.map(|target| if target.is_met(figure.measured) { "yes" } else { "no" });
            row(
                &mut text,
                [
                    figure.name.to_owned(),
                    or_nothing(figure.target),
                    figure.measured.to_string(),
                    or_nothing(met),
                    or_nothing(figure.floor),
                    or_nothing(figure.floor.map(|floor| figure.measured.against(floor))),
                ],
            );
        }
        text
    }

    /// The distributions as a table.
    fn distributions(&self) -> String {
        let mut text = String::new();
        row(&mut text, ["what", "samples", "p50", "p90", "p99", "p99.9", "p99.99", "max", "sent late"]);
        row(&mut text, ["---"; 9]);
        for one in &self.percentiles {
            let times = [one.p50_ns, one.p90_ns, one.p99_ns, one.p999_ns, one.p9999_ns, one.max_ns];
            let times = times.map(|time_ns| Quantity::nanoseconds(time_ns).to_string());
            let [p50, p90, p99, p999, p9999, max] = times;
            let (samples, late) = (one.samples.to_string(), or_nothing(one.late));
            row(&mut text, [one.name.clone(), samples, p50, p90, p99, p999, p9999, max, late]);
        }
        text
    }
}

/// `benches/FIGURES.md`.
impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.machine.sentence();
        writeln!(
            formatter,
            "# Figures\n\nWritten by `cargo xtask figures`, {}: {:.0} s, of which the hypervisor kept {:.1} % of the CPUs' time. \
             Do not edit.\n\n{machine}\n",
            self.form, self.seconds, self.stolen_percent
        )?;
        writeln!(formatter, "{ABOUT_FIGURES}\n\n{}", self.table())?;
        writeln!(
            formatter,
            "{BELOW_FIGURES}\n\n## Distributions\n\n{ABOUT_DISTRIBUTIONS}\n\n{}",
            self.distributions()
        )?;
        writeln!(formatter, "## Curves")?;
        for curve in &self.curves {
            let mut table = String::new();
            row(&mut table, curve.columns);
            row(&mut table, curve.columns.iter().map(|_| "---"));
            curve.rows.iter().for_each(|quantities| row(&mut table, quantities));
            write!(formatter, "\n**{}**\n\n{table}\n{}\n", curve.title, curve.why)?;
        }
        Ok(())
    }
}

fn row<T: Display>(text: &mut String, cells: impl IntoIterator<Item = T>) {
    text.push('|');
    for cell in cells {
        write!(text, " {cell} |").expect("a string takes everything");
    }
    text.push('\n');
}

fn or_nothing<T: Display>(cell: Option<T>) -> String {
    cell.map_or(String::new(), |cell| cell.to_string())
}

const ABOUT_FIGURES: &str = "100-byte events, one producer pinned to the first CPU, one shard pinned to the last, the memory \
store; each figure beside the floor of the same run: the bare loop that checks, hashes, stamps and copies the same bytes for what \
goes in; a bare copy of as many records of 128 bytes for what comes out; a record of 128 bytes bounced between two bare rings for an event's spinning way, a word for a control call's, \
and an eventfd for a sleeping one. Rates are medians of rounds that take turns with the floor's.";

const BELOW_FIGURES: &str =
    "Allocations per event: none; `tests/tests/allocations.rs` holds that with a counting allocator.";

const ABOUT_DISTRIBUTIONS: &str = "Calls are timed one by one and include one reading of the clock. Ways through the bus are open \
loops: an event's time counts from its intended send time, and one that is sent more than a period behind it is late, not left out. \
Sender and receiver are one thread, so that two CPUs are enough.";
