//! Latencies in buckets.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long good answers took, in buckets that are an eighth of a power of two wide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Bucket → answers.
    buckets: BTreeMap<u32, u64>,
    count: u64,
    max: Duration,
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        *self.buckets.entry(bucket(latency)).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(latency);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Latencies) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The latency that a part of the answers (0.5, 0.99) did not exceed, an eighth too high at most.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (part * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return upper_bound(*bucket).min(self.max);
            }
        }
        self.max
    }
}

/// Eight buckets per power of two, in microseconds.
fn bucket(latency: Duration) -> u32 {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(8);
    let power = micros.ilog2();
    let eighth = (micros >> (power - 3)) & 7;
    power * 8 + eighth as u32
}

/// Just above the last value of a bucket.
fn upper_bound(bucket: u32) -> Duration {
    let (power, eighth) = (bucket / 8, u64::from(bucket % 8));
    let micros = u128::from(8 + eighth + 1) << (power - 3);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_an_eighth_too_high_at_most() {
        let mut latencies = Latencies::default();
        for micros in 1..=10_000u64 {
            latencies.add(Duration::from_micros(micros));
        }
        for (part, exact) in [(0.5, 5000.0), (0.99, 9900.0), (1.0, 10_000.0)] {
            let told = latencies.quantile(part).as_micros() as f64;
            assert!((exact..=exact * 1.126).contains(&told), "{part}: {told} for {exact}");
        }
        assert_eq!(latencies.max(), Duration::from_millis(10));
        assert_eq!(latencies.count(), 10_000);
    }

    #[test]
    fn the_longest_duration_has_a_bucket() {
        let mut latencies = Latencies::default();
        latencies.add(Duration::MAX);
        assert!(latencies.quantile(0.5) > Duration::from_secs(1 << 40));
    }
}
