//! Ways to read a class from a model's answer.
//!
//! | name | reads | |
//! |---|---|---|
//! | `released` | a continuation | the released program's parser; the answer must begin with a label word ([`released`]) |
//! | `normalizing` | a continuation | finds a label word anywhere, ignoring case and punctuation ([`normalizing`]) |
//! | `likelihood` | log-likelihoods | the most probable label word |
//! | `likelihood-per-token` | log-likelihoods | the same, divided by its number of tokens |
//!
//! Both parsers remove the thoughts that a model writes before its answer ([`thought`]). `docs/metrics.md` gives the rules.

mod likelihood;
pub mod normalizing;
pub mod released;
pub mod thought;

use coin_data::Task;
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::engine::model::LogLikelihood;

/// A method of reading answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerParser {
    /// The released program's parser. The default, as in the paper.
    #[default]
    Released,
    /// A parser that finds label words anywhere in the answer. Defined by this project.
    Normalizing,
    /// The label word with the largest log-likelihood.
    Likelihood,
    /// The label word with the largest log-likelihood per token.
    LikelihoodPerToken,
}

/// A reason why an answer does not name a class, other than the absence of a label word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unparsable {
    /// The model was still thinking when its answer ended; see [`thought`].
    UnfinishedThought,
}

/// The result of parsing an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedAnswer {
    /// The class. `None` if the answer does not name one.
    pub class: Option<usize>,
    /// The reason why there is no class, if known.
    pub unparsable: Option<Unparsable>,
}

impl AnswerParser {
    /// All variants.
    pub const ALL: [AnswerParser; 4] =
        [AnswerParser::Released, AnswerParser::Normalizing, AnswerParser::Likelihood, AnswerParser::LikelihoodPerToken];

    /// Returns the name used in settings and options.
    pub fn name(self) -> &'static str {
        match self {
            AnswerParser::Released => "released",
            AnswerParser::Normalizing => "normalizing",
            AnswerParser::Likelihood => "likelihood",
            AnswerParser::LikelihoodPerToken => "likelihood-per-token",
        }
    }

    /// True if the model generates an answer, false if it computes the likelihood of each label word.
    pub fn generates(self) -> bool {
        matches!(self, AnswerParser::Released | AnswerParser::Normalizing)
    }

    /// Returns the class that a continuation names. `None` if it does not name one, and always for the likelihood scorers.
    pub fn parse(self, task: &Task, text: &str) -> Option<usize> {
        self.parse_after(task, text, false).class
    }

    /// As [`parse`](Self::parse), with the reason for a missing class, if known. Set `begun` if the prompt began a thought
    /// ([`thought::begun`]).
    pub fn parse_after(self, task: &Task, text: &str, begun: bool) -> ParsedAnswer {
        let parse = match self {
            AnswerParser::Released => released::parse_answer,
            AnswerParser::Normalizing => normalizing::parse_answer,
            AnswerParser::Likelihood | AnswerParser::LikelihoodPerToken => {
                return ParsedAnswer { class: None, unparsable: None };
            }
        };
        let thought::Reading { answer, unfinished } = thought::read(text, begun);
        let class = parse(task, &answer);
        let unparsable = (unfinished && class.is_none()).then_some(Unparsable::UnfinishedThought);
        ParsedAnswer { class, unparsable }
    }

    /// Returns true if every text that begins with `text` is read like `text` itself. False is always safe.
    ///
    /// True may be wrong in one case only: the rest of the text holds the end of a thought without its beginning. See [`thought`].
    pub fn decided(self, task: &Task, text: &str) -> bool {
        self.decided_after(task, text, false)
    }

    /// As [`decided`](Self::decided). Set `begun` if the prompt began a thought ([`thought::begun`]).
    pub fn decided_after(self, task: &Task, text: &str, begun: bool) -> bool {
        let decided = match self {
            AnswerParser::Released => released::decided_answer,
            AnswerParser::Normalizing => normalizing::decided_answer,
            AnswerParser::Likelihood | AnswerParser::LikelihoodPerToken => return false,
        };
        // A replacement character at the end represents a character whose bytes are still incomplete.
        decided(task, &thought::settled(text.trim_end_matches(char::REPLACEMENT_CHARACTER), begun))
    }

    /// Rejects a task whose classes this scorer cannot distinguish.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] for a label word that can never be read from an answer, or that is read like a label word of another class.
    ///
    /// ```
    /// use coin_eval::parser::AnswerParser;
    /// let mut task = coin_data::Task::named("cola")?;
    /// assert!(AnswerParser::Released.check(&task).is_ok());
    /// task.verbalizer[0].word = "-".to_owned();
    /// assert!(AnswerParser::Released.check(&task).is_err() && AnswerParser::Likelihood.check(&task).is_ok());
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn check(self, task: &Task) -> Result<(), EvalError> {
        let fault = match self {
            AnswerParser::Released => released::fault(task),
            AnswerParser::Normalizing => normalizing::fault(task),
            AnswerParser::Likelihood | AnswerParser::LikelihoodPerToken => None,
        };
        match fault {
            Some(fault) => Err(EvalError::Invalid(format!("task `{}`, scorer `{}`: {fault}", task.name, self.name()))),
            None => Ok(()),
        }
    }

    /// Returns the class with the most likely label word. `None` if there are no label words, and always for the parsers.
    pub fn choose(self, words: &[LogLikelihood]) -> Option<usize> {
        match self {
            AnswerParser::Likelihood => likelihood::largest(words, |word| word.sum),
            AnswerParser::LikelihoodPerToken => likelihood::largest(words, |word| word.sum / word.tokens.max(1) as f64),
            AnswerParser::Released | AnswerParser::Normalizing => None,
        }
    }
}

impl std::str::FromStr for AnswerParser {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        AnswerParser::ALL.into_iter().find(|parser| parser.name() == name).ok_or_else(|| {
            let known = AnswerParser::ALL.map(AnswerParser::name).join(", ");
            EvalError::Invalid(format!("unknown scorer `{name}`, expected one of: {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for parser in AnswerParser::ALL {
            assert_eq!(parser.name().parse::<AnswerParser>().unwrap(), parser);
            assert_eq!(serde_json::to_string(&parser).unwrap(), format!("\"{}\"", parser.name()));
        }
        assert!(
            "greedy".parse::<AnswerParser>().unwrap_err().to_string().contains("`greedy`, expected one of: released")
        );
    }

    #[test]
    fn a_thought_without_an_end_has_a_reason_of_its_own() {
        let task = Task::named("cola").unwrap();
        for parser in [AnswerParser::Released, AnswerParser::Normalizing] {
            let of = |text, begun| parser.parse_after(&task, text, begun);
            let cut_off = ParsedAnswer { class: None, unparsable: Some(Unparsable::UnfinishedThought) };
            assert_eq!(of("<think>It is acceptable", false), cut_off);
            assert_eq!(of("acceptable", true), cut_off, "the prompt began the thought");
            assert_eq!(of("no</think>acceptable", true), ParsedAnswer { class: Some(1), unparsable: None });
            assert_eq!(of("I do not know", false), ParsedAnswer { class: None, unparsable: None });
            assert!(!parser.decided_after(&task, "acceptable. ", true));
            assert!(parser.decided_after(&task, "no</think>acceptable. ", true));
        }
        assert_eq!(serde_json::to_string(&Unparsable::UnfinishedThought).unwrap(), "\"unfinished-thought\"");
    }
}
