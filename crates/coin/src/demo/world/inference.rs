//! Inference: does a hypothesis follow from one event (`mnli`) or from two (`rte`)?

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::event::{Event, Form, Slot, affirmative, capital};
use super::lexicon::{self, DAYS, Domain};
use super::{Fields, chance, pick, pick_other};

const DETAILS: [Slot; 3] = [Slot::Adjective, Slot::Place, Slot::Day];

/// A premise that mentions two of adjective, place and day, and a hypothesis about one of these details.
///
/// The detail is kept (class 0, entailment), not mentioned in the premise (1, neutral) or changed (2, contradiction). A
/// negation swaps entailment and contradiction. A different day or place counts as a contradiction.
pub fn mnli(rng: &mut ChaCha8Rng, label: usize, domain: Domain) -> Fields {
    let untold = pick(rng, &DETAILS);
    let mut premise = Event::bare(rng, domain);
    for slot in DETAILS.into_iter().filter(|slot| *slot != untold) {
        premise = premise.redrawn(rng, slot);
    }
    let negated = chance(rng, 10);
    let agrees = (label == 0) != negated;
    let slot = if label == 1 { untold } else { pick_other(rng, &DETAILS, untold) };
    let changed = if label == 1 || !agrees { premise.redrawn(rng, slot) } else { premise };
    let hypothesis = if slot == Slot::Adjective && chance(rng, 40) {
        let not = if negated { "not " } else { "" };
        format!("The {} was {not}{}.", premise.object.word, changed.adjective.unwrap_or_default())
    } else {
        let mut event = changed;
        event.by_kind = chance(rng, 30);
        event.adjective = event.adjective.filter(|_| slot == Slot::Adjective);
        event.place = event.place.filter(|_| slot == Slot::Place);
        event.day = event.day.filter(|_| slot == Slot::Day);
        event.sentence(if negated { Form::Negated } else { affirmative(rng) })
    };
    vec![("premise", premise.sentence(affirmative(rng))), ("hypothesis", hypothesis)]
}

/// Two events, and a hypothesis about one of them. If `entailed`, all its details are right. Otherwise, in a quarter of the
/// cases one detail is replaced by that of the other event, and in the rest two or three details are redrawn.
pub fn rte(rng: &mut ChaCha8Rng, entailed: bool) -> Fields {
    let domain = lexicon::domain(rng);
    let mut first = Event::bare(rng, domain);
    let mut second = first;
    for slot in [Slot::Name, Slot::Action, Slot::Object] {
        second = second.redrawn(rng, slot);
    }
    first.place = Some(pick(rng, lexicon::places(domain)));
    second.day = Some(pick(rng, &DAYS));
    let text = if chance(rng, 50) {
        format!("{} {}", first.sentence(Form::Active), second.sentence(Form::Active))
    } else {
        format!("{} {}", second.sentence(Form::Active), first.sentence(Form::Active))
    };
    let (told, other) = if chance(rng, 50) { (first, second) } else { (second, first) };
    let mut hypothesis = told;
    if !entailed {
        let count = pick(rng, &[2, 3]);
        match (pick(rng, &[Slot::Name, Slot::Action, Slot::Object]), chance(rng, 25)) {
            (Slot::Name, true) => hypothesis.name = other.name,
            (Slot::Action, true) => hypothesis.action = other.action,
            (_, true) => hypothesis.object = other.object,
            (_, false) => {
                for slot in [Slot::Name, Slot::Action, Slot::Object].choose_multiple(rng, count) {
                    hypothesis = hypothesis.redrawn(rng, *slot);
                }
            }
        }
    }
    if chance(rng, 70) {
        (hypothesis.place, hypothesis.day) = (None, None);
    }
    hypothesis.synonym = if chance(rng, 75) { told.synonym } else { rng.random_range(0..2) };
    hypothesis.by_kind = chance(rng, 15);
    vec![("sentence1", capital(&text)), ("sentence2", hypothesis.sentence(affirmative(rng)))]
}
