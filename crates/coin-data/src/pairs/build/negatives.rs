//! The choice of the hard negative of an anchor.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::Instance;

/// The choice of the hard negative among the rows with another answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Negatives {
    /// Drawn at random, every row about equally often (the paper's, and the default).
    #[default]
    Random,
    /// The row with the highest word overlap with the anchor: the number of common words divided by the number of all
    /// words of the two (Jaccard 1912), in lower case. Ties go to the earlier row. This project's.
    Nearest,
}

/// An index of the rows of one answer by word.
pub(super) struct WordIndex {
    /// For each word, the places of its rows in the list, ascending.
    rows: HashMap<String, Vec<u32>>,
    /// Number of different words in each row.
    sizes: Vec<u32>,
}

/// The words of all fields of an instance.
fn words(instance: &Instance) -> BTreeSet<String> {
    let fields = instance.fields.values();
    let split = |text: &String| text.to_lowercase().split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    fields.flat_map(|text| -> Vec<String> { split(text) }).filter(|word| !word.is_empty()).collect()
}

impl WordIndex {
    pub(super) fn new(rows: &[usize], instances: &[Instance]) -> Self {
        let mut index = WordIndex { rows: HashMap::new(), sizes: Vec::with_capacity(rows.len()) };
        for (place, &row) in rows.iter().enumerate() {
            let words = words(&instances[row]);
            index.sizes.push(words.len() as u32);
            for word in words {
                index.rows.entry(word).or_default().push(place as u32);
            }
        }
        index
    }

    /// The places of the rows, nearest to `anchor` first. Rows without a common word are left out.
    pub(super) fn nearest(&self, anchor: &Instance) -> Vec<usize> {
        let own = words(anchor);
        let mut common: HashMap<u32, u32> = HashMap::new();
        for word in &own {
            for &place in self.rows.get(word).into_iter().flatten() {
                *common.entry(place).or_default() += 1;
            }
        }
        let mut places: Vec<(u32, u32)> = common.into_iter().collect();
        // Compared as fractions, so that equal shares are exactly equal.
        let all = |&(place, common): &(u32, u32)| u64::from(own.len() as u32 + self.sizes[place as usize] - common);
        places.sort_by(|a, b| {
            let (left, right) = (u64::from(b.1) * all(a), u64::from(a.1) * all(b));
            left.cmp(&right).then_with(|| a.0.cmp(&b.0))
        });
        places.into_iter().map(|(place, _)| place as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_shares_most_words() {
        let row = |text: &str| Instance::new("t", 0, [("sentence", text)], 0);
        let rows = [
            row("The boat sank."),
            row("A boat sank in the old harbor near town."),
            row("Nobody came"),
            row("the BOAT sank"),
        ];
        let index = WordIndex::new(&[0, 1, 2, 3], &rows);
        // 3 of 4 words with rows 0 and 3, of which 0 is the earlier; 3 of 9 with row 1; none with row 2.
        assert_eq!(index.nearest(&row("Boat the sank slowly")), [0, 3, 1]);
        assert_eq!(WordIndex::new(&[2, 1], &rows).nearest(&row("old town")), [1]);
        assert!(index.nearest(&row("?!")).is_empty());
    }
}
