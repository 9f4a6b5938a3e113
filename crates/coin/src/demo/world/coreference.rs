//! Coreference: the gender of a pronoun and the clause after it determine which of two participants it refers to.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::event::capital;
use super::lexicon::{self, DAYS, MEN, WOMEN};
use super::{Fields, chance, pick};

/// A main clause about two participants, with clauses that fit the first or the second of them.
struct Frame {
    /// The verb phrase between the two participants.
    link: &'static str,
    /// Clauses that fit the first participant.
    first: [&'static str; 4],
    /// Clauses that fit the second participant.
    second: [&'static str; 4],
}

/// Frames about two people.
const PEOPLE: [Frame; 8] = [
    Frame {
        link: "thanked",
        first: ["was grateful", "was thankful", "had received help", "felt thankful"],
        second: ["was helpful", "was generous", "had given help", "had brought a gift"],
    },
    Frame {
        link: "envied",
        first: ["was poor", "was jealous", "had no money", "felt jealous"],
        second: ["was rich", "was famous", "had much money", "had won a prize"],
    },
    Frame {
        link: "defeated",
        first: ["was faster", "was stronger", "had trained well", "played better"],
        second: ["was slower", "was weaker", "had trained badly", "played worse"],
    },
    Frame {
        link: "could not carry",
        first: ["was too weak", "was too tired", "had no strength", "had a bad back"],
        second: ["was too heavy", "was too large", "had a full bag", "had gained weight"],
    },
    Frame {
        link: "asked",
        first: ["was lost", "was confused", "had a question", "needed an answer"],
        second: ["was an expert", "was wise", "knew the way", "had the answer"],
    },
    Frame {
        link: "forgave",
        first: ["was kind", "was gentle", "had a good heart", "felt no anger"],
        second: ["was sorry", "was ashamed", "had said sorry", "felt guilty"],
    },
    Frame {
        link: "feared",
        first: ["was shy", "was timid", "had no courage", "felt unsafe"],
        second: ["was cruel", "was violent", "had a gun", "had made threats"],
    },
    Frame {
        link: "paid",
        first: ["was the boss", "was the owner", "had ordered a meal", "owed money"],
        second: ["was the cook", "was the waiter", "had served a meal", "earned money"],
    },
];

/// The link whose second participant is a container.
const IN_CONTAINER: &str = "did not fit in";

const CONTAINERS: [&str; 10] =
    ["box", "bag", "basket", "drawer", "trunk", "bucket", "closet", "barrel", "suitcase", "chest"];

/// Frames about two objects.
const THINGS: [Frame; 3] = [
    Frame {
        link: IN_CONTAINER,
        first: ["was too big", "was too wide", "was too large", "was too tall"],
        second: ["was too small", "was too narrow", "was too little", "was too tight"],
    },
    Frame {
        link: "was hidden behind",
        first: ["was smaller", "was shorter", "was lower", "was thinner"],
        second: ["was bigger", "was taller", "was higher", "was thicker"],
    },
    Frame {
        link: "crushed",
        first: ["was too heavy", "was too hard", "was made of iron", "had great weight"],
        second: ["was too soft", "was too weak", "was made of paper", "had thin sides"],
    },
];

/// A sentence with a pronoun, and its clause with the pronoun replaced by the right or the wrong participant.
pub fn wnli(rng: &mut ChaCha8Rng, entailed: bool) -> Fields {
    let referent = rng.random_range(0..2);
    let (frame, pronoun, pair) = if chance(rng, 70) {
        // A man and a woman: the gender of the pronoun identifies the referent, and the clause fits it too.
        let (man, woman) = (pick(rng, &MEN).to_owned(), pick(rng, &WOMEN).to_owned());
        let he_first = chance(rng, 50);
        let pronoun = if he_first == (referent == 0) { "he" } else { "she" };
        let pair = if he_first { [man, woman] } else { [woman, man] };
        (&PEOPLE[rng.random_range(0..PEOPLE.len())], pronoun, pair)
    } else {
        // Two objects: only the clause identifies the referent.
        let domain = lexicon::domain(rng);
        let first = lexicon::noun(rng, domain);
        let frame = &THINGS[rng.random_range(0..THINGS.len())];
        let second = if frame.link == IN_CONTAINER {
            pick(rng, &CONTAINERS)
        } else {
            lexicon::other_noun(rng, domain, first).word
        };
        (frame, "it", [format!("the {}", first.word), format!("the {second}")])
    };
    let clause = pick(rng, if referent == 0 { &frame.first } else { &frame.second });
    let named = if entailed { referent } else { 1 - referent };
    let place = lexicon::domain(rng);
    let place = pick(rng, lexicon::places(place));
    let day = if chance(rng, 50) { format!(" on {}", pick(rng, &DAYS)) } else { String::new() };
    let [first, second] = &pair;
    let sentence = format!("In the {place}{day}, {first} {} {second} because {pronoun} {clause}.", frame.link);
    vec![("sentence1", sentence), ("sentence2", format!("{} {clause}.", capital(&pair[named])))]
}
