//! The only place that draws randomness: xoshiro256++ seeded through SplitMix64.
//!
//! Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2019),
//! <https://prng.di.unimi.it/>. Not for secrets: those come from [`fill_secret`].

/// A seeded stream of pseudo-random numbers. Equal seeds give equal streams.
#[derive(Clone, Debug)]
pub struct Rng {
    /// xoshiro256++ state; never all zero.
    state: [u64; 4],
}

impl Rng {
    /// A stream that this seed decides.
    pub fn seeded(seed: u64) -> Rng {
        let mut split = seed;
        let mut next = || {
            split = split.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = split;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Rng { state: [next(), next(), next(), next()] }
    }

    /// A stream that the kernel's entropy decides.
    pub fn from_entropy() -> Rng {
        let mut seed = [0; 8];
        fill_secret(&mut seed);
        Rng::seeded(u64::from_le_bytes(seed))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..bound`.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "empty range");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the items, or `None` when there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }
}

/// Fills `bytes` from the kernel's entropy: salts, keys, tokens.
///
/// # Panics
/// When the kernel has none: nothing that needs a secret may go on without one.
#[allow(clippy::disallowed_methods)] // The one caller.
pub fn fill_secret(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel gives no entropy");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams() {
        let draw = |seed| -> Vec<u64> {
            let mut rng = Rng::seeded(seed);
            (0..8).map(|_| rng.next_u64()).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::seeded(1);
        assert!((0..1000).all(|_| rng.below(3) < 3));
    }
}
