//! Seeded perturbation of instructions at four levels, in pure Rust and without a model.
//!
//! An [`Attack`] rewrites one instruction: at the level of characters ([`DeepWordBug`]), of words
//! ([`TextFooler`]), of the sentence ([`CheckList`], [`StressTest`]) or of the meaning's wording ([`Paraphrase`]).
//! Label words, `{placeholders}` and the response marker are [`Protected`] and never change. [`perturb_set`]
//! applies attacks to the instructions of many tasks and gives a [`FrozenSet`], which is what an evaluation reads.
//!
//! These are *frozen* perturbations: drawn once from a seed, independent of the model. *Adversarial* ones are searched
//! for: [`search`] tries an attack's candidates on a model that the caller supplies and keeps those that hurt it most.
//!
//! ```
//! use coin_perturb::{Protected, attack_named};
//!
//! let protected = Protected::new(["acceptable", "unacceptable"]);
//! let clean = "Decide whether the sentence is 'Acceptable' or 'Unacceptable': ";
//! let attack = attack_named("promptbench::deepwordbug")?;
//! let mut stream = coin_data::stream::keyed(7, &["deepwordbug", "cola", "0"]);
//! let perturbed = attack.perturb(clean, &protected, &mut stream);
//! assert_ne!(perturbed, clean);
//! assert!(perturbed.ends_with("'Acceptable' or 'Unacceptable': "));
//! # Ok::<(), coin_perturb::PerturbError>(())
//! ```

pub mod attack;
pub mod audit;
mod checklist;
mod deepwordbug;
mod ending;
mod error;
pub mod files;
pub mod frozen;
pub mod lexicon;
mod paraphrase;
mod protect;
pub mod recipe;
pub mod search;
mod stop_words;
mod stresstest;
mod textfooler;
mod words;

pub use attack::{ATTACK_NAMES, Attack, Change, Level, attack_named};
pub use audit::AuditRecord;
pub use checklist::CheckList;
pub use deepwordbug::DeepWordBug;
pub use error::PerturbError;
pub use frozen::{CLEAN, FrozenSet, Instructions, LabelWords, perturb_set};
pub use lexicon::Lexicon;
pub use paraphrase::Paraphrase;
pub use protect::Protected;
pub use recipe::Recipe;
pub use search::{Outcome, Scorer, Search, search_set};
pub use stresstest::StressTest;
pub use textfooler::TextFooler;
