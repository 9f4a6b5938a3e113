//! From what a model says to a class: three ways.
//!
//! | name | reads | |
//! |---|---|---|
//! | `released` | a continuation | the released program's parser: the answer must begin with a label word ([`released`]) |
//! | `normalizing` | a continuation | finds a label word anywhere, whatever its case and punctuation ([`normalizing`]) |
//! | `likelihood` | log-likelihoods | the most probable label word ([`likelihood`]) |
//! | `likelihood-per-token` | log-likelihoods | the same, divided by its number of tokens |
//!
//! `docs/metrics.md` has the rules.

pub mod likelihood;
pub mod normalizing;
pub mod released;

use coin_data::Task;
use serde::{Deserialize, Serialize};

use crate::ledger::Record;
use crate::{EvalError, Likelihood};

/// How an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scorer {
    /// The released program's parser. The default, as in the paper.
    #[default]
    Released,
    /// A parser that finds label words anywhere in the answer; ours.
    Normalizing,
    /// The label word with the largest log-likelihood.
    Likelihood,
    /// The label word with the largest log-likelihood per token.
    LikelihoodPerToken,
}

impl Scorer {
    /// All of them.
    pub const ALL: [Scorer; 4] =
        [Scorer::Released, Scorer::Normalizing, Scorer::Likelihood, Scorer::LikelihoodPerToken];

    /// The name in settings and options.
    pub fn name(self) -> &'static str {
        match self {
            Scorer::Released => "released",
            Scorer::Normalizing => "normalizing",
            Scorer::Likelihood => "likelihood",
            Scorer::LikelihoodPerToken => "likelihood-per-token",
        }
    }

    /// Whether the model writes an answer, or else tells the likelihood of each label word.
    pub fn generates(self) -> bool {
        matches!(self, Scorer::Released | Scorer::Normalizing)
    }

    /// The class that a continuation stands for; `None` if it names none, and always for the likelihood scorers.
    pub fn parse(self, task: &Task, text: &str) -> Option<usize> {
        match self {
            Scorer::Released => released::parse(task, text),
            Scorer::Normalizing => normalizing::parse(task, text),
            Scorer::Likelihood | Scorer::LikelihoodPerToken => None,
        }
    }

    /// Whether every text that begins with `text` is read as `text` itself is. False is always safe.
    pub fn decided(self, task: &Task, text: &str) -> bool {
        match self {
            Scorer::Released => released::decided(task, text),
            Scorer::Normalizing => normalizing::decided(task, text),
            Scorer::Likelihood | Scorer::LikelihoodPerToken => false,
        }
    }

    /// The class whose label word is the most likely; `None` if there is none, and always for the parsers.
    pub fn choose(self, words: &[Likelihood]) -> Option<usize> {
        match self {
            Scorer::Likelihood => likelihood::largest(words, |word| word.sum),
            Scorer::LikelihoodPerToken => likelihood::largest(words, |word| word.sum / word.tokens.max(1) as f64),
            Scorer::Released | Scorer::Normalizing => None,
        }
    }

    /// Reads a record anew, without its model: the prediction that this scorer makes, -1 for none.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if the record does not hold what this scorer reads: likelihoods, or for a parser a
    /// continuation that was written to its end or stopped by this parser itself.
    pub fn read(self, task: &Task, record: &Record) -> Result<i64, EvalError> {
        let refused = |what: &str| {
            let (level, instruction, row) = (&record.level, record.instruction, record.row);
            let place = format!("task `{}`, level `{level}`, instruction {instruction}, example {row}", task.name);
            Err(EvalError::Invalid(format!("{place}: {what}")))
        };
        let class = match (self.generates(), &record.likelihoods) {
            (true, None) if record.stopped && record.scorer != self => {
                let other = record.scorer.name();
                return refused(&format!(
                    "the answer was ended early for the scorer `{other}`; to read it with `{}`, evaluate with full decoding",
                    self.name()
                ));
            }
            (true, None) => self.parse(task, &record.raw_pred),
            (false, Some(words)) => self.choose(words),
            (true, Some(_)) => return refused("there is no answer to parse, label words were scored"),
            (false, None) => return refused("there are no likelihoods, an answer was generated"),
        };
        Ok(class.map_or(-1, |class| class as i64))
    }
}

impl std::str::FromStr for Scorer {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        Scorer::ALL.into_iter().find(|scorer| scorer.name() == name).ok_or_else(|| {
            let known = Scorer::ALL.map(Scorer::name).join(", ");
            EvalError::Invalid(format!("unknown scorer `{name}`, expected one of: {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for scorer in Scorer::ALL {
            assert_eq!(scorer.name().parse::<Scorer>().unwrap(), scorer);
            assert_eq!(serde_json::to_string(&scorer).unwrap(), format!("\"{}\"", scorer.name()));
        }
        assert!("greedy".parse::<Scorer>().unwrap_err().to_string().contains("`greedy`, expected one of: released"));
    }

    #[test]
    fn a_record_is_read_anew_only_where_it_holds_enough() {
        let task = Task::named("cola").unwrap();
        let written = Record { raw_pred: "It is acceptable".to_owned(), ..Record::default() };
        assert_eq!(Scorer::Released.read(&task, &written).unwrap(), -1);
        assert_eq!(Scorer::Normalizing.read(&task, &written).unwrap(), 1);
        let message = Scorer::Likelihood.read(&task, &written).unwrap_err().to_string();
        assert!(message.ends_with("there are no likelihoods, an answer was generated"), "{message}");
        let stopped = Record { stopped: true, ..written };
        assert_eq!(Scorer::Released.read(&task, &stopped).unwrap(), -1);
        let message = Scorer::Normalizing.read(&task, &stopped).unwrap_err().to_string();
        assert!(message.contains("ended early for the scorer `released`"), "{message}");
        let word = |sum, tokens| Likelihood { sum, tokens };
        let scored = Record { likelihoods: Some(vec![word(-3.0, 3), word(-2.0, 1)]), ..Record::default() };
        assert_eq!(Scorer::Likelihood.read(&task, &scored).unwrap(), 1);
        assert_eq!(Scorer::LikelihoodPerToken.read(&task, &scored).unwrap(), 0);
        assert!(Scorer::Released.read(&task, &scored).unwrap_err().to_string().contains("no answer to parse"));
    }
}
