//! Perturbed wordings for training.

use coin_data::Task;
use coin_data::pairs::{Reword, Reworded};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{Attack, PerturbError, Protected, attack_named};

/// Rewords the templates of training pairs with attacks. Label words, placeholders and the response marker stay, as in the perturbed
/// instructions of an evaluation.
///
/// ```
/// use coin_data::Task;
/// use coin_data::pairs::Reword;
/// use coin_perturb::Augmentation;
/// let augmentation = Augmentation::new(&["deepwordbug".to_owned(), "textfooler".to_owned()], 1.0)?;
/// let template = "Is this sentence well formed? {sentence}";
/// let reworded = augmentation.reword(&Task::named("cola")?, template, &mut coin_core::stream::keyed(1, &[]));
/// let reworded = reworded.expect("with a share of 1, every wording is reworded");
/// assert!(reworded.template != template && reworded.template.contains("{sentence}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Augmentation {
    attacks: Vec<Box<dyn Attack>>,
    share: f64,
}

impl Augmentation {
    /// Draws one of `attacks` for this share of the wordings, each with the same probability, and leaves the rest clean.
    ///
    /// # Errors
    /// [`PerturbError::UnknownAttack`]; [`PerturbError::InvalidSet`] without attacks, if one is named twice, or if the share is not
    /// between 0 and 1.
    pub fn new(attacks: &[String], share: f64) -> Result<Self, PerturbError> {
        if attacks.is_empty() {
            return Err(PerturbError::InvalidSet("no attack to augment with, expected at least one".to_owned()));
        }
        if !(0.0..=1.0).contains(&share) {
            return Err(PerturbError::InvalidSet(format!(
                "{share} as the share of perturbed wordings, expected a number from 0 to 1"
            )));
        }
        let attacks: Vec<Box<dyn Attack>> = attacks.iter().map(|name| attack_named(name)).collect::<Result<_, _>>()?;
        for (at, attack) in attacks.iter().enumerate() {
            if attacks[..at].iter().any(|earlier| earlier.name() == attack.name()) {
                return Err(PerturbError::InvalidSet(format!("attack `{}` is named twice", attack.name())));
            }
        }
        Ok(Augmentation { attacks, share })
    }
}

impl std::fmt::Debug for Augmentation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.attacks.iter().map(|attack| attack.name()).collect();
        f.debug_struct("Augmentation").field("attacks", &names).field("share", &self.share).finish()
    }
}

impl Reword for Augmentation {
    fn reword(&self, task: &Task, template: &str, random: &mut ChaCha8Rng) -> Option<Reworded> {
        if random.random::<f64>() >= self.share {
            return None;
        }
        let attack = &self.attacks[random.random_range(0..self.attacks.len() as u64) as usize];
        let template = attack.perturb(template, &Protected::new(task.label_words()), random);
        Some(Reworded { template, attack: attack.name().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use coin_core::stream::keyed;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_share_is_kept_and_attacks_are_drawn_evenly() {
        let augmentation = Augmentation::new(&names(&["deepwordbug", "checklist"]), 0.5).unwrap();
        let task = Task::named("cola").unwrap();
        let drawn: Vec<Option<Reworded>> = (0..400)
            .map(|at| augmentation.reword(&task, "Is it well formed? {sentence}", &mut keyed(at, &["test"])))
            .collect();
        let of = |name: &str| drawn.iter().flatten().filter(|reworded| reworded.attack == name).count();
        let (bug, check) = (of("deepwordbug"), of("checklist"));
        assert!((70..130).contains(&bug) && (70..130).contains(&check), "{bug} {check}");
        assert!(drawn.iter().flatten().all(|reworded| reworded.template.matches("{sentence}").count() == 1));
    }

    #[test]
    fn wrong_settings_are_named() {
        let message = |attacks: &[&str], share| Augmentation::new(&names(attacks), share).unwrap_err().to_string();
        assert!(message(&["textfoolre"], 0.5).contains("unknown attack `textfoolre`, expected one of: deepwordbug"));
        assert!(message(&[], 0.5).contains("no attack"));
        assert!(message(&["checklist"], 1.5).contains("1.5 as the share"));
        assert!(message(&["checklist"], f64::NAN).contains("NaN as the share"));
        assert!(message(&["checklist", "promptbench::checklist"], 0.5).contains("`checklist` is named twice"));
    }
}
