//! Numbers as they are read: three digits and a unit.

/// Nanoseconds as `350 ns`, `1.25 µs`, `10 ms` or `2 s`.
pub(crate) fn duration(nanos: f64) -> String {
    match nanos {
        nanos if nanos < 999.5 => format!("{} ns", digits(nanos)),
        nanos if nanos < 999.5e3 => format!("{} µs", digits(nanos / 1e3)),
        nanos if nanos < 999.5e6 => format!("{} ms", digits(nanos / 1e6)),
        nanos => format!("{} s", count(nanos / 1e9)),
    }
}

/// A count as `350`, `1.25k`, `10M` or `2G`.
pub(crate) fn count(count: f64) -> String {
    match count {
        count if count < 999.5 => digits(count),
        count if count < 999.5e3 => format!("{}k", digits(count / 1e3)),
        count if count < 999.5e6 => format!("{}M", digits(count / 1e6)),
        count => format!("{}G", digits(count / 1e9)),
    }
}

/// How much of all is below, from how rare the rest is: 1/(1−p) as `90 %`, `99 %` or `99.9 %`.
pub(crate) fn quantile(inverse: f64) -> String {
    let decimals = (0..DECIMALS_MAX).find(|decimals| 10_f64.powf(*decimals as f64 + 2.0) >= inverse * 0.999);
    let decimals = decimals.unwrap_or(DECIMALS_MAX);
    format!("{:.decimals$} %", (1.0 - 1.0 / inverse) * 100.0)
}

/// Three digits that count, without zeros that do not.
fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        number if number < 9.995 => 2,
        number if number < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// No run has more events than these tell apart.
const DECIMALS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (nanos, text) in [
            (0.0, "0 ns"),
            (1.0, "1 ns"),
            (999.0, "999 ns"),
            (999.9, "1 µs"),
            (1_234.0, "1.23 µs"),
            (5e7, "50 ms"),
            (2.5e9, "2.5 s"),
            (3.6e12, "3.6k s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
        for (number, text) in [(0.0, "0"), (0.5, "0.5"), (20_000.0, "20k"), (1_250_000.0, "1.25M")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn a_quantile_has_the_digits_that_tell_it_from_all() {
        for (inverse, text) in
            [(2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1e3, "99.9 %"), (1e5, "99.999 %")]
        {
            assert_eq!(quantile(inverse), text);
        }
    }
}
