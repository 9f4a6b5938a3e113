//! Seeded perturbation of instructions at four levels, in pure Rust and without a model.
//!
//! An [`Attack`] rewrites one instruction: at the level of characters ([`DeepWordBug`], [`TextBugger`]), of words
//! ([`TextFooler`], [`BertAttack`]), of the sentence ([`CheckList`], [`StressTest`]) or of the meaning's wording
//! ([`Paraphrase`]). Label words, `{placeholders}` and the response marker are [`Protected`] and never change.
//! [`perturb_set`] applies attacks to the instructions of many tasks and gives a [`FrozenSet`], which is what an
//! evaluation reads.
//!
//! These are *frozen* perturbations: drawn once from a seed, independent of the model. *Adversarial* ones are searched
//! for: [`search`] tries an attack's candidates on a model that the caller supplies and keeps those that hurt it most. Both ask an attack for its
//! candidates of a word ([`Attack::word_candidates`]) or of the whole instruction ([`Attack::candidates`]), and whether its
//! [constraints](constraint) allow one ([`Attack::allows`]).
//!
//! What a model would do is done by tables and rules, and each stands behind a trait: [`Neighbors`] of a word,
//! [`MaskedWords`] for a place, a [`SentenceEncoder`] for similarity, a [`Rewriter`] of the whole ([`ModelParaphrase`]).
//!
//! ```
//! use coin_perturb::{Protected, attack_named};
//!
//! let protected = Protected::new(["acceptable", "unacceptable"]);
//! let clean = "Decide whether the sentence is 'Acceptable' or 'Unacceptable': ";
//! let attack = attack_named("promptbench::deepwordbug")?;
//! let mut stream = coin_core::stream::keyed(7, &["deepwordbug", "cola", "0"]);
//! let perturbed = attack.perturb(clean, &protected, &mut stream);
//! assert_ne!(perturbed, clean);
//! assert!(perturbed.ends_with("'Acceptable' or 'Unacceptable': "));
//! # Ok::<(), coin_perturb::PerturbError>(())
//! ```

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod attack;
pub mod audit;
mod bertattack;
mod budget;
mod character_edits;
mod checklist;
pub mod constraint;
mod cuts;
mod deepwordbug;
mod ending;
mod error;
pub mod files;
pub mod frozen;
mod homoglyphs;
mod levenshtein;
pub mod lexicon;
mod masked_words;
pub mod neighbors;
mod paraphrase;
mod part_of_speech;
mod protect;
pub mod recipe;
mod rewriter;
pub mod search;
mod sentence_encoder;
mod stop_words;
mod stresstest;
mod substitution;
mod textbugger;
mod textfooler;
mod vectors;
mod words;

pub use attack::{ATTACK_NAMES, Attack, Change, Level, attack_named, attack_within};
pub use audit::AuditRecord;
pub use bertattack::BertAttack;
pub use budget::Budget;
pub use checklist::CheckList;
pub use deepwordbug::DeepWordBug;
pub use error::PerturbError;
pub use frozen::{CLEAN, FrozenSet, Instructions, LabelWords, perturb_set};
pub use lexicon::Lexicon;
pub use masked_words::{InstructionWords, MaskedWords};
pub use neighbors::{Neighbor, Neighbors};
pub use paraphrase::Paraphrase;
pub use part_of_speech::WordClasses;
pub use protect::Protected;
pub use recipe::Recipe;
pub use rewriter::{ModelParaphrase, Rewriter};
pub use search::{Outcome, Scorer, Search, search_set};
pub use sentence_encoder::{SentenceEncoder, SurfaceEncoder};
pub use stresstest::StressTest;
pub use textbugger::TextBugger;
pub use textfooler::TextFooler;
pub use vectors::WordVectors;
