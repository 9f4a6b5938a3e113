//! Events (who did what to which object, where and when) and sentences that describe them.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::lexicon::{self, ACTIONS, DAYS, Domain, NUMBERS, Noun};
use super::{chance, pick, pick_other};

/// An event. Details that are `None` are not mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Domain of object and place.
    pub domain: Domain,
    /// The person; `None` only in a passive sentence.
    pub name: Option<&'static str>,
    /// Index into [`ACTIONS`].
    pub action: usize,
    /// Index of the verb among the action's two verbs.
    pub synonym: usize,
    /// The number of objects.
    pub number: Option<&'static str>,
    /// The object's adjective.
    pub adjective: Option<&'static str>,
    /// The object.
    pub object: Noun,
    /// True if the object is called by its kind.
    pub by_kind: bool,
    /// The place.
    pub place: Option<&'static str>,
    /// The day.
    pub day: Option<&'static str>,
}

/// A part of an event that can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Name,
    Action,
    Number,
    Adjective,
    Object,
    Place,
    Day,
}

/// The form of the sentence that describes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Anna bought the violin in the park.`
    Active,
    /// `In the park, Anna bought the violin.`
    Fronted,
    /// `The violin was bought by Anna in the park.`
    Passive,
    /// `Anna did not buy the violin in the park.`
    Negated,
}

impl Event {
    /// A random event with person, action and object, and without other details.
    pub fn bare(rng: &mut ChaCha8Rng, domain: Domain) -> Self {
        Event {
            domain,
            name: Some(lexicon::name(rng)),
            action: rng.random_range(0..ACTIONS.len()),
            synonym: rng.random_range(0..2),
            number: None,
            adjective: None,
            object: lexicon::noun(rng, domain),
            by_kind: false,
            place: None,
            day: None,
        }
    }

    /// The event with a random value for `slot`, different from the value it had.
    pub fn redrawn(mut self, rng: &mut ChaCha8Rng, slot: Slot) -> Self {
        match slot {
            Slot::Name => self.name = Some(lexicon::other_name(rng, self.name.unwrap_or_default())),
            Slot::Action => {
                let actions: [usize; ACTIONS.len()] = std::array::from_fn(|index| index);
                self.action = pick_other(rng, &actions, self.action);
            }
            Slot::Number => self.number = Some(pick_other(rng, &NUMBERS, self.number.unwrap_or_default())),
            Slot::Adjective => {
                self.adjective = Some(match self.adjective {
                    Some(adjective) => lexicon::opposite(rng, adjective),
                    None => lexicon::gradable(rng),
                });
            }
            Slot::Object => self.object = lexicon::other_noun(rng, self.domain, self.object),
            Slot::Place => {
                self.place = Some(pick_other(rng, lexicon::places(self.domain), self.place.unwrap_or_default()));
            }
            Slot::Day => self.day = Some(pick_other(rng, &DAYS, self.day.unwrap_or_default())),
        }
        self
    }

    /// The slots that have a value.
    pub fn told(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::Action, Slot::Object];
        slots.extend(self.name.map(|_| Slot::Name));
        slots.extend(self.number.map(|_| Slot::Number));
        slots.extend(self.adjective.map(|_| Slot::Adjective));
        slots.extend(self.place.map(|_| Slot::Place));
        slots.extend(self.day.map(|_| Slot::Day));
        slots
    }

    /// The object with its article: `the two old violins`.
    pub fn thing(&self) -> String {
        let mut words = vec!["the"];
        words.extend(self.number);
        words.extend(self.adjective);
        let word = if self.by_kind { self.object.kind } else { self.object.word };
        match self.number {
            Some(_) => format!("{} {}", words.join(" "), lexicon::plural(word)),
            None => format!("{} {word}", words.join(" ")),
        }
    }

    /// Place and day: ` in the park on Monday`, with a leading space, or empty.
    pub fn adjuncts(&self) -> String {
        let place = self.place.map(|place| format!(" in the {place}")).unwrap_or_default();
        let day = self.day.map(|day| format!(" on {day}")).unwrap_or_default();
        place + &day
    }

    /// The sentence in `form`, with its final period. An event without a person is always passive.
    pub fn sentence(&self, form: Form) -> String {
        let verb = ACTIONS[self.action][self.synonym];
        let (thing, adjuncts) = (self.thing(), self.adjuncts());
        let Some(name) = self.name else {
            return format!("{} {} {}{adjuncts}.", capital(&thing), self.was(), verb.past);
        };
        match form {
            Form::Fronted if !adjuncts.is_empty() => {
                format!("{}, {name} {} {thing}.", capital(adjuncts.trim_start()), verb.past)
            }
            Form::Active | Form::Fronted => format!("{name} {} {thing}{adjuncts}.", verb.past),
            Form::Passive => format!("{} {} {} by {name}{adjuncts}.", capital(&thing), self.was(), verb.past),
            Form::Negated => format!("{name} did not {} {thing}{adjuncts}.", verb.base),
        }
    }

    fn was(&self) -> &'static str {
        if self.number.is_some() { "were" } else { "was" }
    }
}

/// A random affirmative form: active in half of the cases, otherwise fronted or passive.
pub fn affirmative(rng: &mut ChaCha8Rng) -> Form {
    if chance(rng, 50) { Form::Active } else { pick(rng, &[Form::Fronted, Form::Passive]) }
}

/// Returns `text` with its first letter capitalized. ASCII only, as the whole lexicon.
pub fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
