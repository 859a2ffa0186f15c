//! Chance, all of it from the one seed.

use rand::distr::Distribution as _;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// A stream of random numbers that a seed determines.
#[derive(Debug)]
pub struct Random(SmallRng);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// A number below a bound, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.random_range(0..bound)
    }

    /// A number from one to another, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    /// True as often as the probability says.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }

    /// One of several, each as often as its weight says.
    pub fn weighted(&mut self, weights: &WeightedIndex<f64>) -> u64 {
        weights.sample(&mut self.0) as u64
    }
}

/// Weights by Zipf's law: the second is chosen half as often as the first, the third a third as often.
pub fn zipf(choices: u64) -> WeightedIndex<f64> {
    WeightedIndex::new((1..=choices).map(|rank| 1.0 / rank as f64)).expect("there is a choice")
}
