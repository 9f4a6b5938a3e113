//! Compares a model's answers to one input under several wordings of an instruction.
//!
//! This is the case that motivates Contrastive Instruction Tuning (Yan et al. 2024, figure 1): wordings with the same meaning get
//! different answers. Three numbers measure how far two wordings i and j agree:
//!
//! ```text
//! share(word)  = p(word | prompt) / sum over label words of p(. | prompt)      where there are label words
//! cosine(i, j) = h_i·h_j / (|h_i| |h_j|)                                       h: hidden state at the last prompt token
//! overlap(i, j) = |W_i and W_j| / |W_i or W_j|                                 W: the different words of the answer (Jaccard 1912)
//! ```
//!
//! All three are this project's; the paper shows only the answers, and compares hidden states on a map.

use std::collections::BTreeSet;

use coin_data::{Prompt, Task};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::engine::model::{GenerateOptions, LanguageModel, ModelError};
use crate::parser::{AnswerParser, thought};
use coin_analysis::cosine;

/// The probability of a label word after a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelProbability {
    /// The label word.
    pub word: String,
    /// Natural logarithm of the probability of all its tokens; minus infinity becomes the lowest finite f64, because
    /// JSON cannot hold it.
    pub log_likelihood: f64,
    /// That probability, from 0 to 1.
    pub probability: f64,
    /// The probability divided by the sum over all label words, from 0 to 1; the shares add up to 1.
    pub share: f64,
}

/// The answer under one wording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordedAnswer {
    /// The new text, decoded to its end.
    pub text: String,
    /// The label that the released program's parser reads from the text; `None` if it names no label or there are no labels.
    pub label: Option<String>,
    /// The probabilities of the label words, in the task's order; empty without a task.
    pub probabilities: Vec<LabelProbability>,
}

/// The answers of one model to one input under several wordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wordings {
    /// The answers, in the order of the prompts.
    pub answers: Vec<WordedAnswer>,
    /// The cosines between all pairs of prompts' hidden states, `[n, n]`; `None` if the model returns no states, or one is zero.
    pub cosines: Option<Vec<Vec<f64>>>,
    /// The word overlap of all pairs of answers, `[n, n]`; see [`overlap`].
    pub overlaps: Vec<Vec<f64>>,
    /// The share of pairs of wordings with the same answer: the same label if there are label words (no label counts as a
    /// label), else the same text up to white space.
    pub agreement: f64,
}

/// Has `model` answer each of `prompts`, the wordings of one request, with at most `max_new_tokens` tokens.
///
/// With a `task`, also parses the answers and computes the probabilities of the task's label words.
///
/// # Errors
/// [`EvalError::Invalid`] if there are fewer than two prompts, `max_new_tokens` is 0, a prompt is too long (it is named by its
/// number, from 1), or the model fails.
///
/// ```
/// use coin_data::{Prompt, Task};
/// use coin_eval::{Decided, Finished, FinishedLikelihoods, GenerateOptions, Generation, LanguageModel, LogLikelihood, ModelError};
/// use coin_eval::wordings;
///
/// // Answers by the length of the prompt.
/// struct Fickle;
/// impl LanguageModel for Fickle {
///     fn generate(
///         &mut self, prompts: &[Prompt], _: &GenerateOptions, _: Decided<'_>, finished: Finished<'_>,
///     ) -> Result<(), ModelError> {
///         let answer = |prompt: &Prompt| if prompt.instruction.len() < 8 { "acceptable" } else { "unacceptable" };
///         let of = |prompt| Generation { text: answer(prompt).to_owned(), ..Generation::default() };
///         finished(prompts.iter().map(of).enumerate().collect())
///     }
///     fn log_likelihoods(&mut self, prompts: &[Prompt], words: &[String], finished: FinishedLikelihoods<'_>) -> Result<(), ModelError> {
///         let quarter = LogLikelihood { sum: 0.25f64.ln(), tokens: 1 };
///         finished((0..prompts.len()).map(|index| (index, vec![quarter; words.len()])).collect())
///     }
///     fn fingerprint(&self) -> String {
///         "fickle".to_owned()
///     }
/// }
///
/// let prompts = ["Judge: ", "Please judge: "].map(|instruction| Prompt::new(instruction, "The boat sank."));
/// let found = wordings::compare(&mut Fickle, &prompts, Some(&Task::named("cola")?), 7)?;
/// assert_eq!(found.answers[1].label.as_deref(), Some("unacceptable"));
/// assert_eq!((found.agreement, found.answers[0].probabilities[0].share), (0.0, 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compare(
    model: &mut dyn LanguageModel,
    prompts: &[Prompt],
    task: Option<&Task>,
    max_new_tokens: usize,
) -> Result<Wordings, EvalError> {
    if prompts.len() < 2 || max_new_tokens == 0 {
        return Err(EvalError::Invalid(format!(
            "{} wordings and {max_new_tokens} new tokens, expected at least 2 wordings and 1 new token",
            prompts.len()
        )));
    }
    let failed = |error: ModelError| EvalError::Invalid(format!("the wordings cannot be compared: {error}"));
    for (index, prompt) in prompts.iter().enumerate() {
        let excess = model.excess(prompt, max_new_tokens).map_err(failed)?;
        if excess > 0 {
            return Err(EvalError::Invalid(format!("wording {} is {excess} tokens too long for the model", index + 1)));
        }
    }
    let options = GenerateOptions { max_new_tokens, hidden: true };
    let generations = model.generate_all(prompts, &options, &|_| false).map_err(failed)?;
    let scores = match task {
        Some(task) => model.all_log_likelihoods(prompts, &task.labels).map_err(failed)?,
        None => vec![Vec::new(); prompts.len()],
    };
    let states: Option<Vec<&[f32]>> = generations.iter().map(|generation| generation.hidden.as_deref()).collect();
    let cosines = states.and_then(|states| {
        let row = |a: &&[f32]| states.iter().map(|b| cosine(a, b)).collect::<Option<Vec<f64>>>();
        states.iter().map(row).collect()
    });
    let answers: Vec<WordedAnswer> = generations
        .into_iter()
        .zip(scores)
        .zip(prompts)
        .map(|((generation, scores), prompt)| WordedAnswer {
            label: task.and_then(|task| {
                let begun = thought::begun(&prompt.render());
                Some(task.labels[AnswerParser::Released.parse_after(task, &generation.text, begun).class?].clone())
            }),
            probabilities: task.map_or(Vec::new(), |task| {
                shares(&task.labels, &scores.iter().map(|score| score.sum).collect::<Vec<_>>())
            }),
            text: generation.text,
        })
        .collect();
    let overlaps = answers.iter().map(|a| answers.iter().map(|b| overlap(&a.text, &b.text)).collect()).collect();
    Ok(Wordings { agreement: agreement(&answers, task.is_some()), answers, cosines, overlaps })
}

/// Computes the probabilities of the label words from their log-likelihoods, without underflow in the shares.
fn shares(words: &[String], sums: &[f64]) -> Vec<LabelProbability> {
    let sums: Vec<f64> = sums.iter().map(|sum| sum.max(f64::MIN)).collect();
    let largest = sums.iter().copied().fold(f64::MIN, f64::max);
    let total: f64 = sums.iter().map(|sum| (sum - largest).exp()).sum();
    let of = |(word, sum): (&String, f64)| LabelProbability {
        word: word.clone(),
        log_likelihood: sum,
        probability: sum.exp(),
        share: (sum - largest).exp() / total,
    };
    words.iter().zip(sums).map(of).collect()
}

/// Returns the share of the distinct words of two texts that occur in both, from 0 to 1; 1 if neither text has words. Words are
/// runs of letters and digits, in lower case.
///
/// ```
/// use coin_eval::wordings::overlap;
/// // the, boat and sank of the, boat, sank, and slowly.
/// assert_eq!(overlap("The boat sank.", "the boat slowly sank"), 0.75);
/// assert_eq!((overlap("", "!"), overlap("yes", "no")), (1.0, 0.0));
/// ```
pub fn overlap(a: &str, b: &str) -> f64 {
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (a, b) = (words(a), words(b));
    match a.union(&b).count() {
        0 => 1.0,
        either => a.intersection(&b).count() as f64 / either as f64,
    }
}

fn agreement(answers: &[WordedAnswer], by_label: bool) -> f64 {
    let same = |a: &WordedAnswer, b: &WordedAnswer| match by_label {
        true => a.label == b.label,
        false => a.text.split_whitespace().eq(b.text.split_whitespace()),
    };
    let pairs = answers.len() * (answers.len() - 1) / 2;
    let agree: usize =
        (0..answers.len()).map(|i| answers[i + 1..].iter().filter(|other| same(&answers[i], other)).count()).sum();
    agree as f64 / pairs as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Decided, Finished, FinishedLikelihoods};
    use crate::{Generation, LogLikelihood};

    /// Echoes the instruction of each prompt; the angle of the state is the prompt's number.
    struct Echo {
        limit: usize,
    }

    impl LanguageModel for Echo {
        fn generate(
            &mut self,
            prompts: &[Prompt],
            options: &GenerateOptions,
            _: Decided<'_>,
            finished: Finished<'_>,
        ) -> Result<(), ModelError> {
            let angle = |index: usize| std::f32::consts::FRAC_PI_3 * index as f32;
            let of = |(index, prompt): (usize, &Prompt)| {
                let hidden = options.hidden.then(|| vec![angle(index).cos(), angle(index).sin()]);
                (index, Generation { text: prompt.instruction.clone(), hidden, ..Generation::default() })
            };
            finished(prompts.iter().enumerate().map(of).collect())
        }

        fn log_likelihoods(
            &mut self,
            prompts: &[Prompt],
            _: &[String],
            finished: FinishedLikelihoods<'_>,
        ) -> Result<(), ModelError> {
            let word = |probability: f64| LogLikelihood { sum: probability.ln(), tokens: 2 };
            finished((0..prompts.len()).map(|index| (index, vec![word(0.06), word(0.02)])).collect())
        }

        fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
            Ok((prompt.instruction.len() + new_tokens).saturating_sub(self.limit))
        }

        fn fingerprint(&self) -> String {
            "echo".to_owned()
        }
    }

    fn asked(texts: &[&str], task: Option<&Task>) -> Result<Wordings, EvalError> {
        let prompts: Vec<Prompt> = texts.iter().map(|text| Prompt::new(*text, "input")).collect();
        compare(&mut Echo { limit: 40 }, &prompts, task, 7)
    }

    #[test]
    fn labels_shares_and_cosines_by_hand() {
        let task = Task::named("cola").unwrap();
        let found = asked(&["acceptable", "unacceptable", "hm", "Acceptable!"], Some(&task)).unwrap();
        let labels: Vec<Option<&str>> = found.answers.iter().map(|answer| answer.label.as_deref()).collect();
        assert_eq!(labels, [Some("acceptable"), Some("unacceptable"), None, Some("acceptable")]);
        // One of the six pairs agrees, the first and the last.
        assert!((found.agreement - 1.0 / 6.0).abs() < 1e-12);
        let [first, second] = &found.answers[2].probabilities[..] else { panic!("two labels") };
        assert_eq!((first.word.as_str(), second.word.as_str()), ("unacceptable", "acceptable"));
        assert!((first.share - 0.75).abs() < 1e-12 && (second.probability - 0.02).abs() < 1e-12);
        // 60 degrees between neighbors, 180 between the first and the last.
        let cosines = found.cosines.unwrap();
        assert!((cosines[1][0] - 0.5).abs() < 1e-6 && (cosines[0][3] + 1.0).abs() < 1e-6, "{cosines:?}");
    }

    #[test]
    fn open_answers_agree_by_text() {
        let found = asked(&["a  boat sank", "a boat sank", "A boat"], None).unwrap();
        assert!((found.agreement - 1.0 / 3.0).abs() < 1e-12);
        assert!((found.overlaps[0][2] - 2.0 / 3.0).abs() < 1e-12 && found.overlaps[0][1] == 1.0);
        assert!(found.answers.iter().all(|answer| answer.label.is_none() && answer.probabilities.is_empty()));
    }

    #[test]
    fn a_wording_that_is_too_long_is_named() {
        let message = asked(&["short", &"long ".repeat(8)], None).unwrap_err().to_string();
        assert_eq!(message, "wording 2 is 7 tokens too long for the model");
        assert!(asked(&["one"], None).unwrap_err().to_string().starts_with("1 wordings"));
    }

    #[test]
    fn shares_survive_tiny_and_impossible_words() {
        let words = ["a", "b", "c"].map(str::to_owned);
        let found = shares(&words, &[-2000.0, -2000.0 + 3.0f64.ln(), f64::NEG_INFINITY]);
        let shares: Vec<f64> = found.iter().map(|label| label.share).collect();
        assert!((shares[0] - 0.25).abs() < 1e-12 && (shares[1] - 0.75).abs() < 1e-12 && shares[2] == 0.0);
        assert!(found.iter().all(|label| label.probability == 0.0 && label.log_likelihood.is_finite()));
    }
}
