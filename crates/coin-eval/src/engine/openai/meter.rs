//! The usage of a run and its cost: `(prompt tokens * prompt price + completion tokens * completion price) / 1e6`.
//!
//! The budget is enforced in advance. A request is sent only if the amount spent, the maximum cost of the requests in
//! flight and its own maximum cost together stay within the budget. The maximum cost assumes one token per byte of the
//! request, which no tokenizer in use exceeds, and all completion tokens that the request allows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::OpenAiError;

/// Prices per million tokens, in any currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Price of tokens sent.
    pub prompt: f64,
    /// Price of tokens sent that were in the server's cache. `None` means the prompt price.
    pub cached: Option<f64>,
    /// Price of generated tokens, including reasoning.
    pub completion: f64,
}

impl Prices {
    /// Returns the cost of the tokens. `cached` of the `prompt` tokens were in the server's cache.
    fn cost(&self, prompt: u64, cached: u64, completion: u64) -> f64 {
        let fresh = prompt.saturating_sub(cached) as f64 * self.prompt;
        let cached = cached.min(prompt) as f64 * self.cached.unwrap_or(self.prompt);
        (fresh + cached + completion as f64 * self.completion) / 1e6
    }
}

/// The usage of a model so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Requests sent, successful or not.
    pub requests: u64,
    /// Requests that retry a failed one.
    pub retries: u64,
    /// Prompt tokens, as counted by the server.
    pub prompt_tokens: u64,
    /// Prompt tokens that were in the server's cache, if it reports them.
    pub cached_tokens: u64,
    /// Generated tokens, as counted by the server.
    pub completion_tokens: u64,
    /// Requests that may have been charged but have no token count, because the server does not count or the answer was
    /// lost. `cost` includes the maximum that they may have cost.
    pub uncounted: u64,
    /// Answers whose text was withheld by the server's content filter or by a refusal of the model.
    pub filtered: u64,
    /// The total cost, if prices are set.
    pub cost: Option<f64>,
    /// The model names and `system_fingerprint`s in the answers. More than one means that the server changed during the run.
    pub served: BTreeSet<String>,
}

/// The token counts of one answer, as reported by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) completion: u64,
}

/// The maximum number of tokens that a request can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) prompt: u64,
    pub(super) completion: u64,
}

/// Counts usage and rejects requests that could exceed the budget.
#[derive(Debug)]
pub(super) struct Meter {
    prices: Option<Prices>,
    budget: Option<f64>,
    usage: Usage,
    under_way: f64,
}

/// The outcome of a request, for billing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// Answered, with token counts from the server.
    Counted(Tokens),
    /// Possibly charged, by an unknown amount.
    Uncounted,
    /// Not charged.
    Free,
}

impl Meter {
    pub(super) fn new(prices: Option<Prices>, budget: Option<f64>) -> Self {
        let usage = Usage { cost: prices.map(|_| 0.0), ..Usage::default() };
        Meter { prices, budget, usage, under_way: 0.0 }
    }

    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Counts a request about to be sent, or returns an error if it could exceed the budget.
    pub(super) fn begin(&mut self, bound: Bound, is_retry: bool) -> Result<(), OpenAiError> {
        let next = self.most(bound);
        if let Some(budget) = self.budget {
            let spent = self.usage.cost.unwrap_or(0.0) + self.under_way;
            if spent + next > budget {
                return Err(OpenAiError::Budget { budget, spent, next });
            }
        }
        self.under_way += next;
        self.usage.requests += 1;
        self.usage.retries += u64::from(is_retry);
        Ok(())
    }

    /// Bills a request that [`begin`](Self::begin) accepted.
    pub(super) fn end(&mut self, bound: Bound, outcome: Outcome) {
        let most = self.most(bound);
        self.under_way -= most;
        let cost = match outcome {
            Outcome::Free => 0.0,
            Outcome::Uncounted => {
                self.usage.uncounted += 1;
                most
            }
            Outcome::Counted(tokens) => {
                let Usage { prompt_tokens, cached_tokens, completion_tokens, .. } = &mut self.usage;
                let counts = [tokens.prompt, tokens.cached, tokens.completion];
                for (sum, count) in [prompt_tokens, cached_tokens, completion_tokens].into_iter().zip(counts) {
                    *sum = sum.saturating_add(count);
                }
                self.prices.map_or(0.0, |prices| prices.cost(tokens.prompt, tokens.cached, tokens.completion))
            }
        };
        if let Some(total) = &mut self.usage.cost {
            *total += cost;
        }
    }

    /// Records the model that an answer names, and whether its text was withheld.
    pub(super) fn note(&mut self, served: Option<String>, filtered: bool) {
        self.usage.served.extend(served);
        self.usage.filtered += u64::from(filtered);
    }

    fn most(&self, bound: Bound) -> f64 {
        self.prices.map_or(0.0, |prices| prices.cost(bound.prompt, 0, bound.completion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: Prices = Prices { prompt: 2.0, cached: Some(0.5), completion: 8.0 };
    const BOUND: Bound = Bound { prompt: 400_000, completion: 25_000 };

    #[test]
    fn a_bill() {
        let mut meter = Meter::new(Some(PRICES), None);
        meter.begin(BOUND, false).unwrap();
        meter.end(BOUND, Outcome::Counted(Tokens { prompt: 100_000, cached: 40_000, completion: 10_000 }));
        // 0.06 * 2 + 0.04 * 0.5 + 0.01 * 8
        assert!((meter.usage().cost.unwrap() - 0.22).abs() < 1e-12);
        meter.begin(BOUND, true).unwrap();
        meter.end(BOUND, Outcome::Free);
        meter.begin(BOUND, true).unwrap();
        meter.end(BOUND, Outcome::Uncounted);
        // The bound costs 0.4 * 2 + 0.025 * 8 = 1.
        let usage = meter.usage();
        assert!((usage.cost.unwrap() - 1.22).abs() < 1e-12);
        assert_eq!((usage.requests, usage.retries, usage.uncounted), (3, 2, 1));
        assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens), (100_000, 40_000, 10_000));
    }

    #[test]
    fn a_budget_counts_what_is_under_way() {
        let mut meter = Meter::new(Some(PRICES), Some(2.5));
        meter.begin(BOUND, false).unwrap();
        meter.begin(BOUND, false).unwrap();
        let error = meter.begin(BOUND, false).unwrap_err();
        assert!(matches!(error, OpenAiError::Budget { spent, next, .. } if spent == 2.0 && next == 1.0), "{error}");
        // One of them turns out to be free, so a third fits.
        meter.end(BOUND, Outcome::Free);
        meter.begin(BOUND, false).unwrap();
        assert!(meter.begin(BOUND, false).is_err());
        assert_eq!(meter.usage().requests, 3);
    }

    #[test]
    fn sums_stay_where_numbers_end() {
        let mut meter = Meter::new(Some(PRICES), None);
        for _ in 0..2 {
            meter.begin(BOUND, false).unwrap();
            meter.end(BOUND, Outcome::Counted(Tokens { prompt: u64::MAX, cached: u64::MAX, completion: u64::MAX - 1 }));
        }
        assert_eq!((meter.usage().prompt_tokens, meter.usage().completion_tokens), (u64::MAX, u64::MAX));
    }

    #[test]
    fn without_prices_only_tokens_are_counted() {
        let mut meter = Meter::new(None, None);
        meter.begin(BOUND, false).unwrap();
        meter.end(BOUND, Outcome::Counted(Tokens { prompt: 5, cached: 0, completion: 2 }));
        assert_eq!((meter.usage().cost, meter.usage().prompt_tokens), (None, 5));
    }
}
