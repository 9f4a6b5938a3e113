//! Rate limiting with a token bucket that holds one request and may go into debt.
//!
//! With `r` units allowed per minute, a request of `n` units is sent when the debt of the earlier ones is paid, and adds
//! `60 n / r` seconds to the debt. Requests are thus evenly spaced, and no 60 seconds contain more than `r` of them. There
//! is no burst at the start, which could exceed the server's limit.

use std::time::Duration;

/// The longest wait, for a debt that is never paid: one year.
const LONGEST: Duration = Duration::from_secs(31_536_000);

/// One rate limit. Times are relative to an arbitrary fixed moment, so the arithmetic can be tested without waiting.
#[derive(Debug)]
pub(super) struct Pace {
    seconds_per_unit: f64,
    /// The time at which the debt is paid, in seconds.
    free: f64,
}

impl Pace {
    /// Creates a limit of `per_minute` units per minute. `None` means unlimited.
    pub(super) fn new(per_minute: Option<f64>) -> Self {
        Pace { seconds_per_unit: per_minute.map_or(0.0, |units| 60.0 / units), free: 0.0 }
    }

    /// Adds `units` to the debt at time `now` and returns the wait before they may be used.
    pub(super) fn take(&mut self, now: Duration, units: f64) -> Duration {
        let now = now.as_secs_f64();
        let start = self.free.max(now);
        self.free = start + units * self.seconds_per_unit;
        Duration::try_from_secs_f64(start - now).unwrap_or(LONGEST).min(LONGEST)
    }

    /// Corrects the debt by `units` if a request was larger (or, if negative, smaller) than assumed.
    pub(super) fn correct(&mut self, units: f64) {
        self.free += units * self.seconds_per_unit;
    }

    /// Blocks all requests until the time `until`.
    pub(super) fn pause(&mut self, until: Duration) {
        self.free = self.free.max(until.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn requests_leave_evenly_spaced() {
        // 120 per minute: one every half second.
        let mut pace = Pace::new(Some(120.0));
        let waits: Vec<_> = (0..4).map(|_| pace.take(at(0), 1.0)).collect();
        assert_eq!(waits, [at(0), at(500), at(1000), at(1500)]);
        assert_eq!(pace.take(at(1900), 1.0), at(100));
        assert_eq!(pace.take(at(9000), 1.0), at(0));
    }

    #[test]
    fn no_minute_holds_more_than_allowed() {
        let mut pace = Pace::new(Some(7.0));
        // Each request follows the previous one immediately, as from one worker.
        let mut now = Duration::ZERO;
        let times: Vec<f64> = (0..100)
            .map(|_| {
                now += pace.take(now, 1.0);
                now.as_secs_f64()
            })
            .collect();
        for start in &times {
            // A microsecond less than a minute, because the times are rounded to nanoseconds.
            let within = times.iter().filter(|time| (*start..start + 59.999_999).contains(*time)).count();
            assert!(within <= 7, "{within} from {start} on");
        }
        // 99 gaps of 60 / 7 seconds.
        assert!((times[99] - 99.0 * 60.0 / 7.0).abs() < 1e-6);
    }

    #[test]
    fn tokens_are_paid_by_whoever_comes_next() {
        // 6000 per minute: 100 per second.
        let mut pace = Pace::new(Some(6000.0));
        assert_eq!(pace.take(at(0), 300.0), at(0));
        pace.correct(-100.0);
        assert_eq!(pace.take(at(0), 10.0), at(2000));
        pace.correct(40.0);
        assert_eq!(pace.take(at(2000), 1.0), at(500));
    }

    #[test]
    fn no_debt_is_beyond_the_clock() {
        let mut pace = Pace::new(Some(1e-4));
        pace.take(at(0), f64::MAX);
        assert_eq!(pace.take(at(0), 1.0), LONGEST);
    }

    #[test]
    fn without_a_limit_only_a_pause_delays() {
        let mut pace = Pace::new(None);
        assert_eq!((pace.take(at(0), 1e9), pace.take(at(0), 1e9)), (at(0), at(0)));
        pace.pause(at(3000));
        assert_eq!(pace.take(at(1000), 1.0), at(2000));
        pace.pause(at(2000));
        assert_eq!(pace.take(at(4000), 1.0), at(0));
    }
}
