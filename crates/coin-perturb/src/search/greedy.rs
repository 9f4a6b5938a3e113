//! Greedy search by word importance, for attacks on characters and words (TextAttack's `GreedyWordSwapWIR`, which
//! PromptBench uses).

use std::cmp::Ordering;

use coin_core::stream;

use super::scoring::{Run, Text};
use super::{Found, Scorer, Search, Step, Stopped, lowest};
use crate::PerturbError;
use crate::attack::{Change, Ranking};
use crate::draft::Draft;

const UNKNOWN: &str = "[UNK]";

pub(super) fn search<S: Scorer>(
    search: &Search,
    ranking: Ranking,
    seed: u64,
    clean_score: f64,
    run: &mut Run<S>,
) -> Result<Found, PerturbError> {
    let (attack, subject) = (run.attack, run.subject);
    let clean = subject.instruction;
    let mut draft = Draft::new(clean, subject.protected);
    let mut found = Found { text: clean.to_owned(), score: clean_score, stopped: Stopped::Exhausted };
    let Some(order) = rank(&draft, ranking, run)? else {
        return Ok(Found { stopped: Stopped::Budget, ..found });
    };
    for place in order {
        let key = ["search", attack.name(), subject.task, &subject.index.to_string(), &place.to_string()];
        let mut rng = stream::keyed(seed, &key);
        let word = draft.range(place);
        let replacements = attack.word_candidates(&found.text, word.clone(), &mut rng);
        let mut texts: Vec<Text> = Vec::with_capacity(replacements.len());
        for replacement in &replacements {
            let after = draft.text_with(place, replacement);
            let change = Change { clean, before: &found.text, word: word.clone(), replacement, after: &after };
            if after != found.text && subject.protected.intact(clean, &after) && attack.allows(&change) {
                texts.push(Text { change: Some((draft.word(place), replacement)), text: after });
            }
        }
        let scores = run.score(&texts)?;
        let accepted = lowest(&scores.scores).filter(|best| scores.scores[*best] < found.score);
        run.record(Step::Candidate, &texts, &scores, accepted)?;
        if let Some(best) = accepted {
            let replacement = texts[best].change.map_or(String::new(), |(_, replacement)| replacement.to_owned());
            found.text = texts.swap_remove(best).text;
            found.score = scores.scores[best];
            draft.replace(place, &replacement);
        }
        if search.reached(found.score) {
            return Ok(Found { stopped: Stopped::Target, ..found });
        }
        if scores.out_of_budget {
            return Ok(Found { stopped: Stopped::Budget, ..found });
        }
    }
    Ok(found)
}

/// The indices of the words, sorted by their influence on the score, the greatest first; ties in the order of the text. `None` if the
/// budget did not suffice to score all words.
fn rank<S: Scorer>(draft: &Draft, ranking: Ranking, run: &mut Run<S>) -> Result<Option<Vec<usize>>, PerturbError> {
    let text = |place| {
        let (text, mask) = masked(draft, place, ranking);
        Text { change: Some((draft.word(place), mask)), text }
    };
    let texts: Vec<Text> = (0..draft.len()).map(text).collect();
    let scores = run.score(&texts)?;
    run.record(Step::Ranking, &texts, &scores, None)?;
    if scores.out_of_budget {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..draft.len()).collect();
    // Scores are finite.
    order.sort_by(|a, b| scores.scores[*a].partial_cmp(&scores.scores[*b]).unwrap_or(Ordering::Equal));
    Ok(Some(order))
}

/// The text without one word, and the replacement of the word.
fn masked(draft: &Draft, place: usize, ranking: Ranking) -> (String, &'static str) {
    match ranking {
        Ranking::Unk => (draft.text_with(place, UNKNOWN), UNKNOWN),
        Ranking::Delete => {
            let mut text = draft.text().to_owned();
            let mut range = draft.range(place);
            if text[..range.start].ends_with(' ') {
                range.start -= 1;
            } else if text[range.end..].starts_with(' ') {
                range.end += 1;
            }
            text.replace_range(range, "");
            (text, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protected;

    #[test]
    fn a_deleted_word_takes_a_space_with_it() {
        let draft = Draft::new("lions (tigers) bears", &Protected::default());
        let deleted: Vec<String> = (0..3).map(|place| masked(&draft, place, Ranking::Delete).0).collect();
        assert_eq!(deleted, ["(tigers) bears", "lions () bears", "lions (tigers)"]);
        assert_eq!(masked(&draft, 1, Ranking::Unk).0, "lions ([UNK]) bears");
    }
}
