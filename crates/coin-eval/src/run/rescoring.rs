//! Rescoring: reads a ledger's answers again, without the model.

use coin_core::quote::cut;
use coin_data::Task;

use super::ledger::Record;
use crate::EvalError;
use crate::parser::{AnswerParser, Unparsable};

impl Record {
    /// Reads the answer again with `parser` and replaces what was read from it.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if the record does not hold what this parser needs: likelihoods, or a continuation that was
    /// generated to its end or stopped early by this same parser.
    pub fn read_again(&mut self, task: &Task, parser: AnswerParser) -> Result<(), EvalError> {
        self.pred = parser.read(task, self)?;
        self.unparsable = parser.unparsable(task, self);
        self.parser = parser;
        Ok(())
    }
}

impl AnswerParser {
    /// Reads a record again, without its model. Returns this scorer's prediction, or -1 if it makes none.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if the record does not hold what this scorer needs: likelihoods, or for a parser a
    /// continuation that was generated to its end or stopped early by this same parser.
    fn read(self, task: &Task, record: &Record) -> Result<i64, EvalError> {
        let refused = |what: &str| {
            let (level, instruction, row) = (cut(&record.level), record.instruction, record.row);
            let place =
                format!("task `{}`, level `{level}`, instruction {instruction}, example {row}", cut(&task.name));
            Err(EvalError::Invalid(format!("{place}: {what}")))
        };
        let class = match (self.generates(), &record.likelihoods) {
            (true, None) if record.stopped && record.parser != self => {
                let other = record.parser.name();
                return refused(&format!(
                    "the answer was stopped early for the scorer `{other}`; to read it with `{}`, evaluate again with full decoding",
                    self.name()
                ));
            }
            (true, None) => self.parse_after(task, &record.raw_pred, record.is_unfinished_thought()).class,
            (false, Some(words)) => self.choose(words),
            (true, Some(_)) => return refused("there is no answer to parse: the evaluation scored label words"),
            (false, None) => return refused("there are no likelihoods: the evaluation generated an answer"),
        };
        Ok(class.map_or(-1, |class| class as i64))
    }

    /// The reason why [`read`](Self::read) finds no class in `record`.
    fn unparsable(self, task: &Task, record: &Record) -> Option<Unparsable> {
        // Only the run knows whether the prompt began the thought, so an answer recorded as an unfinished thought remains one.
        self.parse_after(task, &record.raw_pred, record.is_unfinished_thought()).unparsable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogLikelihood;

    #[test]
    fn a_thought_without_an_end_stays_one() {
        let task = Task::named("cola").unwrap();
        for parser in [AnswerParser::Released, AnswerParser::Normalizing] {
            let record = Record {
                raw_pred: "acceptable".to_owned(),
                unparsable: Some(Unparsable::UnfinishedThought),
                pred: -1,
                ..Record::default()
            };
            assert_eq!(parser.read(&task, &record).unwrap(), -1);
            assert_eq!(parser.unparsable(&task, &record), record.unparsable);
        }
    }

    #[test]
    fn a_record_is_read_again_only_where_it_holds_enough() {
        let task = Task::named("cola").unwrap();
        let written = Record { raw_pred: "It is acceptable".to_owned(), ..Record::default() };
        assert_eq!(AnswerParser::Released.read(&task, &written).unwrap(), -1);
        assert_eq!(AnswerParser::Normalizing.read(&task, &written).unwrap(), 1);
        let message = AnswerParser::Likelihood.read(&task, &written).unwrap_err().to_string();
        assert!(message.ends_with("there are no likelihoods: the evaluation generated an answer"), "{message}");
        let stopped = Record { stopped: true, ..written };
        assert_eq!(AnswerParser::Released.read(&task, &stopped).unwrap(), -1);
        let message = AnswerParser::Normalizing.read(&task, &stopped).unwrap_err().to_string();
        assert!(message.contains("stopped early for the scorer `released`"), "{message}");
        let word = |sum, tokens| LogLikelihood { sum, tokens };
        let scored = Record { likelihoods: Some(vec![word(-3.0, 3), word(-2.0, 1)]), ..Record::default() };
        assert_eq!(AnswerParser::Likelihood.read(&task, &scored).unwrap(), 1);
        assert_eq!(AnswerParser::LikelihoodPerToken.read(&task, &scored).unwrap(), 0);
        assert!(AnswerParser::Released.read(&task, &scored).unwrap_err().to_string().contains("no answer to parse"));
    }
}
