//! From values to places along an axis, and the values along it that are named.

use super::units;

/// An axis: where values lie on it, and how they are written.
pub(crate) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    unit: Unit,
}

/// A value on an axis that is named.
pub(crate) struct Tick {
    /// 0 is the axis's beginning, 1 its end.
    pub(crate) at: f64,
    pub(crate) label: String,
}

/// What an axis counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Duration,
    Seconds,
    Count,
    /// 1/(1−p), written as the percentage p.
    Quantile,
}

enum Kind {
    Linear,
    Log,
    /// As `Log`, of what is rarer and rarer; it names the median, and what ten times fewer exceed each time.
    Tail,
    /// Places of equal width, each with its name.
    Groups(Vec<String>),
}

impl Scale {
    /// From 0 to a round value that none of these exceeds.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, unit: Unit) -> Scale {
        let highest = values.into_iter().fold(0.0, f64::max);
        let step = round_step(if highest > 0.0 { highest } else { 1.0 });
        let high = if highest > 0.0 { (highest / step).ceil() * step } else { 1.0 };
        Scale { kind: Kind::Linear, low: 0.0, high, unit }
    }

    /// From 0 to exactly this value.
    pub(crate) fn linear_to(high: f64, unit: Unit) -> Scale {
        Scale { kind: Kind::Linear, low: 0.0, high: if high > 0.0 { high } else { 1.0 }, unit }
    }

    /// By orders of magnitude, between round values around these. What is below 1 counts as 1.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>, unit: Unit) -> Scale {
        let (lowest, highest) = values
            .into_iter()
            .map(|value| value.max(1.0))
            .fold((f64::INFINITY, 1.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let low = round_down(lowest.min(highest));
        let high = round_up(highest).max(low * 2.0);
        Scale { kind: Kind::Log, low, high, unit }
    }

    /// By orders of magnitude of what is rarer and rarer, up to one in `count`.
    pub(crate) fn tail(count: f64) -> Scale {
        Scale { kind: Kind::Tail, low: 1.0, high: count.max(10.0), unit: Unit::Quantile }
    }

    /// A place for each name; the value of a place is its index.
    pub(crate) fn groups(names: Vec<String>) -> Scale {
        let high = names.len().max(1) as f64;
        Scale { kind: Kind::Groups(names), low: 0.0, high, unit: Unit::Count }
    }

    /// Where a value lies: 0 is the axis's beginning, 1 its end. What lies beyond is put there.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = match self.kind {
            Kind::Linear => (value - self.low) / (self.high - self.low),
            Kind::Log | Kind::Tail => (value.max(1.0) / self.low).log10() / (self.high / self.low).log10(),
            Kind::Groups(_) => (value + 0.5) / self.high,
        };
        place.clamp(0.0, 1.0)
    }

    /// What is named, in the order of the axis.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        let named = |value: f64| Tick { at: self.place(value), label: self.unit.text(value) };
        match &self.kind {
            Kind::Groups(names) => names
                .iter()
                .enumerate()
                .map(|(index, name)| Tick { at: self.place(index as f64), label: name.clone() })
                .collect(),
            Kind::Linear => {
                let step = round_step(self.high);
                let values = std::iter::successors(Some(0.0), |value| Some(value + step));
                values.take_while(|value| *value <= self.high * (1.0 + 1e-9)).map(named).collect()
            }
            Kind::Tail => {
                let rarities = std::iter::successors(Some(10.0), |inverse| Some(inverse * 10.0));
                let values = std::iter::once(2.0).chain(rarities);
                values.take_while(|value| *value <= self.high).map(named).collect()
            }
            Kind::Log => {
                let steps = self.steps();
                let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                let values =
                    decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
                let is_within = |value: &f64| (self.low * 0.999..=self.high * 1.001).contains(value);
                values.filter(is_within).map(named).collect()
            }
        }
    }

    /// What of each order of magnitude is named: the fewer there are, the more.
    fn steps(&self) -> &'static [f64] {
        match (self.high / self.low).log10() {
            decades if decades <= 0.8 => &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
            decades if decades <= 2.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        }
    }
}

impl Unit {
    /// A value in this unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Unit::Duration => units::duration(value),
            Unit::Seconds | Unit::Count => units::count(value),
            Unit::Quantile => units::quantile(value),
        }
    }
}

/// 1, 2 or 5 times a power of ten, of which a few make this length.
fn round_step(length: f64) -> f64 {
    let rough = length / STEPS_MIN;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [5.0, 2.0, 1.0].iter().find(|step| **step * power <= rough * (1.0 + 1e-9));
    step.unwrap_or(&1.0) * power
}

/// The largest of 1, 2 and 5 times a power of ten that is not above.
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf((value.log10() + 1e-9).floor());
    let step = [5.0, 2.0, 1.0].iter().find(|step| **step * power <= value * (1.0 + 1e-9));
    step.unwrap_or(&1.0) * power
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf((value.log10() + 1e-9).floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().find(|step| **step * power >= value * (1.0 - 1e-9));
    step.unwrap_or(&10.0) * power
}

const STEPS_MIN: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn a_logarithmic_axis_names_round_values_around_what_it_shows() {
        let axis = |low, high| labels(&Scale::log([low, high], Unit::Duration));
        assert_eq!(axis(1_500.0, 40_000_000.0), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
        assert_eq!(axis(1_500.0, 9_000.0), ["1 µs", "2 µs", "5 µs", "10 µs"]);
        assert_eq!(axis(2_100.0, 2_200.0), ["2 µs", "3 µs", "4 µs", "5 µs"]);
        assert_eq!(axis(0.0, 0.0), ["1 ns", "2 ns"]);
    }

    #[test]
    fn an_axis_of_rarity_names_percentages() {
        assert_eq!(labels(&Scale::tail(80_000.0)), ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_at_a_round_value() {
        assert_eq!(
            labels(&Scale::linear([19_000.0, 21_000.0], Unit::Count)),
            ["0", "5k", "10k", "15k", "20k", "25k"]
        );
        assert_eq!(labels(&Scale::linear([], Unit::Count)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Scale::linear_to(4.0, Unit::Seconds)), ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn every_value_lies_on_its_axis() {
        for scale in
            [Scale::log([5.0, 70.0], Unit::Duration), Scale::linear([70.0], Unit::Count), Scale::tail(70.0)]
        {
            for value in [0.0, 1.0, 5.0, 33.3, 70.0, f64::MAX] {
                assert!((0.0..=1.0).contains(&scale.place(value)));
            }
            assert!(scale.place(5.0) < scale.place(33.3));
        }
    }
}
