//! Seeded perturbation of instructions at four levels, in pure Rust and without a model.
//!
//! An [`Attack`] rewrites one instruction at one of four levels: characters ([`DeepWordBug`], [`TextBugger`]), words ([`TextFooler`],
//! [`BertAttack`]), the sentence ([`CheckList`], [`StressTest`]) or the wording with the same meaning ([`Paraphrase`]). Label words,
//! `{placeholders}` and the response marker are [`Protected`] and never change. [`perturb_set`] applies attacks to the instructions of
//! many tasks and returns a [`FrozenSet`], the input of an evaluation.
//!
//! These are *frozen* perturbations: drawn once from a seed, independent of the model. *Adversarial* perturbations are the result of a
//! search: [`search`] tries an attack's candidates on a model that the caller supplies and keeps those that hurt it most. The
//! candidates of a word come from [`Attack::word_candidates`], those of a whole instruction from [`Attack::candidates`], and
//! [`Attack::allows`] checks a change against the attack's [constraints](constraint).
//!
//! Tables and rules replace the models of the published attacks. Each is behind a trait, so that a model can be used instead:
//! [`Neighbors`] of a word, [`MaskedWords`] that fit a place, a [`SentenceEncoder`] for similarity, and a [`Rewriter`] of whole
//! instructions ([`ModelParaphrase`]).
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
mod augmentation;
mod budget;
pub mod constraint;
mod cut_points;
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
pub use augmentation::Augmentation;
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
