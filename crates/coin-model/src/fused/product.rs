//! Products of matrices as they lie in memory, by the crate that burn's CPU backend multiplies with.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// A matrix in memory: where it begins, and how far its rows and its columns lie apart, in values.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: isize,
    pub(super) column_stride: isize,
}

impl<'a> Matrix<'a> {
    /// A matrix row by row.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Matrix { values, rows, columns, row_stride: columns as isize, column_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// So many rows, from one on.
    pub(super) fn rows(self, from: usize, count: usize) -> Self {
        self.transposed().columns(from, count).transposed()
    }

    /// So many columns, from one on.
    fn columns(self, from: usize, count: usize) -> Self {
        let skipped = (from * self.column_stride.unsigned_abs()).min(self.values.len());
        Matrix { values: &self.values[skipped..], columns: count, ..self }
    }

    /// Whether every element lies within the values.
    fn fits(&self) -> bool {
        let reach = |count: usize, stride: isize| count.saturating_sub(1) * stride.unsigned_abs();
        let last = reach(self.rows, self.row_stride) + reach(self.columns, self.column_stride);
        self.rows * self.columns == 0 || (self.row_stride >= 0 && self.column_stride >= 0 && last < self.values.len())
    }
}

/// `out = left right * scale`, or with `add` added to `out`, whose rows are `stride` values apart, on one core.
pub(super) fn multiply(out: &mut [f32], stride: usize, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    assert!(fit(out.len(), stride, left, right), "a product of matrices that do not fit each other");
    // SAFETY: every element that the strides reach lies within its slice, as was checked; `out` is borrowed alone.
    unsafe { multiply_at(out.as_mut_ptr(), stride, add, left, right, scale) }
}

/// Whether a product of the two matrices fits into so many values, its rows `stride` apart.
fn fit(len: usize, stride: usize, left: Matrix<'_>, right: Matrix<'_>) -> bool {
    let (rows, columns) = (left.rows, right.columns);
    let inside = rows == 0 || (stride >= columns && (rows - 1) * stride + columns <= len);
    left.columns == right.rows && left.fits() && right.fits() && inside
}

/// # Safety
/// The matrices fit each other and `out`, see [`fit`], and nothing else refers to the part of `out` that is written.
unsafe fn multiply_at(out: *mut f32, stride: usize, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    // SAFETY: as this function asks for.
    unsafe {
        gemm(
            left.rows,
            right.columns,
            left.columns,
            out,
            1,
            stride as isize,
            add,
            left.values.as_ptr(),
            left.column_stride,
            left.row_stride,
            right.values.as_ptr(),
            right.column_stride,
            right.row_stride,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Where several cores write, each its own columns.
struct Target(*mut f32);

// SAFETY: the columns that are written through it are disjoint.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// `column` lies within the matrix.
    unsafe fn column(&self, column: usize) -> *mut f32 {
        // SAFETY: as this function asks for.
        unsafe { self.0.add(column) }
    }
}

/// Columns or rows of a product that one core computes. It does not depend on the number of cores, and so neither does a
/// sum's order.
const PART: usize = 256;

/// `out = left right * scale` row by row, or added to `out`, on all cores.
pub(super) fn product(out: &mut [f32], add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    let (rows, columns) = (left.rows, right.columns);
    // An even number of parts, alike in size, in whole vectors.
    let part = |count: usize| count.div_ceil(count.div_ceil(PART).next_multiple_of(2)).next_multiple_of(16);
    if rows * columns * left.columns < 64 * 64 * 64 {
        multiply(out, columns, add, left, right, scale);
    } else if columns >= PART / 2 {
        assert!(fit(out.len(), columns, left, right), "a product of matrices that do not fit each other");
        let (part, target) = (part(columns), Target(out.as_mut_ptr()));
        (0..columns.div_ceil(part)).into_par_iter().for_each(|index| {
            let from = index * part;
            let right = right.columns(from, part.min(columns - from));
            // SAFETY: the whole product fits, as was checked; this part writes the columns of `right` alone.
            unsafe { multiply_at(target.column(from), columns, add, left, right, scale) }
        });
    } else {
        let part = part(rows);
        out.par_chunks_mut(part * columns).enumerate().for_each(|(index, out)| {
            let from = index * part;
            multiply(out, columns, add, left.rows(from, out.len() / columns), right, scale);
        });
    }
}
