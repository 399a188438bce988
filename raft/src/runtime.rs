//! tokio, as openraft runs on it, with randomness that a simulation can decide.
//!
//! openraft draws election timeouts from its runtime. On a node they come from the kernel's entropy;
//! a simulation calls [`seed_thread`] on the one thread it runs on, and the same seed gives the same
//! elections. (openraft's own `DeterministicRng` keeps the seed in a task-local that every task which
//! touches a group must carry; a thread-local needs nothing of the callers, and a simulation has one
//! thread.)

use base::Rng;
use openraft::rt::AsyncRuntime;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

#[allow(deprecated)] // The re-export is deprecated in favour of a crate that we would only add for it.
type Tokio = openraft::impls::TokioRuntime;

thread_local! {
    /// Randomness of this thread; filled from entropy at first use unless it was seeded.
    static RANDOM: RefCell<Option<Rng>> = const { RefCell::new(None) };
}

/// Makes every later draw on this thread follow from `seed`.
pub fn seed_thread(seed: u64) {
    RANDOM.with_borrow_mut(|random| *random = Some(Rng::seeded(seed)));
}

/// A random time shorter than `bound`.
pub fn random_below(bound: Duration) -> Duration {
    RANDOM.with_borrow_mut(|random| {
        let random = random.get_or_insert_with(Rng::from_entropy);
        Duration::from_micros(random.below((bound.as_micros() as u64).max(1)))
    })
}

/// This thread's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadRandom;

impl ThreadRandom {
    /// The next 64 bits of this thread.
    fn draw() -> u64 {
        RANDOM.with_borrow_mut(|random| random.get_or_insert_with(Rng::from_entropy).next_u64())
    }
}

impl rand_core::TryRng for ThreadRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((ThreadRandom::draw() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(ThreadRandom::draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&ThreadRandom::draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// tokio with our randomness.
#[derive(Debug)]
pub struct Runtime(Tokio);

impl AsyncRuntime for Runtime {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: Send + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Tokio as AsyncRuntime>::Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + Send> = <Tokio as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = ThreadRandom;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = <Tokio as AsyncRuntime>::Watch;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        Tokio::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Tokio::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Tokio::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        Tokio::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        ThreadRandom
    }

    fn new(threads: usize) -> Self {
        Runtime(Tokio::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng as _;

    #[test]
    fn a_seeded_thread_draws_the_same_again() {
        let draw = || {
            seed_thread(11);
            (0..4).map(|_| Runtime::thread_rng().next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
    }
}
