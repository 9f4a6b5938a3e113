//! Paraphrase: the same event or question in other words, or with slots replaced.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::event::{Event, Form, affirmative};
use super::lexicon::{self, DAYS, Domain, NUMBERS, Noun, TRADES};
use super::{Fields, chance, pick, pick_other};

/// The `slots` in which a pair with different meanings differs: one in a quarter of the pairs, otherwise three.
fn replaced<T: Copy>(rng: &mut ChaCha8Rng, slots: &[T]) -> Vec<T> {
    let count = if chance(rng, 25) { 1 } else { 3 };
    slots.choose_multiple(rng, count).copied().collect()
}

/// Two sentences about the same event, or about an event with slots replaced. Form and verb vary equally in both classes.
pub fn mrpc(rng: &mut ChaCha8Rng, equivalent: bool) -> Fields {
    let domain = lexicon::domain(rng);
    let mut event = Event::bare(rng, domain);
    if chance(rng, 40) {
        event.number = Some(pick(rng, &NUMBERS));
    } else {
        event.adjective = Some(lexicon::adjective(rng));
    }
    if chance(rng, 50) {
        event.place = Some(pick(rng, lexicon::places(domain)));
    } else {
        event.day = Some(pick(rng, &DAYS));
    }
    let form = affirmative(rng);
    let mut other = event;
    other.synonym = rng.random_range(0..2);
    let other_form = if other.synonym == event.synonym {
        pick_other(rng, &[Form::Active, Form::Fronted, Form::Passive], form)
    } else {
        affirmative(rng)
    };
    if !equivalent {
        for slot in replaced(rng, &other.told()) {
            other = other.redrawn(rng, slot);
        }
    }
    vec![("sentence1", event.sentence(form)), ("sentence2", other.sentence(other_form))]
}

/// The intents of a question about an action, each in three wordings with the same meaning.
const INTENTS: [[&str; 3]; 4] = [
    ["How can I", "What is the best way to", "Is there an easy way to"],
    ["Where can I", "In which place can I", "What is a good place to"],
    ["When should I", "At what time should I", "Which day is best to"],
    ["Why should I", "For what reason should I", "What is the reason to"],
];

/// A part of a question that can be replaced.
#[derive(Debug, Clone, Copy)]
enum Part {
    Intent,
    Trade,
    Adjective,
    Object,
    Name,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    domain: Domain,
    intent: usize,
    trade: usize,
    adjective: &'static str,
    object: Noun,
    name: &'static str,
}

impl Question {
    fn text(&self, rng: &mut ChaCha8Rng, wording: usize, synonym: usize) -> String {
        let verb = TRADES[self.trade][synonym];
        let article = if chance(rng, 50) { lexicon::article(self.adjective) } else { "the" };
        let (adjective, object) = (self.adjective, self.object.word);
        format!("{} {verb} {article} {adjective} {object} for {}?", INTENTS[self.intent][wording], self.name)
    }
}

/// Two wordings of the same question, or two questions that differ in some slots.
pub fn qqp(rng: &mut ChaCha8Rng, equivalent: bool) -> Fields {
    let domain = lexicon::domain(rng);
    let question = Question {
        domain,
        intent: rng.random_range(0..INTENTS.len()),
        trade: rng.random_range(0..TRADES.len()),
        adjective: lexicon::adjective(rng),
        object: lexicon::noun(rng, domain),
        name: lexicon::name(rng),
    };
    let wording = rng.random_range(0..3);
    let synonym = rng.random_range(0..2);
    let mut other = question;
    if !equivalent {
        for part in replaced(rng, &[Part::Intent, Part::Trade, Part::Adjective, Part::Object, Part::Name]) {
            match part {
                Part::Intent => other.intent = (question.intent + rng.random_range(1..INTENTS.len())) % INTENTS.len(),
                Part::Trade => other.trade = (question.trade + rng.random_range(1..TRADES.len())) % TRADES.len(),
                Part::Adjective => other.adjective = lexicon::opposite(rng, question.adjective),
                Part::Object => other.object = lexicon::other_noun(rng, question.domain, question.object),
                Part::Name => other.name = lexicon::other_name(rng, question.name),
            }
        }
    }
    let other_wording = pick_other(rng, &[0, 1, 2], wording);
    let other_synonym = rng.random_range(0..2);
    vec![
        ("question1", question.text(rng, wording, synonym)),
        ("question2", other.text(rng, other_wording, other_synonym)),
    ]
}
