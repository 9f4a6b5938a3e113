//! Products of strided matrices, computed with `gemm`, the crate that burn's CPU backend uses.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// A strided view of a matrix. Strides are in values.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: isize,
    pub(super) column_stride: isize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix.
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

    /// `count` rows, starting at row `from`.
    pub(super) fn rows(self, from: usize, count: usize) -> Self {
        self.transposed().columns(from, count).transposed()
    }

    /// `count` columns, starting at column `from`.
    fn columns(self, from: usize, count: usize) -> Self {
        let skipped = (from * self.column_stride.unsigned_abs()).min(self.values.len());
        Matrix { values: &self.values[skipped..], columns: count, ..self }
    }

    /// True if every element lies within `values`.
    fn fits(&self) -> bool {
        let reach = |count: usize, stride: isize| count.saturating_sub(1) * stride.unsigned_abs();
        let last = reach(self.rows, self.row_stride) + reach(self.columns, self.column_stride);
        self.rows * self.columns == 0 || (self.row_stride >= 0 && self.column_stride >= 0 && last < self.values.len())
    }
}

const MISFIT: &str = "the dimensions of the matrices do not match";

/// `out = left right * scale`, or `out += left right * scale` if `add`, on one core. Rows of `out` are `stride` values apart.
pub(super) fn multiply(out: &mut [f32], stride: usize, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    assert!(fit(out.len(), stride, left, right), "{MISFIT}");
    // SAFETY: the assertion above checks that every element the strides reach lies within its slice; `out` is borrowed
    // exclusively.
    unsafe { multiply_at(out.as_mut_ptr(), stride, add, left, right, scale) }
}

/// True if the product of the two matrices, with rows `stride` values apart, fits into `len` values.
fn fit(len: usize, stride: usize, left: Matrix<'_>, right: Matrix<'_>) -> bool {
    let (rows, columns) = (left.rows, right.columns);
    let inside = rows == 0 || (stride >= columns && (rows - 1) * stride + columns <= len);
    left.columns == right.rows && left.fits() && right.fits() && inside
}

/// # Safety
/// The matrices must fit each other and `out` (see [`fit`]), and nothing else may refer to the part of `out` that is
/// written.
unsafe fn multiply_at(out: *mut f32, stride: usize, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    // SAFETY: guaranteed by the caller.
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

/// The output of a product, written by several cores, each to different columns or rows.
struct Target(*mut f32);

// SAFETY: the cores write to disjoint parts.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// The value at index `at` must lie within the matrix.
    unsafe fn from(&self, at: usize) -> *mut f32 {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.add(at) }
    }
}

/// Columns or rows of a product that one core computes. It is independent of the number of cores, so the order of sums is
/// too.
const PART: usize = 256;

/// `left right * scale`, row-major, on all cores.
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>, scale: f32) -> Vec<f32> {
    let len = left.rows * right.columns;
    let mut out = Vec::with_capacity(len);
    assert!(fit(len, right.columns, left, right), "{MISFIT}");
    // SAFETY: the assertion above checks that the product fits into the vector, and the product writes every value.
    unsafe {
        product_at(&Target(out.as_mut_ptr()), false, left, right, scale);
        out.set_len(len);
    }
    out
}

/// Adds `left right * scale` to `out`, row-major, on all cores.
pub(super) fn add_product(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    assert!(fit(out.len(), right.columns, left, right), "{MISFIT}");
    // SAFETY: the assertion above checks that the product fits; `out` is borrowed exclusively.
    unsafe { product_at(&Target(out.as_mut_ptr()), true, left, right, scale) }
}

/// # Safety
/// Same as [`multiply_at`], with contiguous rows.
unsafe fn product_at(out: &Target, add: bool, left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
    let (rows, columns) = (left.rows, right.columns);
    // An even number of parts of similar size, each a whole number of SIMD vectors.
    let part = |count: usize| count.div_ceil(count.div_ceil(PART).next_multiple_of(2)).next_multiple_of(16);
    if rows * columns * left.columns < 64 * 64 * 64 {
        // SAFETY: guaranteed by the caller.
        unsafe { multiply_at(out.from(0), columns, add, left, right, scale) }
    } else if columns >= PART / 2 {
        let part = part(columns);
        (0..columns.div_ceil(part)).into_par_iter().for_each(|index| {
            let from = index * part;
            let right = right.columns(from, part.min(columns - from));
            // SAFETY: the whole product fits; this part writes only the columns of `right`.
            unsafe { multiply_at(out.from(from), columns, add, left, right, scale) }
        });
    } else {
        let part = part(rows);
        (0..rows.div_ceil(part)).into_par_iter().for_each(|index| {
            let from = index * part;
            let left = left.rows(from, part.min(rows - from));
            // SAFETY: the whole product fits; this part writes only the rows of `left`.
            unsafe { multiply_at(out.from(from * columns), columns, add, left, right, scale) }
        });
    }
}
