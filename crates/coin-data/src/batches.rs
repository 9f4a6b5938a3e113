//! How rows of differing length become batches: which rows stand together, how they are padded, and a queue that is
//! filled ahead.
//!
//! Couples (two adjacent rows, see [`pairs`](crate::pairs)) are never parted. No tensor is involved: a [`PaddedBatch`]
//! is a vector of ids, and `coin_model::TokenBatch` takes it to a device.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};

use rand::Rng;

use coin_core::stream;

use crate::DataError;

/// The order of rows in which couples of like length stand together, the longest first.
///
/// `lengths` are those of the rows, of which every two adjacent ones are a couple; a couple is as long as its longer row.
/// Couples of equal length keep their order. A last row without a partner stands alone.
///
/// ```
/// use coin_data::batches::by_length;
/// assert_eq!(by_length(&[3, 9, 5, 5, 2, 1, 7, 9]), [0, 1, 6, 7, 2, 3, 4, 5]);
/// ```
pub fn by_length(lengths: &[usize]) -> Vec<usize> {
    let mut couples: Vec<Range<usize>> =
        (0..lengths.len()).step_by(2).map(|first| first..(first + 2).min(lengths.len())).collect();
    couples.sort_by_key(|couple| std::cmp::Reverse(lengths[couple.clone()].iter().copied().max()));
    couples.into_iter().flatten().collect()
}

/// Batches of at most `size` rows, whole couples, of rows that are about equally long; the batches come in a random
/// order keyed by `seed` and `epoch`, and so does every couple among those of its length.
///
/// # Errors
/// [`DataError::Invalid`] if `size` is odd or 0, or the number of rows odd.
///
/// ```
/// use coin_data::batches::buckets;
/// let lengths = [40, 38, 7, 9, 41, 40, 8, 8];
/// let mut batches = buckets(&lengths, 4, 1, 0)?;
/// batches.sort();
/// // The long couples together, and the short ones.
/// assert!(batches.iter().any(|batch| batch.iter().all(|&row| lengths[row] > 30)));
/// assert_eq!(batches.concat().len(), 8);
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn buckets(lengths: &[usize], size: usize, seed: u64, epoch: usize) -> Result<Vec<Vec<usize>>, DataError> {
    if size == 0 || size % 2 == 1 {
        return Err(DataError::Invalid(format!("batches of {size} rows, expected an even number: couples are whole")));
    }
    if lengths.len() % 2 == 1 {
        let count = lengths.len();
        return Err(DataError::Invalid(format!("{count} rows, expected an even number: every two are a couple")));
    }
    let mut random = stream::keyed(seed, &["buckets", &epoch.to_string()]);
    let mut couples: Vec<usize> = (0..lengths.len() / 2).collect();
    shuffle(&mut couples, &mut random);
    couples.sort_by_key(|&couple| lengths[2 * couple].max(lengths[2 * couple + 1]));
    let rows = |couples: &[usize]| couples.iter().flat_map(|&couple| [2 * couple, 2 * couple + 1]).collect();
    let mut batches: Vec<Vec<usize>> = couples.chunks(size / 2).map(rows).collect();
    shuffle(&mut batches, &mut random);
    Ok(batches)
}

/// Fisher and Yates, with numbers that are the same on every platform.
fn shuffle<T>(items: &mut [T], random: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.random_range(0..=last as u64) as usize);
    }
}

/// Where a batch is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PaddingSide {
    /// Before the tokens, so that every row ends at the last position (the released program's, and the default).
    #[default]
    Left,
    /// Behind them.
    Right,
}

/// How rows become one rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// Default [`PaddingSide::Left`].
    pub side: PaddingSide,
    /// The id that stands at padding. Default 0 (the released program's).
    pub id: u32,
    /// The rectangle's width is a multiple of this. Default 1; the released program's is 8.
    pub multiple_of: usize,
}

impl Default for Padding {
    fn default() -> Self {
        Padding { side: PaddingSide::Left, id: 0, multiple_of: 1 }
    }
}

/// Rows of ids as one rectangle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaddedBatch {
    /// The ids row by row, `[rows, width]`.
    pub ids: Vec<u32>,
    /// Positions of a row.
    pub width: usize,
    /// Where each row's tokens stand.
    pub spans: Vec<Range<usize>>,
}

impl Padding {
    /// The rectangle of `rows`.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if there is no row, a row is empty, or `multiple_of` is 0.
    ///
    /// ```
    /// use coin_data::batches::Padding;
    /// let batch = Padding { multiple_of: 4, ..Padding::default() }.pad(&[&[7, 8], &[1, 2, 3]])?;
    /// assert_eq!((batch.ids, batch.width), (vec![0, 0, 7, 8, 0, 1, 2, 3], 4));
    /// assert_eq!(batch.spans, [2..4, 1..4]);
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn pad(&self, rows: &[&[u32]]) -> Result<PaddedBatch, DataError> {
        let longest = rows.iter().map(|row| row.len()).max();
        let longest = longest.ok_or_else(|| DataError::Invalid("a batch of no row".to_owned()))?;
        if self.multiple_of == 0 {
            return Err(DataError::Invalid("a batch padded to a multiple of 0".to_owned()));
        }
        if let Some(empty) = rows.iter().position(|row| row.is_empty()) {
            return Err(DataError::Invalid(format!("row {empty} of a batch has no token")));
        }
        let width = longest.next_multiple_of(self.multiple_of);
        let mut batch = PaddedBatch { ids: vec![self.id; rows.len() * width], width, spans: Vec::new() };
        for (at, row) in rows.iter().enumerate() {
            let start = match self.side {
                PaddingSide::Left => width - row.len(),
                PaddingSide::Right => 0,
            };
            batch.spans.push(start..start + row.len());
            batch.ids[at * width + start..at * width + start + row.len()].copy_from_slice(row);
        }
        Ok(batch)
    }
}

/// Calls `use_item` with `make(0)`, `make(1)`, .. in order, while threads make the next ones: at most `ahead` more are
/// made before they are used. What is made does not depend on the number of threads.
///
/// # Errors
/// The first error of `make` or `use_item`, in the order of items; nothing is made for much longer then.
///
/// ```
/// use coin_data::batches::prefetch;
/// let mut sum = 0;
/// prefetch(100, 2, 8, |item| Ok::<_, ()>(item * item), |square| { sum += square; Ok(()) })?;
/// assert_eq!(sum, (0..100).map(|item| item * item).sum::<usize>());
/// # Ok::<(), ()>(())
/// ```
pub fn prefetch<T: Send, E: Send>(
    items: usize,
    threads: usize,
    ahead: usize,
    make: impl Fn(usize) -> Result<T, E> + Sync,
    mut use_item: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, items.max(1));
    // Item i comes from thread i % threads, each with a queue of its own: that is what keeps the order.
    let room = ahead.div_ceil(threads).max(1);
    let make = &make;
    std::thread::scope(|scope| {
        let queues: Vec<Receiver<Result<T, E>>> = (0..threads)
            .map(|thread| {
                let (sender, receiver) = sync_channel(room);
                scope.spawn(move || {
                    for item in (thread..items).step_by(threads) {
                        let made = make(item);
                        let failed = made.is_err();
                        // Nobody takes any more once an item has failed.
                        if sender.send(made).is_err() || failed {
                            break;
                        }
                    }
                });
                receiver
            })
            .collect();
        for item in 0..items {
            // A maker that panicked has dropped its queue; the scope passes the panic on.
            let Ok(made) = queues[item % threads].recv() else { break };
            use_item(made?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn couples_stay_whole(lengths in prop::collection::vec(1usize..60, 0..40), half in 1usize..6, seed: u64) {
            let lengths = &lengths[..lengths.len() / 2 * 2];
            let order = by_length(lengths);
            let whole = |rows: &[usize]| rows.chunks(2).all(|two| two[0] % 2 == 0 && two[1] == two[0] + 1);
            prop_assert!(whole(&order));
            let batches = buckets(lengths, 2 * half, seed, 0).unwrap();
            prop_assert!(batches.iter().all(|batch| batch.len() <= 2 * half && whole(batch)));
            for mut all in [order, batches.concat()] {
                all.sort_unstable();
                prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            }
            prop_assert_eq!(&batches, &buckets(lengths, 2 * half, seed, 0).unwrap());
        }

        #[test]
        fn padding_can_be_taken_off(
            rows in prop::collection::vec(prop::collection::vec(1u32..9, 1..12), 1..6), multiple_of in 1usize..9, right: bool,
        ) {
            let side = if right { PaddingSide::Right } else { PaddingSide::Left };
            let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            let batch = Padding { side, id: 0, multiple_of }.pad(&rows).unwrap();
            prop_assert_eq!(batch.width % multiple_of, 0);
            prop_assert!(batch.width < rows.iter().map(|row| row.len()).max().unwrap() + multiple_of);
            for (at, row) in rows.iter().enumerate() {
                let line = &batch.ids[at * batch.width..(at + 1) * batch.width];
                prop_assert_eq!(&line[batch.spans[at].clone()], *row);
                prop_assert_eq!(line.iter().filter(|id| **id != 0).count(), row.len());
            }
        }
    }

    #[test]
    fn buckets_pad_less_than_the_file_order() {
        let lengths: Vec<usize> = (0..400).map(|row| 10 + (row / 2 * 37) % 90 + row % 2).collect();
        let waste = |batches: &[Vec<usize>]| -> usize {
            let of = |batch: &Vec<usize>| {
                let longest = batch.iter().map(|&row| lengths[row]).max().unwrap_or(0);
                batch.iter().map(|&row| longest - lengths[row]).sum::<usize>()
            };
            batches.iter().map(of).sum()
        };
        let in_order: Vec<Vec<usize>> = (0..400).collect::<Vec<_>>().chunks(8).map(<[usize]>::to_vec).collect();
        let bucketed = buckets(&lengths, 8, 1, 0).unwrap();
        assert!(waste(&bucketed) * 5 < waste(&in_order), "{} {}", waste(&bucketed), waste(&in_order));
        assert_ne!(bucketed, buckets(&lengths, 8, 1, 1).unwrap(), "epochs differ");
    }

    #[test]
    fn bad_sizes_are_refused() {
        let message = |result: Result<Vec<Vec<usize>>, DataError>| result.unwrap_err().to_string();
        assert!(message(buckets(&[1, 2], 3, 0, 0)).contains("3 rows"));
        assert!(message(buckets(&[1, 2, 3], 2, 0, 0)).contains("3 rows"));
        let padding = Padding::default();
        assert!(padding.pad(&[]).unwrap_err().to_string().contains("no row"));
        assert!(padding.pad(&[&[1], &[]]).unwrap_err().to_string().contains("row 1"));
        assert!(Padding { multiple_of: 0, ..padding }.pad(&[&[1]]).unwrap_err().to_string().contains("multiple of 0"));
    }

    #[test]
    fn items_come_in_order_and_not_too_far_ahead() {
        for threads in [1, 2, 5] {
            let (made, mut used) = (AtomicUsize::new(0), Vec::new());
            let result = prefetch(
                60,
                threads,
                10,
                |item| {
                    made.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, String>(item)
                },
                |item| {
                    // Each thread may hold one more in its hands.
                    assert!(made.load(Ordering::SeqCst) <= used.len() + 10 + 2 * threads, "{threads} threads");
                    used.push(item);
                    Ok(())
                },
            );
            assert_eq!((result, used), (Ok(()), (0..60).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let mut used = 0;
        let make = |item| if item == 7 || item == 8 { Err(format!("item {item}")) } else { Ok(item) };
        let count = |_| {
            used += 1;
            Ok(())
        };
        assert_eq!(prefetch(1000, 3, 4, make, count), Err("item 7".to_owned()));
        assert_eq!(used, 7);
        assert_eq!(prefetch(1000, 3, 4, Ok, |item| if item == 5 { Err(item) } else { Ok(()) }), Err(5));
    }
}
