//! From what a model says to a class: three ways.
//!
//! | name | reads | |
//! |---|---|---|
//! | `released` | a continuation | the released program's parser: the answer must begin with a label word ([`released`]) |
//! | `normalizing` | a continuation | finds a label word anywhere, whatever its case and punctuation ([`normalizing`]) |
//! | `likelihood` | log-likelihoods | the most probable label word ([`likelihood`]) |
//! | `likelihood-per-token` | log-likelihoods | the same, divided by its number of tokens |
//!
//! Both parsers leave out what a model thinks before it answers ([`thought`]). `docs/metrics.md` has the rules.

pub mod likelihood;
pub mod normalizing;
pub mod released;
pub mod thought;

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

/// A reason for which an answer names no class, beyond that no label word was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unparsable {
    /// The model was still thinking when its answer ended; see [`thought`].
    UnfinishedThought,
}

/// What a parser reads from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedAnswer {
    /// The class; none where the answer names none.
    pub class: Option<usize>,
    /// Why it names none, where that is known.
    pub unparsable: Option<Unparsable>,
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
        self.parse_after(task, text, false).class
    }

    /// As [`parse`](Self::parse), with the reason where it is known. With `begun` the prompt began a thought
    /// ([`thought::begun`]).
    pub fn parse_after(self, task: &Task, text: &str, begun: bool) -> ParsedAnswer {
        let parse = match self {
            Scorer::Released => released::parse_answer,
            Scorer::Normalizing => normalizing::parse_answer,
            Scorer::Likelihood | Scorer::LikelihoodPerToken => return ParsedAnswer { class: None, unparsable: None },
        };
        let thought::Reading { answer, unfinished } = thought::read(text, begun);
        let class = parse(task, &answer);
        let unparsable = (unfinished && class.is_none()).then_some(Unparsable::UnfinishedThought);
        ParsedAnswer { class, unparsable }
    }

    /// Whether every text that begins with `text` is read as `text` itself is. False is always safe.
    ///
    /// The one text for which true may be wrong has the end of a thought without its beginning; see [`thought`].
    pub fn decided(self, task: &Task, text: &str) -> bool {
        self.decided_after(task, text, false)
    }

    /// As [`decided`](Self::decided). With `begun` the prompt began a thought ([`thought::begun`]).
    pub fn decided_after(self, task: &Task, text: &str, begun: bool) -> bool {
        let decided = match self {
            Scorer::Released => released::decided_answer,
            Scorer::Normalizing => normalizing::decided_answer,
            Scorer::Likelihood | Scorer::LikelihoodPerToken => return false,
        };
        // A replacement character at the end stands for a character whose bytes are not complete yet.
        decided(task, &thought::settled(text.trim_end_matches(char::REPLACEMENT_CHARACTER), begun))
    }

    /// Refuses a task of which this scorer could not tell all classes apart.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] for a label word that no answer can be read as, or that is read like one of another class.
    ///
    /// ```
    /// use coin_eval::Scorer;
    /// let mut task = coin_data::Task::named("cola")?;
    /// assert!(Scorer::Released.check(&task).is_ok());
    /// task.verbalizer[0].word = "-".to_owned();
    /// assert!(Scorer::Released.check(&task).is_err() && Scorer::Likelihood.check(&task).is_ok());
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn check(self, task: &Task) -> Result<(), EvalError> {
        let fault = match self {
            Scorer::Released => released::fault(task),
            Scorer::Normalizing => normalizing::fault(task),
            Scorer::Likelihood | Scorer::LikelihoodPerToken => None,
        };
        match fault {
            Some(fault) => Err(EvalError::Invalid(format!("task `{}`, scorer `{}`: {fault}", task.name, self.name()))),
            None => Ok(()),
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

    /// Reads a record again, without its model: the prediction that this scorer makes, -1 for none.
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
            (true, None) => self.parse_after(task, &record.raw_pred, record.is_unfinished_thought()).class,
            (false, Some(words)) => self.choose(words),
            (true, Some(_)) => return refused("there is no answer to parse, label words were scored"),
            (false, None) => return refused("there are no likelihoods, an answer was generated"),
        };
        Ok(class.map_or(-1, |class| class as i64))
    }

    /// The reason for which `record` names no class, as [`read`](Self::read) reads it.
    pub fn unparsable(self, task: &Task, record: &Record) -> Option<Unparsable> {
        // Only the run knows whether the prompt began the thought; an answer that was one to its end still is.
        self.parse_after(task, &record.raw_pred, record.is_unfinished_thought()).unparsable
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
    fn a_thought_without_an_end_has_a_reason_of_its_own() {
        let task = Task::named("cola").unwrap();
        for scorer in [Scorer::Released, Scorer::Normalizing] {
            let of = |text, begun| scorer.parse_after(&task, text, begun);
            let cut_off = ParsedAnswer { class: None, unparsable: Some(Unparsable::UnfinishedThought) };
            assert_eq!(of("<think>It is acceptable", false), cut_off);
            assert_eq!(of("acceptable", true), cut_off, "the prompt began the thought");
            assert_eq!(of("no</think>acceptable", true), ParsedAnswer { class: Some(1), unparsable: None });
            assert_eq!(of("I do not know", false), ParsedAnswer { class: None, unparsable: None });
            assert!(!scorer.decided_after(&task, "acceptable. ", true));
            assert!(scorer.decided_after(&task, "no</think>acceptable. ", true));
            let record = Record {
                raw_pred: "acceptable".to_owned(),
                unparsable: Some(Unparsable::UnfinishedThought),
                pred: -1,
                ..Record::default()
            };
            assert_eq!(scorer.read(&task, &record).unwrap(), -1);
            assert_eq!(scorer.unparsable(&task, &record), record.unparsable);
        }
        assert_eq!(serde_json::to_string(&Unparsable::UnfinishedThought).unwrap(), "\"unfinished-thought\"");
    }

    #[test]
    fn a_record_is_read_again_only_where_it_holds_enough() {
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
