//! A measured quantity: a number with its unit, printed as a person reads it and saved as a number.

use std::fmt;

use serde::Serialize;

/// A number and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantity {
    /// How many of the unit.
    pub value: f64,
    /// What is counted.
    pub unit: Unit,
}

/// What a [`Quantity`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Events a second: the more, the better.
    EventsPerSecond,
    /// Bytes a second: the more, the better.
    BytesPerSecond,
    /// A duration: the less, the better.
    Nanoseconds,
    /// Hundredths.
    Percent,
    /// Wake-ups a second.
    WakesPerSecond,
    /// A size.
    Bytes,
    /// A plain number.
    Count,
    /// So many for each thousand events.
    PerThousandEvents,
}

impl Quantity {
    /// `value` events a second.
    pub fn events_per_second(value: f64) -> Quantity {
        Quantity { value, unit: Unit::EventsPerSecond }
    }

    /// `value` bytes a second.
    pub fn bytes_per_second(value: f64) -> Quantity {
        Quantity { value, unit: Unit::BytesPerSecond }
    }

    /// `value` nanoseconds.
    pub fn nanoseconds(value: u64) -> Quantity {
        Quantity { value: value as f64, unit: Unit::Nanoseconds }
    }

    /// `value` hundredths.
    pub fn percent(value: f64) -> Quantity {
        Quantity { value, unit: Unit::Percent }
    }

    /// `value` wake-ups a second.
    pub fn wakes_per_second(value: f64) -> Quantity {
        Quantity { value, unit: Unit::WakesPerSecond }
    }

    /// A size of `value` bytes.
    pub fn bytes(value: usize) -> Quantity {
        Quantity { value: value as f64, unit: Unit::Bytes }
    }

    /// The number `value`.
    pub fn count(value: u64) -> Quantity {
        Quantity { value: value as f64, unit: Unit::Count }
    }

    /// `value` for each thousand events.
    pub fn per_thousand_events(value: f64) -> Quantity {
        Quantity { value, unit: Unit::PerThousandEvents }
    }

    /// This quantity against a floor of the same unit: a share of a rate, a multiple of a time.
    pub fn against(self, floor: Quantity) -> String {
        let ratio = self.value / floor.value;
        match self.unit {
            Unit::Nanoseconds => format!("{ratio:.1} ×"),
            _ => format!("{:.0} %", 100.0 * ratio),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::EventsPerSecond if value >= 999.5e3 => write!(formatter, "{:.1} M/s", value / 1e6),
            Unit::EventsPerSecond => write!(formatter, "{:.0} k/s", value / 1e3),
            Unit::BytesPerSecond => write!(formatter, "{:.0} MB/s", value / 1e6),
            Unit::Nanoseconds if value < 1e3 => write!(formatter, "{value:.0} ns"),
            Unit::Nanoseconds if value < 1e6 => write!(formatter, "{:.2} µs", value / 1e3),
            Unit::Nanoseconds => write!(formatter, "{:.2} ms", value / 1e6),
            Unit::Percent if value < 1.0 => write!(formatter, "{value:.2} %"),
            Unit::Percent => write!(formatter, "{value:.0} %"),
            Unit::WakesPerSecond => write!(formatter, "{value:.1} /s"),
            Unit::Bytes if value < 1024.0 => write!(formatter, "{value:.0} B"),
            Unit::Bytes if value < MIB => write!(formatter, "{:.0} KiB", value / 1024.0),
            Unit::Bytes => write!(formatter, "{:.0} MiB", value / MIB),
            Unit::PerThousandEvents => write!(formatter, "{value:.2}"),
            Unit::Count => write!(formatter, "{value:.0}"),
        }
    }
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This much or more.
    AtLeast(Quantity),
    /// This much or less.
    AtMost(Quantity),
}

impl Target {
    /// Whether `measured` reaches it.
    pub fn is_met(self, measured: Quantity) -> bool {
        match self {
            Target::AtLeast(bound) => measured.value >= bound.value,
            Target::AtMost(bound) => measured.value <= bound.value,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(bound) => write!(formatter, "≥ {bound}"),
            Target::AtMost(bound) => write!(formatter, "≤ {bound}"),
        }
    }
}

const MIB: f64 = (1u64 << 20) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_share_of_its_floor_and_a_time_a_multiple() {
        let (rate, floor) = (Quantity::events_per_second(15e6), Quantity::events_per_second(30e6));
        assert_eq!(rate.against(floor), "50 %");
        assert_eq!(Quantity::nanoseconds(300).against(Quantity::nanoseconds(200)), "1.5 ×");
    }

    #[test]
    fn quantities_are_printed_in_the_unit_that_fits() {
        let printed = [
            (Quantity::events_per_second(24.06e6), "24.1 M/s"),
            (Quantity::events_per_second(10e3), "10 k/s"),
            (Quantity::nanoseconds(999), "999 ns"),
            (Quantity::nanoseconds(1_230), "1.23 µs"),
            (Quantity::nanoseconds(12_300_000), "12.30 ms"),
            (Quantity::bytes(64), "64 B"),
            (Quantity::bytes(65_536), "64 KiB"),
            (Quantity::bytes(10 << 30), "10240 MiB"),
        ];
        for (quantity, text) in printed {
            assert_eq!(quantity.to_string(), text);
        }
    }

    #[test]
    fn a_target_is_met_at_its_bound() {
        let bound = Quantity::percent(60.0);
        assert!(Target::AtLeast(bound).is_met(bound) && Target::AtMost(bound).is_met(bound));
        assert!(!Target::AtLeast(bound).is_met(Quantity::percent(59.9)));
    }
}
