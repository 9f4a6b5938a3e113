//! The words of the demo world.

use rand_chacha::ChaCha8Rng;

use super::{chance, pick, pick_other};

/// Names of women.
pub const WOMEN: [&str; 10] = ["Anna", "Mary", "Emma", "Julia", "Sarah", "Lucy", "Clara", "Nora", "Ruth", "Alice"];

/// Names of men.
pub const MEN: [&str; 10] = ["Tom", "John", "Paul", "David", "Peter", "Mark", "James", "Adam", "Henry", "Oscar"];

/// People, named by occupation.
pub const PERSONS: [&str; 10] =
    ["teacher", "farmer", "doctor", "king", "queen", "nurse", "driver", "singer", "student", "painter"];

/// Days of the week.
pub const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Numbers greater than one.
pub const NUMBERS: [&str; 6] = ["two", "three", "four", "five", "six", "seven"];

/// Colors.
pub const COLORS: [&str; 6] = ["red", "blue", "green", "black", "white", "brown"];

/// Adjectives and their opposites.
pub const OPPOSITES: [(&str, &str); 6] =
    [("old", "new"), ("big", "small"), ("clean", "dirty"), ("heavy", "light"), ("cheap", "expensive"), ("wet", "dry")];

/// The domain of objects and places. The two domains do not share any noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Objects and places of a town (the matched domain).
    Town,
    /// Objects and places of the country and the sea (the mismatched domain).
    Country,
}

/// An object and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noun {
    /// Singular.
    pub word: &'static str,
    /// The kind, in the singular.
    pub kind: &'static str,
}

/// Kinds of objects in the town, with their objects.
const TOWN: [(&str, [&str; 3]); 5] = [
    ("instrument", ["violin", "guitar", "drum"]),
    ("tool", ["hammer", "saw", "shovel"]),
    ("vehicle", ["car", "truck", "bike"]),
    ("furniture", ["chair", "table", "desk"]),
    ("garment", ["coat", "hat", "shirt"]),
];

/// Kinds of objects in the country, with their objects.
const COUNTRY: [(&str, [&str; 3]); 5] = [
    ("animal", ["dog", "horse", "goat"]),
    ("fruit", ["apple", "pear", "lemon"]),
    ("jewel", ["ring", "crown", "pearl"]),
    ("weapon", ["sword", "bow", "spear"]),
    ("vessel", ["boat", "ship", "raft"]),
];

/// Places of the town; all of them follow `in the`.
pub const TOWN_PLACES: [&str; 10] =
    ["garden", "kitchen", "park", "school", "library", "market", "office", "hotel", "museum", "station"];

/// Places of the country; all of them follow `in the`.
pub const COUNTRY_PLACES: [&str; 10] =
    ["forest", "valley", "desert", "harbor", "village", "cave", "castle", "meadow", "temple", "barn"];

/// Forms of a verb; the past form is also the participle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verb {
    /// As in `to buy`.
    pub base: &'static str,
    /// As in `she buys`.
    pub third: &'static str,
    /// As in `bought`.
    pub past: &'static str,
    /// As in `buying`.
    pub ing: &'static str,
}

const fn verb(base: &'static str, third: &'static str, past: &'static str, ing: &'static str) -> Verb {
    Verb { base, third, past, ing }
}

/// Actions on any object, each with two verbs.
pub const ACTIONS: [[Verb; 2]; 10] = [
    [verb("buy", "buys", "bought", "buying"), verb("purchase", "purchases", "purchased", "purchasing")],
    [verb("find", "finds", "found", "finding"), verb("discover", "discovers", "discovered", "discovering")],
    [verb("clean", "cleans", "cleaned", "cleaning"), verb("wash", "washes", "washed", "washing")],
    [verb("watch", "watches", "watched", "watching"), verb("observe", "observes", "observed", "observing")],
    [verb("lift", "lifts", "lifted", "lifting"), verb("raise", "raises", "raised", "raising")],
    [verb("move", "moves", "moved", "moving"), verb("shift", "shifts", "shifted", "shifting")],
    [verb("carry", "carries", "carried", "carrying"), verb("haul", "hauls", "hauled", "hauling")],
    [verb("guard", "guards", "guarded", "guarding"), verb("protect", "protects", "protected", "protecting")],
    [verb("inspect", "inspects", "inspected", "inspecting"), verb("examine", "examines", "examined", "examining")],
    [verb("push", "pushes", "pushed", "pushing"), verb("shove", "shoves", "shoved", "shoving")],
];

/// Actions that questions ask about, each with two base forms.
pub const TRADES: [[&str; 2]; 10] = [
    ["buy", "purchase"],
    ["find", "discover"],
    ["clean", "wash"],
    ["repair", "fix"],
    ["move", "shift"],
    ["lift", "raise"],
    ["guard", "protect"],
    ["inspect", "examine"],
    ["draw", "sketch"],
    ["rent", "hire"],
];

/// A random domain.
pub fn domain(rng: &mut ChaCha8Rng) -> Domain {
    if chance(rng, 50) { Domain::Town } else { Domain::Country }
}

/// A random name.
pub fn name(rng: &mut ChaCha8Rng) -> &'static str {
    if chance(rng, 50) { pick(rng, &WOMEN) } else { pick(rng, &MEN) }
}

/// A name other than `taken`.
pub fn other_name(rng: &mut ChaCha8Rng, taken: &str) -> &'static str {
    loop {
        let choice = name(rng);
        if choice != taken {
            return choice;
        }
    }
}

/// A random object of `domain`.
pub fn noun(rng: &mut ChaCha8Rng, domain: Domain) -> Noun {
    let (kind, words) = match domain {
        Domain::Town => pick(rng, &TOWN),
        Domain::Country => pick(rng, &COUNTRY),
    };
    Noun { word: pick(rng, &words), kind }
}

/// A random object of `domain`, of a different kind than `taken`.
pub fn other_noun(rng: &mut ChaCha8Rng, domain: Domain, taken: Noun) -> Noun {
    loop {
        let choice = noun(rng, domain);
        if choice.kind != taken.kind {
            return choice;
        }
    }
}

/// The places of `domain`.
pub fn places(domain: Domain) -> &'static [&'static str] {
    match domain {
        Domain::Town => &TOWN_PLACES,
        Domain::Country => &COUNTRY_PLACES,
    }
}

/// A random adjective that has an opposite.
pub fn gradable(rng: &mut ChaCha8Rng) -> &'static str {
    let (left, right) = pick(rng, &OPPOSITES);
    if chance(rng, 50) { left } else { right }
}

/// The opposite of `adjective`; for a color, a random other color.
pub fn opposite(rng: &mut ChaCha8Rng, adjective: &'static str) -> &'static str {
    for (left, right) in OPPOSITES {
        if adjective == left {
            return right;
        }
        if adjective == right {
            return left;
        }
    }
    pick_other(rng, &COLORS, adjective)
}

/// A random color or adjective that has an opposite.
pub fn adjective(rng: &mut ChaCha8Rng) -> &'static str {
    if chance(rng, 35) { pick(rng, &COLORS) } else { gradable(rng) }
}

/// The plural of a noun of this lexicon.
pub fn plural(noun: &str) -> String {
    let ending = if ["ch", "sh", "x", "s"].iter().any(|ending| noun.ends_with(ending)) { "es" } else { "s" };
    format!("{noun}{ending}")
}

/// `a` or `an`, depending on `word`.
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
