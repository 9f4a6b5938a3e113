//! Sources of neighbors of words: a [`Lexicon`](crate::Lexicon), a file of lists, or [`WordVectors`](crate::WordVectors).

use std::fmt;

/// A word that can replace another word.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbor {
    /// The word.
    pub word: String,
    /// Cosine of the two words' vectors, from -1 to 1; `None` if the source does not have vectors.
    pub cosine: Option<f32>,
}

/// A source of neighbors.
pub trait Neighbors: fmt::Debug + Send + Sync {
    /// A description of the source for the recipe: kind, number of words, limits.
    fn describe(&self) -> String;

    /// The neighbors of `word` in any case, nearest first and without the word itself; empty for an unknown word.
    fn neighbors(&self, word: &str) -> Vec<Neighbor>;

    /// Cosine of the vectors of `first` and `second`, each in any case; `None` if it is unknown.
    fn cosine(&self, first: &str, second: &str) -> Option<f32> {
        let second = second.to_lowercase();
        self.neighbors(first).into_iter().find(|neighbor| neighbor.word.to_lowercase() == second)?.cosine
    }
}
