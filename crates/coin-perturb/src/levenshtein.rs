//! The Levenshtein distance: the smallest number of insertions, deletions and substitutions.
//!
//! Adjacent cells of its table differ by at most one, so 64 rows of a column fit into two words of 64 bits, and a column is computed
//! from the previous one in a dozen operations (Myers, 1999, with Hyyro's (2003) carry between blocks of rows). For texts that
//! differ little, the computation follows the diagonals instead (Ukkonen, 1985), in time linear in their length.

use std::collections::HashMap;
use std::hash::Hash;

/// The distance of `a` and `b`.
pub(crate) fn levenshtein<T: Eq + Hash>(a: &[T], b: &[T]) -> usize {
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[prefix..], &b[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - suffix], &b[..b.len() - suffix]);
    let (rows, columns) = if a.len() < b.len() { (a, b) } else { (b, a) };
    if rows.is_empty() {
        return columns.len();
    }
    if let Some(distance) = along_diagonals(rows, columns) {
        return distance;
    }
    // Items by number, those of `rows` first. An item that is only in `columns` does not match any row.
    let mut numbers: HashMap<&T, usize> = HashMap::new();
    for item in rows {
        let next = numbers.len();
        numbers.entry(item).or_insert(next);
    }
    let nowhere = numbers.len();
    let columns: Vec<usize> = columns.iter().map(|item| numbers.get(item).copied().unwrap_or(nowhere)).collect();
    let rows: Vec<usize> = rows.iter().map(|item| numbers[item]).collect();

    // The increase of each column at the last row of the finished blocks. The row above the table counts the columns.
    let mut steps = vec![1_i8; columns.len()];
    let mut equal = vec![0_u64; nowhere + 1];
    for block in rows.chunks(64) {
        for (bit, item) in block.iter().enumerate() {
            equal[*item] |= 1 << bit;
        }
        let last = 1_u64 << (block.len() - 1);
        // Rows that are one greater, and one smaller, than the row above. The column before the table counts the rows.
        let (mut more, mut less) = (u64::MAX, 0_u64);
        for (step, item) in steps.iter_mut().zip(&columns) {
            let same = equal[*item];
            let falls = u64::from(*step < 0);
            let vertical = same | less;
            let carried = same | falls;
            let horizontal = ((carried & more).wrapping_add(more) ^ more) | carried;
            let mut rising = less | !(horizontal | more);
            let mut falling = more & horizontal;
            let above = u64::from(*step > 0);
            *step = i8::from(rising & last != 0) - i8::from(falling & last != 0);
            rising = rising << 1 | above;
            falling = falling << 1 | falls;
            more = falling | !(vertical | rising);
            less = rising & vertical;
        }
        block.iter().for_each(|item| equal[*item] = 0);
    }
    let grown: isize = steps.iter().map(|step| isize::from(*step)).sum();
    rows.len().saturating_add_signed(grown)
}

/// The greatest distance that the diagonal method searches for.
const NEAR: usize = 200;

/// Returns the distance if it is at most [`NEAR`]. For each number of edits it tracks the position reached on each diagonal.
fn along_diagonals<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    let end = b.len() as isize - a.len() as isize;
    if end.unsigned_abs() > NEAR {
        return None;
    }
    // Items of `a` that diagonal `k`, at `k + NEAR + 1`, has passed.
    const NEVER: isize = isize::MIN / 2;
    let mut reached = vec![NEVER; 2 * NEAR + 3];
    for edits in 0..=NEAR as isize {
        let before = reached.clone();
        for diagonal in -edits..=edits {
            let at = |diagonal: isize| (diagonal + NEAR as isize + 1) as usize;
            let mut i = match edits {
                0 => 0,
                _ => before[at(diagonal - 1)].max(before[at(diagonal)] + 1).max(before[at(diagonal + 1)] + 1),
            };
            i = i.min(a.len() as isize).min(b.len() as isize - diagonal);
            if i < 0 || i + diagonal < 0 {
                continue;
            }
            let (left, right) = (&a[i as usize..], &b[(i + diagonal) as usize..]);
            i += left.iter().zip(right).take_while(|(x, y)| x == y).count() as isize;
            if diagonal == end && i == a.len() as isize {
                return Some(edits as usize);
            }
            reached[at(diagonal)] = i;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    /// By the definition, row by row.
    fn plain<T: PartialEq>(a: &[T], b: &[T]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let substituted = diagonal + usize::from(x != y);
                diagonal = row[j + 1];
                row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
            }
        }
        row[b.len()]
    }

    #[test]
    fn distances_by_hand() {
        assert_eq!(levenshtein(b"", b"abc"), 3);
        assert_eq!(levenshtein(b"flaw", b"lawn"), 2);
        assert_eq!(levenshtein(b"abcdef", b"abdcef"), 2);
        assert_eq!(levenshtein(b"same", b"same"), 0);
        assert_eq!(levenshtein(&["a", "b"], &["b"]), 1);
    }

    #[test]
    fn the_blocks_agree_with_the_definition() {
        let mut rng = coin_core::stream::keyed(4, &["blocks"]);
        for case in 0..600 {
            let most = [4, 70, 200][case % 3];
            let mut text = |letters: u8| -> Vec<u8> {
                let length = rng.random_range(0..most);
                (0..length).map(|_| rng.random_range(b'a'..b'a' + letters)).collect()
            };
            let (a, b) = (text(2 + (case % 5) as u8), text(3));
            assert_eq!(levenshtein(&a, &b), plain(&a, &b), "{a:?} {b:?}");
            // Nearly equal ones, longer than a block.
            let mut near = a.clone();
            near.extend_from_slice(&b);
            near.retain(|letter| *letter != b'c');
            assert_eq!(levenshtein(&a, &near), plain(&a, &near));
        }
    }

    #[test]
    fn far_texts_are_done_in_blocks() {
        let mut rng = coin_core::stream::keyed(5, &["far"]);
        let mut text = |length: usize| -> Vec<u8> { (0..length).map(|_| rng.random_range(b'a'..b'e')).collect() };
        for (a, b) in [(600, 900), (1000, 1000), (1, 700), (65, 640)] {
            let (a, b) = (text(a), text(b));
            let distance = plain(&a, &b);
            assert!(distance > NEAR);
            assert_eq!((levenshtein(&a, &b), levenshtein(&b, &a)), (distance, distance));
        }
    }
}
