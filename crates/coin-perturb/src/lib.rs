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

mod attack;
mod attacks;
pub mod audit;
mod budget;
pub mod constraint;
mod cuts;
mod draft;
mod error;
pub mod files;
mod frozen;
mod language;
mod levenshtein;
mod protected;
mod recipe;
mod registry;
pub mod search;
mod words;

pub use attack::{Attack, Change, Level, Ranking};
pub use attacks::{
    BertAttack, CheckList, DeepWordBug, ModelParaphrase, Paraphrase, Rewriter, StressTest, TextBugger, TextFooler,
};
pub use budget::Budget;
pub use error::PerturbError;
pub use frozen::{CLEAN, FrozenSet, Instructions, LabelWords, perturb_set};
pub use language::{
    InstructionWords, Lexicon, MaskedWords, Neighbor, Neighbors, SentenceEncoder, SurfaceEncoder, WordClasses,
    WordVectors,
};
pub use protected::Protected;
pub use recipe::{Recipe, RecipeAttack, RecipeSearch};
pub use registry::{ATTACK_NAMES, attack_named, attack_within};
