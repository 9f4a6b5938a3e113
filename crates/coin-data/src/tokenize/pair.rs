//! Converts pairs to token rows.

use tokenizers::Tokenizer;

use super::{TokenRow, TokenizeOptions};
use crate::{DataError, Pair, PromptTemplate};

/// A pair as token ids, with the task and target that determine its negatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairRow {
    /// The original wording.
    pub original: TokenRow,
    /// The paraphrase.
    pub paraphrase: TokenRow,
    /// The task's name, if known.
    pub task: Option<String>,
    /// The target text.
    pub target: String,
}

impl PairRow {
    /// Number of tokens of the longer wording.
    pub fn longest(&self) -> usize {
        self.original.ids.len().max(self.paraphrase.ids.len())
    }
}

/// The rows of some pairs, with counts of those that were too long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenizedPairs {
    /// The rows, whole couples in the order of the pairs.
    pub rows: Vec<PairRow>,
    /// Number of texts whose prompt was cut in the middle.
    pub shortened: usize,
    /// Number of texts cut on the right, including the target.
    pub cut: usize,
    /// Number of pairs left out because a text was too long, including their partners.
    pub skipped: usize,
    /// The place of each row's pair, ascending; all places unless pairs were left out.
    pub places: Vec<usize>,
}

/// Tokenizes `pairs` on `threads` threads. The result does not depend on their number. If a pair is left out, so is its
/// partner in the couple.
///
/// # Errors
/// As [`TokenizeOptions::row`], with the number of the pair, counted from 1.
pub fn tokenize_pairs(
    options: &TokenizeOptions,
    tokenizer: &Tokenizer,
    template: &PromptTemplate,
    pairs: &[Pair],
    threads: usize,
) -> Result<TokenizedPairs, DataError> {
    // Each thread gets whole couples.
    let size = (pairs.len().div_ceil(2).div_ceil(threads.max(1)) * 2).max(2);
    let work = |(index, chunk): (usize, &[Pair])| tokenize_chunk(options, tokenizer, template, chunk, index * size);
    let parts: Vec<Result<TokenizedPairs, DataError>> = std::thread::scope(|scope| {
        let mut chunks = pairs.chunks(size).enumerate();
        let first = chunks.next();
        let others: Vec<_> = chunks.map(|chunk| scope.spawn(move || work(chunk))).collect();
        let first = first.map(work);
        let ended = || Err(DataError::Invalid("a thread of the tokenization ended early".to_owned()));
        first.into_iter().chain(others.into_iter().map(|other| other.join().unwrap_or_else(|_| ended()))).collect()
    });
    let mut all = TokenizedPairs::default();
    for part in parts {
        let part = part?;
        all.rows.extend(part.rows);
        all.shortened += part.shortened;
        all.cut += part.cut;
        all.skipped += part.skipped;
        all.places.extend(part.places);
    }
    Ok(all)
}

fn tokenize_chunk(
    options: &TokenizeOptions,
    tokenizer: &Tokenizer,
    template: &PromptTemplate,
    pairs: &[Pair],
    first: usize,
) -> Result<TokenizedPairs, DataError> {
    let mut done = TokenizedPairs { rows: Vec::with_capacity(pairs.len()), ..TokenizedPairs::default() };
    for (couple, pairs) in pairs.chunks(2).enumerate() {
        let mut rows = Vec::with_capacity(2);
        for (place, pair) in pairs.iter().enumerate() {
            let row = |instruction: &str| {
                options
                    .row(tokenizer, &template.fill(instruction).render(), &pair.targets)
                    .map_err(|error| DataError::Invalid(format!("pair {}: {error}", first + 2 * couple + place + 1)))
            };
            let texts = row(&pair.original_instruction)?.zip(row(&pair.paraphrased_instruction)?);
            rows.extend(texts.map(|(original, paraphrase)| PairRow {
                original,
                paraphrase,
                task: pair.task.clone(),
                target: pair.targets.clone(),
            }));
        }
        match rows.len() == pairs.len() {
            true => {
                for row in rows.iter().flat_map(|row| [&row.original, &row.paraphrase]) {
                    done.shortened += usize::from(row.shortened > 0);
                    done.cut += usize::from(row.cut > 0);
                }
                done.places.extend((0..rows.len()).map(|place| first + 2 * couple + place));
                done.rows.extend(rows);
            }
            false => done.skipped += pairs.len(),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OPTIONS, tokenizer};
    use super::*;
    use crate::tokenize::Truncation;

    fn pairs(lengths: &[usize]) -> Vec<Pair> {
        let pair = |&length: &usize| Pair {
            original_instruction: "is it good ? ".repeat(length),
            paraphrased_instruction: "good is it ".to_owned(),
            targets: "yes".to_owned(),
            task: Some("t".to_owned()),
            component: None,
            wordings: None,
            keywords: Default::default(),
        };
        lengths.iter().map(pair).collect()
    }

    #[test]
    fn a_pair_that_is_left_out_takes_its_partner_along() {
        let options = TokenizeOptions { max_tokens: 12, truncation: Truncation::Skip, ..OPTIONS };
        let template: PromptTemplate = "{instruction}# ".parse().unwrap();
        // 1 BOS, 4 a repetition, 1 marker, 1 target: 12 hold two repetitions.
        let lengths = [1, 2, 2, 3, 1, 1, 5, 1];
        let tokenized = tokenize_pairs(&options, &tokenizer(), &template, &pairs(&lengths), 1).unwrap();
        let found: Vec<usize> = tokenized.rows.iter().map(|row| row.original.ids.len()).collect();
        assert_eq!(found, [7, 11, 7, 7]);
        assert_eq!(tokenized.places, [0, 1, 4, 5]);
        assert_eq!((tokenized.skipped, tokenized.shortened, tokenized.cut), (4, 0, 0));
        assert_eq!(tokenized.rows[0].longest(), 7);

        let kept = TokenizeOptions { truncation: Truncation::KeepAnswer, ..options };
        let kept = tokenize_pairs(&kept, &tokenizer(), &template, &pairs(&lengths), 3).unwrap();
        assert_eq!((kept.rows.len(), kept.shortened, kept.skipped), (8, 2, 0));
    }

    #[test]
    fn threads_change_nothing_and_errors_name_the_pair() {
        let template = PromptTemplate::default();
        let lengths: Vec<usize> = (0..26).map(|at| at % 5 + 1).collect();
        let with = |threads, pairs: &[Pair]| tokenize_pairs(&OPTIONS, &tokenizer(), &template, pairs, threads);
        let one = with(1, &pairs(&lengths)).unwrap();
        for threads in [2, 3, 8, 100] {
            assert_eq!(with(threads, &pairs(&lengths)).unwrap(), one, "{threads} threads");
        }
        let mut faulty = pairs(&lengths);
        faulty[20].targets = " ".to_owned();
        let message = with(4, &faulty).unwrap_err().to_string();
        assert!(message.starts_with("pair 21: target ` ` has no token"), "{message}");
    }
}
