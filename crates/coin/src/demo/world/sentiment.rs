//! Sentiment: a short remark about a film. The sentiment words determine the class, and a negation reverses it.

use rand_chacha::ChaCha8Rng;

use super::event::capital;
use super::lexicon;
use super::{Fields, chance, pick, pick_other};

/// Kinds of works that are reviewed.
const WORKS: [&str; 8] = ["movie", "film", "comedy", "drama", "thriller", "musical", "show", "sequel"];

/// Parts of a work, in the singular.
const PARTS: [&str; 8] = ["story", "plot", "cast", "script", "music", "ending", "acting", "dialogue"];

/// Parts of a work, without an article.
const ASPECTS: [&str; 8] = ["music", "acting", "dialogue", "scenes", "jokes", "songs", "heroes", "pictures"];

const ADVERBS: [&str; 6] = ["very", "really", "quite", "truly", "often", "simply"];

const GOOD: [&str; 20] = [
    "great",
    "wonderful",
    "brilliant",
    "funny",
    "charming",
    "moving",
    "clever",
    "touching",
    "delightful",
    "fresh",
    "warm",
    "gripping",
    "lovely",
    "superb",
    "smart",
    "honest",
    "sweet",
    "exciting",
    "graceful",
    "vivid",
];

const BAD: [&str; 20] = [
    "dull", "boring", "awful", "terrible", "stupid", "tired", "silly", "tedious", "clumsy", "flat", "empty", "bland",
    "lifeless", "messy", "lazy", "stale", "shallow", "annoying", "painful", "dreadful",
];

/// Verbs of liking, as base and past forms.
const LIKE: [(&str, &str); 4] = [("love", "loved"), ("enjoy", "enjoyed"), ("admire", "admired"), ("like", "liked")];

/// Verbs of disliking, as base and past forms.
const DISLIKE: [(&str, &str); 4] =
    [("hate", "hated"), ("dislike", "disliked"), ("regret", "regretted"), ("mock", "mocked")];

/// A remark of the given polarity; a fifth of the remarks use a negation.
pub fn sst2(rng: &mut ChaCha8Rng, positive: bool) -> Fields {
    let sentence = if chance(rng, 20) { negated(rng, positive) } else { plain(rng, positive) };
    vec![("sentence", sentence)]
}

fn adjectives(positive: bool) -> &'static [&'static str; 20] {
    if positive { &GOOD } else { &BAD }
}

fn plain(rng: &mut ChaCha8Rng, positive: bool) -> String {
    let words = adjectives(positive);
    let first = pick(rng, words);
    let second = pick_other(rng, words, first);
    let work = pick(rng, &WORKS);
    let adverb = pick(rng, &ADVERBS);
    let part = pick(rng, &PARTS);
    let aspect = pick(rng, &ASPECTS);
    let (_, felt) = if positive { pick(rng, &LIKE) } else { pick(rng, &DISLIKE) };
    match pick(rng, &[0, 1, 2, 3, 4]) {
        0 => {
            let other = pick_other(rng, &PARTS, part);
            format!("The {part} is {adverb} {first} and the {other} is {second}.")
        }
        1 => format!("{} {first} {work} with {adverb} {second} {aspect}.", capital(lexicon::article(first))),
        2 => format!("This {work} about a {} is {adverb} {first}.", hero(rng)),
        3 => format!("{} {felt} this {work} and its {first} {aspect}.", lexicon::name(rng)),
        _ => format!("{} {felt} the {work} because the {part} is {first}.", lexicon::name(rng)),
    }
}

/// The subject of a work, such as `farmer in the castle`.
fn hero(rng: &mut ChaCha8Rng) -> String {
    let domain = lexicon::domain(rng);
    format!("{} in the {}", pick(rng, &lexicon::PERSONS), pick(rng, lexicon::places(domain)))
}

/// A remark whose sentiment words all have the opposite polarity and are all negated.
fn negated(rng: &mut ChaCha8Rng, positive: bool) -> String {
    let words = adjectives(!positive);
    let first = pick(rng, words);
    let work = pick(rng, &WORKS);
    let part = pick(rng, &PARTS);
    match pick(rng, &[0, 1, 2, 3]) {
        0 => {
            let (feel, _) = if positive { pick(rng, &DISLIKE) } else { pick(rng, &LIKE) };
            let person = pick(rng, &lexicon::PERSONS);
            format!("{} did not {feel} the {part} of this {work} about a {person}.", lexicon::name(rng))
        }
        1 => {
            let other = pick_other(rng, &PARTS, part);
            let second = pick_other(rng, words, first);
            format!("The {part} is not {first} and the {other} is not {second}.")
        }
        2 => format!("This {work} about a {} is not {first}.", hero(rng)),
        _ => format!("The {part} of this {work} about a {} is never {first}.", pick(rng, &lexicon::PERSONS)),
    }
}
