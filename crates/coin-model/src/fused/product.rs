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

const MISFIT: &str = "a product of matrices that do not fit each other";

/// `out = left right * scale`, or with `add` added to `out`, whose rows are `stride` values apart, on one core.
pub(super) fn multiply(out: &mut [f32], stride: usize, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    assert!(fit(out.len(), stride, left, right), "{MISFIT}");
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

/// Where several cores write, each its own columns or rows.
struct Target(*mut f32);

// SAFETY: what is written through it is disjoint.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// The value `at` lies within the matrix.
    unsafe fn from(&self, at: usize) -> *mut f32 {
        // SAFETY: as this function asks for.
        unsafe { self.0.add(at) }
    }
}

/// Columns or rows of a product that one core computes. It does not depend on the number of cores, and so neither does a
/// sum's order.
const PART: usize = 256;

/// `left right * scale`, row by row, on all cores.
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>, scale: f32) -> Vec<f32> {
    let len = left.rows * right.columns;
    let mut out = Vec::with_capacity(len);
    assert!(fit(len, right.columns, left, right), "{MISFIT}");
    // SAFETY: the product fits into the vector, as was checked, and writes every value of it.
    unsafe {
        product_at(&Target(out.as_mut_ptr()), false, left, right, scale);
        out.set_len(len);
    }
    out
}

/// Adds `left right * scale` to `out`, row by row, on all cores.
pub(super) fn add_product(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    assert!(fit(out.len(), right.columns, left, right), "{MISFIT}");
    // SAFETY: the product fits, as was checked; `out` is borrowed alone.
    unsafe { product_at(&Target(out.as_mut_ptr()), true, left, right, scale) }
}

/// # Safety
/// As [`multiply_at`] asks for, with rows that lie side by side.
unsafe fn product_at(out: &Target, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    let (rows, columns) = (left.rows, right.columns);
    // An even number of parts, alike in size, in whole vectors.
    let part = |count: usize| count.div_ceil(count.div_ceil(PART).next_multiple_of(2)).next_multiple_of(16);
    if rows * columns * left.columns < 64 * 64 * 64 {
        // SAFETY: as this function asks for.
        unsafe { multiply_at(out.from(0), columns, add, left, right, scale) }
    } else if columns >= PART / 2 {
        let part = part(columns);
        (0..columns.div_ceil(part)).into_par_iter().for_each(|index| {
            let from = index * part;
            let right = right.columns(from, part.min(columns - from));
            // SAFETY: the whole product fits; this part writes the columns of `right` alone.
            unsafe { multiply_at(out.from(from), columns, add, left, right, scale) }
        });
    } else {
        let part = part(rows);
        (0..rows.div_ceil(part)).into_par_iter().for_each(|index| {
            let from = index * part;
            let left = left.rows(from, part.min(rows - from));
            // SAFETY: the whole product fits; this part writes the rows of `left` alone.
            unsafe { multiply_at(out.from(from * columns), columns, add, left, right, scale) }
        });
    }
}
