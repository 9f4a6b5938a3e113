//! The built-in attacks by name.

use crate::{
    Attack, BertAttack, Budget, CheckList, DeepWordBug, Paraphrase, PerturbError, StressTest, TextBugger, TextFooler,
};

/// Short names of the attacks that [`attack_named`] knows.
pub const ATTACK_NAMES: [&str; 7] =
    ["deepwordbug", "textbugger", "textfooler", "bertattack", "checklist", "stresstest", "semantic"];

/// Returns the attack called `name` with default settings. Both forms are accepted: short (`checklist`) and qualified
/// (`promptbench::checklist`, `coin::semantic`).
///
/// # Errors
/// [`PerturbError::UnknownAttack`], which lists the known names.
///
/// ```
/// use coin_perturb::{Level, attack_named};
/// assert_eq!(attack_named("promptbench::checklist")?.level(), Level::Sentence);
/// let error = attack_named("deepwordbag").err().map(|error| error.to_string());
/// assert_eq!(
///     error.as_deref(),
///     Some("unknown attack `deepwordbag`, expected one of: deepwordbug, textbugger, textfooler, bertattack, checklist, stresstest, semantic"),
/// );
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
pub fn attack_named(name: &str) -> Result<Box<dyn Attack>, PerturbError> {
    BuiltIn::named(name).map(BuiltIn::into_attack)
}

/// Returns the attack called `name` with the given severity: the amount of changes for attacks on words and characters, the number of
/// appended characters for `checklist`.
///
/// # Errors
/// Same as [`attack_named`]; [`PerturbError::Budget`] if the attack does not have such a setting.
///
/// ```
/// use coin_perturb::{Budget, Protected, attack_within, audit::words_changed};
/// let clean = "Decide whether the following sentence is grammatical.";
/// let attack = attack_within("textfooler", Budget::Words(1))?;
/// let perturbed = attack.perturb(clean, &Protected::default(), &mut coin_core::stream::keyed(1, &[]));
/// assert_eq!(words_changed(clean, &perturbed), 1);
/// assert!(attack_within("semantic", Budget::Words(1)).is_err());
/// assert!(attack_within("checklist", Budget::Characters(1_000_000_000)).is_err());
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
pub fn attack_within(name: &str, budget: Budget) -> Result<Box<dyn Attack>, PerturbError> {
    Ok(match (BuiltIn::named(name)?, budget) {
        (BuiltIn::DeepWordBug(attack), budget) => Box::new(DeepWordBug { budget, ..attack }),
        (BuiltIn::TextBugger(attack), budget) => Box::new(TextBugger { budget, ..attack }),
        (BuiltIn::TextFooler(attack), budget) => Box::new(TextFooler { budget, ..attack }),
        (BuiltIn::BertAttack(attack), budget) => Box::new(BertAttack { budget, ..attack }),
        (BuiltIn::CheckList(_), Budget::Characters(length)) if length <= CheckList::LONGEST => {
            Box::new(CheckList { length })
        }
        (BuiltIn::CheckList(_), Budget::Characters(_)) => {
            let message = format!("`checklist` appends at most {} characters", CheckList::LONGEST);
            return Err(PerturbError::Budget(message));
        }
        (other, budget) => {
            let name = other.attack().name();
            return Err(PerturbError::Budget(format!("`{name}` cannot be limited to {}", budget.describe())));
        }
    })
}

/// A built-in attack.
enum BuiltIn {
    DeepWordBug(DeepWordBug),
    TextBugger(TextBugger),
    TextFooler(TextFooler),
    BertAttack(BertAttack),
    CheckList(CheckList),
    StressTest(StressTest),
    Paraphrase(Paraphrase),
}

impl BuiltIn {
    /// All built-in attacks with default settings, in the order of [`ATTACK_NAMES`].
    fn all() -> [BuiltIn; ATTACK_NAMES.len()] {
        [
            BuiltIn::DeepWordBug(DeepWordBug::default()),
            BuiltIn::TextBugger(TextBugger::default()),
            BuiltIn::TextFooler(TextFooler::default()),
            BuiltIn::BertAttack(BertAttack::default()),
            BuiltIn::CheckList(CheckList::default()),
            BuiltIn::StressTest(StressTest),
            BuiltIn::Paraphrase(Paraphrase::default()),
        ]
    }

    /// The attack called `name`, short or qualified.
    fn named(name: &str) -> Result<BuiltIn, PerturbError> {
        BuiltIn::all()
            .into_iter()
            .find(|built_in| built_in.attack().name() == name || built_in.attack().origin() == name)
            .ok_or_else(|| PerturbError::UnknownAttack { name: name.to_owned(), known: ATTACK_NAMES.join(", ") })
    }

    fn attack(&self) -> &dyn Attack {
        match self {
            BuiltIn::DeepWordBug(attack) => attack,
            BuiltIn::TextBugger(attack) => attack,
            BuiltIn::TextFooler(attack) => attack,
            BuiltIn::BertAttack(attack) => attack,
            BuiltIn::CheckList(attack) => attack,
            BuiltIn::StressTest(attack) => attack,
            BuiltIn::Paraphrase(attack) => attack,
        }
    }

    fn into_attack(self) -> Box<dyn Attack> {
        match self {
            BuiltIn::DeepWordBug(attack) => Box::new(attack),
            BuiltIn::TextBugger(attack) => Box::new(attack),
            BuiltIn::TextFooler(attack) => Box::new(attack),
            BuiltIn::BertAttack(attack) => Box::new(attack),
            BuiltIn::CheckList(attack) => Box::new(attack),
            BuiltIn::StressTest(attack) => Box::new(attack),
            BuiltIn::Paraphrase(attack) => Box::new(attack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_attack() {
        for name in ATTACK_NAMES {
            let attack = attack_named(name).unwrap();
            assert_eq!(attack.name(), name);
            assert_eq!(attack_named(attack.origin()).unwrap().name(), name);
        }
        assert!(attack_named("promptbench::semantics").is_err());
        assert!(attack_named("").is_err());
    }
}
