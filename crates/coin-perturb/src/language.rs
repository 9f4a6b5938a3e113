//! Knowledge of words and texts, by tables and rules: neighbors of a word, words that fit a place, parts of speech, stop words,
//! similarity of sentences.

mod lexicon;
mod masked_words;
mod neighbors;
mod part_of_speech;
mod sentence_encoder;
pub(crate) mod stop_words;
mod word_vectors;

pub use lexicon::Lexicon;
pub use masked_words::{InstructionWords, MaskedWords};
pub use neighbors::{Neighbor, Neighbors};
pub use part_of_speech::WordClasses;
pub(crate) use sentence_encoder::cosine;
pub use sentence_encoder::{SentenceEncoder, SurfaceEncoder};
pub use word_vectors::WordVectors;
