//! What a run has used and what that costs: `(prompt tokens * prompt price + completion tokens * completion price) / 1e6`.
//!
//! A budget is kept before the fact: a request leaves only if all that is spent, all that requests under way may still
//! cost, and the most it may cost itself stay within it. The most is a token for each byte of the request, which no
//! tokenizer in use exceeds, and all the completion tokens asked for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::OpenAiError;

/// Prices per million tokens, in any currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Of tokens that are sent.
    pub prompt: f64,
    /// Of tokens that are sent and that the server had in its cache; the prompt's price where `None`.
    pub cached: Option<f64>,
    /// Of tokens that the server writes, reasoning included.
    pub completion: f64,
}

impl Prices {
    /// What so many tokens cost; `cached` of the `prompt` tokens came from the server's cache.
    fn cost(&self, prompt: u64, cached: u64, completion: u64) -> f64 {
        let fresh = prompt.saturating_sub(cached) as f64 * self.prompt;
        let cached = cached.min(prompt) as f64 * self.cached.unwrap_or(self.prompt);
        (fresh + cached + completion as f64 * self.completion) / 1e6
    }
}

/// What a model has used so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Requests sent, whatever came of them.
    pub requests: u64,
    /// Those among them that repeat one that failed.
    pub retries: u64,
    /// Tokens sent, as the server counts them.
    pub prompt_tokens: u64,
    /// Those among them that the server had in its cache, where it tells.
    pub cached_tokens: u64,
    /// Tokens written, as the server counts them.
    pub completion_tokens: u64,
    /// Requests that may have been charged without the server telling the tokens: it does not count them, or the answer
    /// was lost. `cost` takes the most that they can have cost.
    pub uncounted: u64,
    /// Answers that the server's content filter, or the model's refusal, took the text of.
    pub filtered: u64,
    /// What it cost, where prices are set.
    pub cost: Option<f64>,
    /// The model's names and `system_fingerprint`s that answers carried. More than one: the server changed during the run.
    pub served: BTreeSet<String>,
}

/// The tokens of one answer, as the server counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) completion: u64,
}

/// The most tokens that a request can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) prompt: u64,
    pub(super) completion: u64,
}

/// Counts what is used, and says no before a budget is exceeded.
#[derive(Debug)]
pub(super) struct Meter {
    prices: Option<Prices>,
    budget: Option<f64>,
    usage: Usage,
    under_way: f64,
}

/// How a request ended, for its bill.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// Answered, with the server's count.
    Counted(Tokens),
    /// Perhaps charged, but nobody said how much.
    Uncounted,
    /// Refused: nothing was charged.
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

    /// Counts a request that is about to leave, or refuses it for its price.
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

    /// Puts a request that [`begin`](Self::begin) let go on the bill.
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

    /// Writes down what an answer says of who made it, and whether its text was taken away.
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
        // One of them turns out to have cost nothing, so that a third fits.
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
