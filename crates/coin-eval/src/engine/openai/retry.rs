//! The wait before a retry: the server's `Retry-After` (RFC 9110, section 10.2.3), or exponential back-off with full jitter.
//! The back-off after attempt `k` (from 0) is drawn uniformly from 0 to `min(longest, first 2^k)`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coin_core::stream::keyed;
use rand::Rng;

/// Returns true if `status` is temporary, so that a retry may succeed.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

/// Returns the pause after attempt `attempt` (from 0) of request `request`.
///
/// The draw depends on the request, so that requests that failed together are retried at different times, and on the
/// process, so that this also holds for two runs on one machine. No result depends on the draw.
pub(super) fn back_off(first: Duration, longest: Duration, request: usize, attempt: u32) -> Duration {
    let most = first.saturating_mul(2_u32.saturating_pow(attempt)).min(longest);
    let key = ["retry", &request.to_string(), &attempt.to_string()];
    most.mul_f64(keyed(u64::from(std::process::id()), &key).random::<f64>())
}

/// Returns the wait that the value of a `Retry-After` header requests, given in seconds or as a date. A date is compared with
/// the answer's `Date` header if present, so that the two clocks need not agree. `None` if the value is neither.
pub(super) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Some(seconds) = value.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds)) {
        return Some(Duration::from_secs_f64(seconds));
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = date.and_then(unix_seconds).unwrap_or_else(now);
    unix_seconds(value).map(|until| Duration::from_secs(until.saturating_sub(now)))
}

/// Returns the seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that RFC 9110 allows
/// servers to generate.
fn unix_seconds(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = clock[..] else { return None };
    if !(1970..10_000).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // The year begins in March here, so that the leap day is its last day. Months of 31, 30, 31, 30, 31 days add up to
    // (153 m + 2) / 5. There are 719,468 days between 1 March of year 0 and 1 January 1970.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some((days - 719_469) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // From `date -u -d '...' +%s`.
        let dates = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Sun, 31 Dec 2000 12:00:00 GMT", 978_264_000),
        ];
        for (text, seconds) in dates {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
        let bad =
            ["Sun, 06 Nov 1994 08:49:37", "x, 0 Jan 2000 00:00:00 GMT", "x, 1 Jan 0 00:00:00 GMT", "tomorrow", ""];
        for text in bad {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_asks_in_seconds_or_by_a_date() {
        assert_eq!(retry_after(" 7 ", None), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("0.25", None), Some(Duration::from_millis(250)));
        let (date, until) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(retry_after(until, Some(date)), Some(Duration::from_secs(30)));
        // Far in the past by this machine's clock.
        assert_eq!(retry_after(until, None), Some(Duration::ZERO));
        for text in ["soon", "-3", "nan", "inf", "1e300"] {
            assert_eq!(retry_after(text, None), None, "{text}");
        }
    }

    #[test]
    fn pauses_grow_and_are_spread_over_their_whole_range() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(1000));
        for (attempt, most) in [(0, 100), (1, 200), (3, 800), (4, 1000), (40, 1000)] {
            let most = Duration::from_millis(most);
            let pauses: Vec<_> = (0..200).map(|request| back_off(first, longest, request, attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause < most), "attempt {attempt}");
            // The probability that 200 uniform draws leave a fifth of the range empty is below 1e-19.
            assert!(pauses.iter().any(|pause| *pause < most / 5) && pauses.iter().any(|pause| *pause > most * 4 / 5));
        }
    }
}
