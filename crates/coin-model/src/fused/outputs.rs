//! Allocates vectors that all cores fill, block by block.
//!
//! A block is first written by the core that computes it. Clearing the whole vector in advance would keep the other cores
//! waiting, because the operating system zeroes new memory when it is first touched.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Length of a vector and of its blocks; the last block may be shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    pub(super) len: usize,
    pub(super) block: usize,
}

/// Returns `N` vectors with equally many blocks. `fill` gets the scratch value that `scratch` made for the core, the index
/// of a block, and that block of every vector, filled with zeros.
pub(super) fn filled<const N: usize, S>(
    outputs: [Blocks; N],
    scratch: impl Fn() -> S + Sync,
    fill: impl Fn(&mut S, usize, [&mut [f32]; N]) + Sync,
) -> [Vec<f32>; N] {
    let count = outputs.map(|output| output.len.div_ceil(output.block.max(1)));
    assert!(count.iter().all(|&other| other == count[0]), "vectors with different numbers of blocks: {outputs:?}");
    let mut vectors = outputs.map(|output| (Vec::with_capacity(output.len), output));
    let mut places = vectors
        .each_mut()
        .map(|(vector, output)| vector.spare_capacity_mut()[..output.len].chunks_mut(output.block.max(1)));
    let blocks: Vec<[&mut [MaybeUninit<f32>]; N]> =
        (0..count[0]).map(|_| places.each_mut().map(|place| place.next().unwrap_or_default())).collect();
    let fill = |scratch: &mut S, (index, block): (usize, [&mut [MaybeUninit<f32>]; N])| {
        let zeros = block.map(|block| {
            block.fill(MaybeUninit::new(0.0));
            // SAFETY: the line above writes every value.
            unsafe { block.assume_init_mut() }
        });
        fill(scratch, index, zeros);
    };
    match blocks.len() {
        // A single block is not worth handing to the pool.
        0 | 1 => blocks.into_iter().enumerate().for_each(|block| fill(&mut scratch(), block)),
        _ => blocks.into_par_iter().enumerate().for_each_init(&scratch, fill),
    }
    vectors.map(|(mut vector, output)| {
        // SAFETY: the blocks cover the first `len` values, and each block was written.
        unsafe { vector.set_len(output.len) };
        vector
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_filled_once_and_begins_with_zeros() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let outputs = [Blocks { len, block: 8 }, Blocks { len: 3 * len, block: 24 }];
            let [first, second] = filled(
                outputs,
                || 0,
                |_, block, [first, second]| {
                    assert_eq!(second.len(), 3 * first.len());
                    for (place, value) in first.iter_mut().enumerate() {
                        *value += (block * 8 + place) as f32;
                    }
                    second.iter_mut().for_each(|value| *value += 1.0);
                },
            );
            assert!(first.iter().enumerate().all(|(at, &value)| value == at as f32));
            assert_eq!((first.len(), second), (len, vec![1.0; 3 * len]));
        }
    }

    #[test]
    #[should_panic(expected = "different numbers of blocks")]
    fn vectors_have_equally_many_blocks() {
        filled([Blocks { len: 8, block: 8 }, Blocks { len: 9, block: 8 }], || (), |_, _, _| ());
    }
}
