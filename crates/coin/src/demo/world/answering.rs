//! Question answering: does a sentence answer a question?

use rand_chacha::ChaCha8Rng;

use super::event::{Event, Form, Slot, affirmative};
use super::lexicon::{self, ACTIONS, DAYS};
use super::{Fields, chance, pick};

/// The detail that a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Who,
    What,
    Where,
    When,
}

/// A question about an event, and a sentence. If `answered`, the sentence answers the question; otherwise it omits the
/// requested detail or describes another event.
pub fn qnli(rng: &mut ChaCha8Rng, answered: bool) -> Fields {
    let domain = lexicon::domain(rng);
    let asked = pick(rng, &[Asked::Who, Asked::What, Asked::Where, Asked::When]);
    let mut event = Event::bare(rng, domain);
    event.adjective = Some(lexicon::adjective(rng));
    let told = match asked {
        Asked::Where => Slot::Place,
        Asked::When => Slot::Day,
        Asked::Who | Asked::What => pick(rng, &[Slot::Place, Slot::Day]),
    };
    event = event.redrawn(rng, told);

    let verb = ACTIONS[event.action][event.synonym];
    let (name, object) = (event.name.unwrap_or_default(), event.object.word);
    let adjuncts = event.adjuncts();
    let question = match asked {
        Asked::Who => format!("Who {} the {object}{adjuncts}?", verb.past),
        Asked::What => format!("What did {name} {}{adjuncts}?", verb.base),
        Asked::Where => format!("Where did {name} {} the {object}?", verb.base),
        Asked::When => format!("When did {name} {} the {object}?", verb.base),
    };

    let mut context = event;
    let mut form = affirmative(rng);
    if !answered {
        let left_out = chance(rng, 50);
        match asked {
            Asked::Who if left_out => context.name = None,
            Asked::Who => {
                let slot = pick(rng, &[Slot::Object, told]);
                context = context.redrawn(rng, slot);
            }
            Asked::What => {
                let slot = pick(rng, &[Slot::Name, told]);
                context = context.redrawn(rng, slot);
            }
            Asked::Where if left_out => (context.place, context.day) = (None, Some(pick(rng, &DAYS))),
            Asked::When if left_out => {
                (context.place, context.day) = (Some(pick(rng, lexicon::places(domain))), None);
            }
            Asked::Where | Asked::When => {
                let slot = pick(rng, &[Slot::Name, Slot::Object]);
                context = context.redrawn(rng, slot);
            }
        }
    } else if asked == Asked::Who && chance(rng, 30) {
        form = Form::Passive;
    }
    vec![("question", question), ("sentence", context.sentence(form))]
}
