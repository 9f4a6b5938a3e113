//! Acceptability: a sentence of a small grammar, with at most one violation.

use rand_chacha::ChaCha8Rng;

use super::event::capital;
use super::lexicon::{self, ACTIONS, DAYS, PERSONS};
use super::{Fields, chance, pick};

/// The rule that a violation breaks. In both classes, the sentence is drawn so that the rule could be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `The boys carries the box.`
    Agreement,
    /// `Anna can carried the box.`
    VerbForm,
    /// `Anna carried the the box.`
    Determiner,
    /// `Anna carried the box red.`
    Order,
    /// `Him carried the box.` or `Anna watched he.`
    Case,
}

/// Pronouns as subject and as object; true if they take the third person singular.
const PRONOUNS: [(&str, &str, bool); 4] =
    [("he", "him", true), ("she", "her", true), ("they", "them", false), ("we", "us", false)];

const MODALS: [&str; 5] = ["can", "will", "must", "should", "may"];

/// An acceptable sentence, or a sentence with one violation.
pub fn cola(rng: &mut ChaCha8Rng, acceptable: bool) -> Fields {
    let rule = pick(rng, &[Rule::Agreement, Rule::VerbForm, Rule::Determiner, Rule::Order, Rule::Case]);
    let broken = (!acceptable).then_some(rule);
    let case_of_subject = rule == Rule::Case && chance(rng, 50);

    let (subject, singular) = subject(rng, case_of_subject, broken);
    let verbs = pick(rng, &ACTIONS);
    let verb = pick(rng, &verbs);
    let kind = match rule {
        Rule::Agreement => pick(rng, &[0, 1]),
        Rule::VerbForm => pick(rng, &[2, 3]),
        _ => pick(rng, &[0, 1, 2, 3, 4, 4]),
    };
    let verb_singular = singular != (broken == Some(Rule::Agreement));
    let wrong_form = broken == Some(Rule::VerbForm);
    let base = if wrong_form { pick(rng, &[verb.past, verb.ing]) } else { verb.base };
    let predicate = match kind {
        0 if verb_singular => verb.third.to_owned(),
        0 => verb.base.to_owned(),
        1 if verb_singular => format!("was {}", verb.ing),
        1 => format!("were {}", verb.ing),
        2 => format!("{} {base}", pick(rng, &MODALS)),
        3 => format!("did not {base}"),
        _ => verb.past.to_owned(),
    };
    let object = if rule == Rule::Case && !case_of_subject {
        let (nominative, accusative, _) = pick(rng, &PRONOUNS);
        if broken == Some(Rule::Case) { nominative.to_owned() } else { accusative.to_owned() }
    } else {
        thing(rng, rule, broken)
    };
    let adjunct = if chance(rng, 50) {
        let domain = lexicon::domain(rng);
        format!("in the {}", pick(rng, lexicon::places(domain)))
    } else {
        format!("on {}", pick(rng, &DAYS))
    };
    vec![("sentence", format!("{} {predicate} {object} {adjunct}.", capital(&subject)))]
}

/// Returns the subject, and true if it is in the third person singular.
fn subject(rng: &mut ChaCha8Rng, pronoun: bool, broken: Option<Rule>) -> (String, bool) {
    if pronoun || chance(rng, 25) {
        let (nominative, accusative, singular) = pick(rng, &PRONOUNS);
        let wrong = pronoun && broken == Some(Rule::Case);
        return (if wrong { accusative } else { nominative }.to_owned(), singular);
    }
    match pick(rng, &[0, 1, 2]) {
        0 => (lexicon::name(rng).to_owned(), true),
        1 => (format!("the {}", pick(rng, &PERSONS)), true),
        _ => (format!("the {}", lexicon::plural(pick(rng, &PERSONS))), false),
    }
}

/// An object with an article and sometimes an adjective, with the violation `broken` if it applies.
fn thing(rng: &mut ChaCha8Rng, rule: Rule, broken: Option<Rule>) -> String {
    let domain = lexicon::domain(rng);
    let noun = lexicon::noun(rng, domain).word;
    let adjective = (rule == Rule::Order || chance(rng, 50)).then(|| lexicon::adjective(rng));
    let first = adjective.unwrap_or(noun);
    let article = match pick(rng, &["the", "the", "a", "this"]) {
        "a" => lexicon::article(first),
        other => other,
    };
    match (broken, adjective) {
        (Some(Rule::Determiner), _) => {
            let doubled = if chance(rng, 50) { article } else { pick(rng, &["the", "a", "this"]) };
            format!("{article} {doubled} {}{noun}", adjective.map(|word| format!("{word} ")).unwrap_or_default())
        }
        (Some(Rule::Order), Some(adjective)) => match pick(rng, &[0, 1, 2]) {
            0 => format!("{adjective} {article} {noun}"),
            1 => format!("{noun} {article} {adjective}"),
            _ => format!("{article} {noun} {adjective}"),
        },
        (_, Some(adjective)) => format!("{article} {adjective} {noun}"),
        (_, None) => format!("{article} {noun}"),
    }
}
