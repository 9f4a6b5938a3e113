//! Where neighbors of words come from: a [`Lexicon`](crate::Lexicon), a file of lists, or
//! [`WordVectors`](crate::WordVectors).

use std::fmt;

/// A word that may take another's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbor {
    /// The word.
    pub word: String,
    /// Cosine of the two words' vectors, from -1 to 1; `None` where the source has no vectors.
    pub cosine: Option<f32>,
}

/// A source of neighbors.
pub trait Neighbors: fmt::Debug + Send + Sync {
    /// What the source is, for the recipe: kind, number of words, limits.
    fn describe(&self) -> String;

    /// The neighbors of `word` in any case, nearest first and without the word itself; none for an unknown word.
    fn neighbors(&self, word: &str) -> Vec<Neighbor>;

    /// Cosine of the vectors of `first` and `second`, each in any case; `None` where the source cannot tell.
    fn cosine(&self, first: &str, second: &str) -> Option<f32> {
        let second = second.to_lowercase();
        self.neighbors(first).into_iter().find(|neighbor| neighbor.word.to_lowercase() == second)?.cosine
    }
}
