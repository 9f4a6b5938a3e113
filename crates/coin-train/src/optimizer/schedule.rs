//! Linear warm-up and linear decay of the learning rate, as in transformers' `get_linear_schedule_with_warmup`.

/// The learning rate of a run's steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinearSchedule {
    peak: f64,
    warmup: usize,
    total: usize,
}

impl LinearSchedule {
    /// Returns a schedule over `total` optimizer steps with `floor(warmup_ratio * total)` warm-up steps.
    pub(crate) fn new(peak: f64, warmup_ratio: f64, total: usize) -> Self {
        LinearSchedule { peak, warmup: (warmup_ratio * total as f64) as usize, total }
    }

    /// Returns the rate of optimizer step `step`, counted from 0. With warm-up the first rate is 0.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step as f64 / self.warmup as f64);
        }
        let left = self.total.saturating_sub(step) as f64;
        // The order of operations is that of transformers, so that even the last digit is the same.
        self.peak * (left / (self.total - self.warmup).max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_from_0_and_falls_to_0() {
        let schedule = LinearSchedule::new(1e-4, 0.1, 100);
        assert_eq!(schedule.rate(0), 0.0);
        assert_eq!(schedule.rate(5), 5e-5);
        assert_eq!(schedule.rate(10), 1e-4);
        assert_eq!(schedule.rate(55), 5e-5);
    }
}
