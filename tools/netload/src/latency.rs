//! The table of latencies and their shape, as text.

use hdrhistogram::Histogram;

use crate::report::grouped;

/// Percentiles as they are shown, of each histogram under its name.
pub(crate) fn table(rows: &[(&str, &Histogram<u64>)]) -> String {
    let titles = PERCENTILES.map(|(title, _)| format!("{title:>12}")).concat();
    let row = |(name, histogram): &(&str, &Histogram<u64>)| {
        let value = |(_, quantile)| format!(" {:>11}", grouped(histogram.value_at_quantile(quantile)));
        format!("{name:10}{} {:>11}\n", PERCENTILES.map(value).concat(), grouped(histogram.max()))
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("{:10}{titles}{:>12}\n{}", "", "max", rows.concat())
}

/// How often durations of each size occurred: a line for each doubling, split in two where they are few.
pub(crate) fn shape(histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return String::new();
    }
    let doublings = (histogram.max().max(1).ilog2() - histogram.min().max(1).ilog2()) as usize + 1;
    let steps_per_doubling = if doublings <= DOUBLINGS_SPLIT_MAX { 2 } else { 1 };
    let first = histogram.min().max(1).ilog2() as usize * steps_per_doubling;
    let last = (histogram.max().max(1).ilog2() as usize + 1) * steps_per_doubling;
    let bound = |step: usize| {
        let (doubling, part) = (step / steps_per_doubling, step % steps_per_doubling);
        (1_u64 << doubling) + part as u64 * ((1 << doubling) / steps_per_doubling as u64)
    };
    let counts: Vec<(u64, u64)> = (first..last)
        .map(|step| (bound(step), histogram.count_between(bound(step), bound(step + 1) - 1)))
        .collect();
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let line = |(from, count): &(u64, u64)| {
        // What occurred at all has a mark.
        let width = (count * BAR_WIDTH).div_ceil(most) as usize;
        let text = format!("{:>14} ns {:>14}  {}", grouped(from), grouped(count), "#".repeat(width));
        format!("{}\n", text.trim_end())
    };
    let occurring = counts.iter().skip_while(|(_, count)| *count == 0);
    occurring.map(line).collect::<Vec<_>>().concat()
}

/// The percentiles that are shown and saved.
pub(crate) const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("p99.999", 0.99999)];
const BAR_WIDTH: u64 = 50;
const DOUBLINGS_SPLIT_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::histogram;

    #[test]
    fn every_duration_is_on_one_line_of_the_shape() {
        for values in [vec![1], vec![100, 120, 130, 400], vec![7, 50_000_000]] {
            let mut durations = histogram();
            for value in &values {
                durations.record(*value).expect("in bounds");
            }
            let text = shape(&durations);
            let counted: usize = text
                .lines()
                .map(|line| {
                    line.split_whitespace()
                        .nth(2)
                        .and_then(|count| count.parse::<usize>().ok())
                        .expect("a count")
                })
                .sum();
            assert_eq!(counted, values.len(), "{text}");
        }
        assert_eq!(shape(&histogram()), "");
    }
}
