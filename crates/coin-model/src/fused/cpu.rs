//! The fused operations on burn's CPU backend, and their gradients.

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape, TensorData};
use rayon::prelude::*;

use super::autodiff::FusedGradients;
use super::outputs::{Blocks, filled};
use super::product::{Matrix, add_product, multiply, product};
use super::{Fused, Kept, kernels};

type Values = FloatTensor<Flex>;

fn dims<const D: usize>(tensor: &Values) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// The values of a contiguous tensor, row by row.
fn slice(tensor: &Values) -> &[f32] {
    let (from, to) = tensor.layout().contiguous_offsets().expect("the tensor was made contiguous");
    &tensor.storage::<f32>()[from..to]
}

/// A view of a tensor with two axes, without copying.
fn matrix(tensor: &Values) -> Matrix<'_> {
    let ([rows, columns], strides) = (dims(tensor), tensor.layout().strides());
    Matrix {
        values: &tensor.storage::<f32>()[tensor.layout().start_offset()..],
        rows,
        columns,
        row_stride: strides[0],
        column_stride: strides[1],
    }
}

fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> Values {
    Values::from_data(TensorData::new(values, dims))
}

/// The target index of every row.
fn target_indices(targets: &IntTensor<Flex>) -> Vec<usize> {
    let data = targets.clone().into_data().convert_dtype(DType::I64);
    data.as_slice::<i64>().expect("the data was converted").iter().map(|&target| target as usize).collect()
}

/// The heads of a tensor `[batch, heads, seq, head_dim]`, with its axes in any memory order.
struct Heads {
    values: Values,
    dims: [usize; 4],
    strides: [isize; 4],
    offset: usize,
}

impl Heads {
    fn new(values: Values) -> Self {
        let usable = |values: &Values| values.layout().strides().iter().all(|&stride| stride >= 0);
        let values = if usable(&values) { values } else { values.to_contiguous() };
        let strides = values.layout().strides();
        let strides = [strides[0], strides[1], strides[2], strides[3]];
        let (dims, offset) = (dims(&values), values.layout().start_offset());
        Heads { values, dims, strides, offset }
    }

    fn matrix(&self, row: usize, head: usize) -> Matrix<'_> {
        let start = self.offset + row * self.strides[0] as usize + head * self.strides[1] as usize;
        Matrix {
            values: &self.values.storage::<f32>()[start..],
            rows: self.dims[2],
            columns: self.dims[3],
            row_stride: self.strides[2],
            column_stride: self.strides[3],
        }
    }
}

/// Number of queries whose scores are computed together. They fit in a core's cache, and neighboring queries see nearly the
/// same keys.
const QUERIES: usize = 64;

/// A key with a bias at or below this value gets a weight of exactly 0 if the query sees any other key.
const UNSEEN: f32 = -1e8;

/// A range of queries of a row, and the number of leading keys they need.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
    keys: usize,
}

/// The inputs of attention.
struct Attention {
    q: Heads,
    k: Heads,
    v: Heads,
    bias: Values,
    scale: f32,
    /// The queries of each row of the bias, divided into parts.
    parts: Vec<Vec<Part>>,
}

impl Attention {
    fn new(q: Values, k: Values, v: Values, bias: Values) -> Self {
        let [q, k, v] = [q, k, v].map(Heads::new);
        let scale = (q.dims[3] as f64).powf(-0.5) as f32;
        let bias = bias.to_contiguous();
        let [_, _, seq, keys] = dims(&bias);
        // A query that sees no key, such as padding, weighs all keys equally.
        let needed =
            |bias: &[f32]| bias.iter().rposition(|&bias| bias > UNSEEN || bias.is_nan()).map_or(keys, |last| last + 1);
        let parts = slice(&bias).chunks_exact(seq * keys).map(|of_row| {
            let parts = of_row.chunks(QUERIES * keys).enumerate().map(|(at, bias)| Part {
                first: at * QUERIES,
                count: bias.len() / keys,
                keys: bias.chunks_exact(keys).map(needed).max().unwrap_or(keys),
            });
            parts.collect()
        });
        let parts = parts.collect();
        Attention { q, k, v, bias, scale, parts }
    }

    /// The row of the bias that belongs to a row of the batch.
    fn bias_row(&self, row: usize) -> usize {
        if self.parts.len() == 1 { 0 } else { row }
    }

    /// The queries of a row of the batch.
    fn parts(&self, row: usize) -> &[Part] {
        &self.parts[self.bias_row(row)]
    }

    /// The largest number of scores in a part.
    fn room(&self) -> usize {
        self.q.dims[2].min(QUERIES) * self.k.dims[2]
    }

    /// Writes the softmax of one head's scores for a part to `weights`, `[part.count, part.keys]`.
    fn weights(&self, row: usize, head: usize, part: Part, weights: &mut [f32]) {
        let [_, heads, seq, _] = self.q.dims;
        let [_, kv_heads, keys, _] = self.k.dims;
        let key_head = head / (heads / kv_heads);
        let k = self.k.matrix(row, key_head).rows(0, part.keys).transposed();
        multiply(weights, part.keys, false, self.q.matrix(row, head).rows(part.first, part.count), k, self.scale);
        let bias = &slice(&self.bias)[(self.bias_row(row) * seq + part.first) * keys..][..part.count * keys];
        pulp::Arch::new().dispatch(|| {
            for (scores, bias) in weights.chunks_exact_mut(part.keys).zip(bias.chunks_exact(keys)) {
                kernels::softmax(scores, &bias[..part.keys]);
            }
        });
    }
}

/// Transposes `[batch, heads, seq, head_dim]` to `[batch, seq, heads, head_dim]`.
fn side_by_side(values: &[f32], [_, heads, seq, head_dim]: [usize; 4]) -> Vec<f32> {
    let width = heads * head_dim;
    kernels::by_rows(values.len(), width, |first, out| {
        for (at, out) in out.chunks_exact_mut(width).enumerate() {
            let (row, position) = ((first + at) / seq, (first + at) % seq);
            for (head, out) in out.chunks_exact_mut(head_dim).enumerate() {
                let from = ((row * heads + head) * seq + position) * head_dim;
                out.copy_from_slice(&values[from..][..head_dim]);
            }
        }
    })
}

/// A view of one head of `[rows, heads, head_dim]`, without copying.
fn one_head(values: &[f32], heads: usize, head: usize, head_dim: usize) -> Matrix<'_> {
    let width = heads * head_dim;
    Matrix {
        values: &values[head * head_dim..],
        rows: values.len() / width,
        columns: head_dim,
        row_stride: width as isize,
        column_stride: 1,
    }
}

fn kept(x: &[f32], width: usize, kept: Option<&Kept>) -> Option<Vec<f32>> {
    let Kept { flags, factor } = kept?;
    let out = kernels::by_rows(x.len(), width, |row, out| {
        let from = row * width;
        kernels::keep(&x[from..][..out.len()], &flags[from..][..out.len()], *factor, out);
    });
    Some(out)
}

impl Fused for Flex {
    fn rms_norm(x: Values, weight: Values, epsilon: f32) -> Values {
        let dims @ [_, width] = dims(&x);
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let (x, weight) = (slice(&x), slice(&weight));
        let out = kernels::by_rows(x.len(), width, |row, out| {
            for (out, x) in out.chunks_exact_mut(width).zip(x[row * width..].chunks_exact(width)) {
                kernels::rms_norm(x, weight, epsilon, out);
            }
        });
        tensor(out, dims)
    }

    fn swiglu(gate: Values, up: Values) -> Values {
        let shape: Shape = gate.layout().shape().clone();
        let (gate, up) = (gate.to_contiguous(), up.to_contiguous());
        let (gate, up) = (slice(&gate), slice(&up));
        let out = kernels::by_rows(gate.len(), 1, |from, out| {
            kernels::swiglu(&gate[from..][..out.len()], &up[from..][..out.len()], out);
        });
        Values::from_data(TensorData::new(out, shape))
    }

    fn rotate(x: Values, cos: Values, sin: Values) -> Values {
        rotate(x, cos, sin, false)
    }

    fn attend(q: Values, k: Values, v: Values, bias: Values) -> Values {
        let attention = Attention::new(q, k, v, bias);
        let [batch, heads, seq, head_dim] = attention.q.dims;
        let [_, kv_heads, _, _] = attention.k.dims;
        let width = heads * head_dim;
        // One block of `[seq, head_dim]` per row of the batch and head; transposed afterwards.
        let [mixed] = filled(
            [Blocks { len: batch * heads * seq * head_dim, block: seq * head_dim }],
            || vec![0.0; attention.room()],
            |weights, at, [out]| {
                let (row, head) = (at / heads, at % heads);
                let v = attention.v.matrix(row, head / (heads / kv_heads));
                for (&part, out) in attention.parts(row).iter().zip(out.chunks_mut(QUERIES * head_dim)) {
                    let weights = &mut weights[..part.count * part.keys];
                    attention.weights(row, head, part, weights);
                    let weights = Matrix::new(weights, part.count, part.keys);
                    multiply(out, head_dim, false, weights, v.rows(0, part.keys), 1.0);
                }
            },
        );
        let out = if seq == 1 { mixed } else { side_by_side(&mixed, attention.q.dims) };
        tensor(out, [batch, seq, width])
    }

    fn frozen_linear(x: Values, weight: Values) -> Values {
        let ([rows, _], [_, d_out]) = (dims(&x), dims(&weight));
        let out = product(matrix(&x), matrix(&weight), 1.0);
        tensor(out, [rows, d_out])
    }

    fn lora_linear(x: Values, weight: Values, a: Values, b: Values, dropped: Option<Kept>, scale: f32) -> Values {
        let ([rows, d_in], [_, d_out], [_, rank]) = (dims(&x), dims(&weight), dims(&a));
        let [x, a, b] = [x, a, b].map(|tensor| tensor.to_contiguous());
        let [x, a, b] = [&x, &a, &b].map(slice);
        let mut out = product(Matrix::new(x, rows, d_in), matrix(&weight), 1.0);
        let masked = kept(x, d_in, dropped.as_ref());
        let left = Matrix::new(masked.as_deref().unwrap_or(x), rows, d_in);
        let inner = product(left, Matrix::new(a, d_in, rank), 1.0);
        add_product(&mut out, Matrix::new(&inner, rows, rank), Matrix::new(b, rank, d_out), scale);
        tensor(out, [rows, d_out])
    }

    fn cross_entropy(logits: Values, targets: IntTensor<Flex>) -> Values {
        let [rows, vocab] = dims(&logits);
        let logits = logits.to_contiguous();
        let (logits, targets) = (slice(&logits), target_indices(&targets));
        let mut out = vec![0.0; rows];
        out.par_iter_mut().zip(targets).enumerate().for_each(|(row, (out, target))| {
            let logits = &logits[row * vocab..][..vocab];
            *out = pulp::Arch::new().dispatch(|| kernels::log_sum_exp(logits)) - logits[target];
        });
        tensor(out, [rows])
    }
}

fn rotate(x: Values, cos: Values, sin: Values, inverse: bool) -> Values {
    let dims @ [_, seq, heads, head_dim] = dims(&x);
    let alike = self::dims::<4>(&cos)[0] == 1;
    let [x, cos, sin] = [x, cos, sin].map(|tensor| tensor.to_contiguous());
    let [x, cos, sin] = [&x, &cos, &sin].map(slice);
    let width = heads * head_dim;
    let out = kernels::by_rows(x.len(), width, |first, out| {
        for (at, (out, x)) in out.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width)).enumerate() {
            let position = if alike { (first + at) % seq } else { first + at };
            let (cos, sin) = (&cos[position * head_dim..][..head_dim], &sin[position * head_dim..][..head_dim]);
            for (out, x) in out.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim)) {
                kernels::rotate(x, cos, sin, inverse, out);
            }
        }
    });
    tensor(out, dims)
}

impl FusedGradients for Flex {
    fn rms_norm_backward(x: Values, weight: Values, grad: Values, epsilon: f32) -> Values {
        let dims @ [_, width] = dims(&x);
        let [x, weight, grad] = [x, weight, grad].map(|tensor| tensor.to_contiguous());
        let [x, weight, grad] = [&x, &weight, &grad].map(slice);
        let out = kernels::by_rows(x.len(), width, |row, out| {
            let rows = x[row * width..].chunks_exact(width).zip(grad[row * width..].chunks_exact(width));
            for (out, (x, grad)) in out.chunks_exact_mut(width).zip(rows) {
                kernels::rms_norm_backward(x, weight, grad, epsilon, out);
            }
        });
        tensor(out, dims)
    }

    fn rms_norm_weight_backward(x: Values, grad: Values, epsilon: f32) -> Values {
        let [_, width] = dims(&x);
        let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
        let mut out = vec![0.0; width];
        for (x, grad) in slice(&x).chunks_exact(width).zip(slice(&grad).chunks_exact(width)) {
            let inverse = kernels::inverse_root_mean_square(x, epsilon);
            for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
                *out += grad * x * inverse;
            }
        }
        tensor(out, [width])
    }

    fn swiglu_backward(gate: Values, up: Values, grad: Values) -> [Values; 2] {
        let shape: Shape = gate.layout().shape().clone();
        let [gate, up, grad] = [gate, up, grad].map(|tensor| tensor.to_contiguous());
        let [gate, up, grad] = [&gate, &up, &grad].map(slice);
        let gradients = kernels::by_rows_of([gate.len(); 2], 1, |from, [dgate, dup]| {
            let to = from + dgate.len();
            kernels::swiglu_backward(&gate[from..to], &up[from..to], &grad[from..to], dgate, dup);
        });
        gradients.map(|values| Values::from_data(TensorData::new(values, shape.clone())))
    }

    fn rotate_backward(grad: Values, cos: Values, sin: Values) -> Values {
        rotate(grad, cos, sin, true)
    }

    fn attend_backward(q: Values, k: Values, v: Values, bias: Values, grad: Values) -> [Values; 3] {
        let attention = Attention::new(q, k, v, bias);
        let [batch, heads, seq, head_dim] = attention.q.dims;
        let [_, kv_heads, keys, _] = attention.k.dims;
        let group = heads / kv_heads;
        let grad = grad.to_contiguous();
        let grad = slice(&grad);
        let width = heads * head_dim;
        // One block per row of the batch and key head, for the gradients of its queries, keys and values.
        let blocks = |block| Blocks { len: batch * kv_heads * block, block };
        let of_keys = blocks(keys * head_dim);
        let [dq, dk, dv] = filled(
            [blocks(group * seq * head_dim), of_keys, of_keys],
            || (vec![0.0; attention.room()], vec![0.0; attention.room()]),
            |(weights, dscores), at, [dq, dk, dv]| {
                let (row, key_head) = (at / kv_heads, at % kv_heads);
                let (k, v) = (attention.k.matrix(row, key_head), attention.v.matrix(row, key_head));
                for (member, dq) in dq.chunks_exact_mut(seq * head_dim).enumerate() {
                    let head = key_head * group + member;
                    let grad = one_head(&grad[row * seq * width..][..seq * width], heads, head, head_dim);
                    for (&part, dq) in attention.parts(row).iter().zip(dq.chunks_mut(QUERIES * head_dim)) {
                        let Part { first, count, keys } = part;
                        let (weights, dscores) = (&mut weights[..count * keys], &mut dscores[..count * keys]);
                        attention.weights(row, head, part, weights);
                        let (grad, k, v) = (grad.rows(first, count), k.rows(0, keys), v.rows(0, keys));
                        multiply(dscores, keys, false, grad, v.transposed(), 1.0);
                        pulp::Arch::new().dispatch(|| {
                            for (weights, dscores) in weights.chunks_exact(keys).zip(dscores.chunks_exact_mut(keys)) {
                                kernels::softmax_backward(weights, dscores, attention.scale);
                            }
                        });
                        let (dscores, weights) = (Matrix::new(dscores, count, keys), Matrix::new(weights, count, keys));
                        let q = attention.q.matrix(row, head).rows(first, count);
                        multiply(dq, head_dim, false, dscores, k, 1.0);
                        multiply(dk, head_dim, true, dscores.transposed(), q, 1.0);
                        multiply(dv, head_dim, true, weights.transposed(), grad, 1.0);
                    }
                }
            },
        );
        // In memory order `[batch, seq, heads, head_dim]`, as the gradients of the projections need it.
        let of = |values: Vec<f32>, dims: [usize; 4]| {
            let [batch, heads, rows, head_dim] = dims;
            let tensor = tensor(side_by_side(&values, dims), [batch, rows, heads, head_dim]);
            let by_heads = tensor.layout().transpose(1, 2);
            tensor.with_layout(by_heads)
        };
        [of(dq, attention.q.dims), of(dk, attention.k.dims), of(dv, attention.v.dims)]
    }

    fn lora_backward(
        [x, weight, a, b]: [Values; 4],
        dropped: Option<Kept>,
        scale: f32,
        grad: Values,
        of_x: bool,
    ) -> (Option<Values>, [Values; 2]) {
        let ([rows, d_in], [_, d_out], [_, rank]) = (dims(&x), dims(&weight), dims(&a));
        let [x, a, b, grad] = [x, a, b, grad].map(|tensor| tensor.to_contiguous());
        let [x, a, b, grad] = [&x, &a, &b, &grad].map(slice);
        let masked = kept(x, d_in, dropped.as_ref());
        let left = Matrix::new(masked.as_deref().unwrap_or(x), rows, d_in);
        let inner = product(left, Matrix::new(a, d_in, rank), 1.0);
        let grad = Matrix::new(grad, rows, d_out);
        let dinner = product(grad, Matrix::new(b, rank, d_out).transposed(), scale);
        let dinner = Matrix::new(&dinner, rows, rank);
        let db = product(Matrix::new(&inner, rows, rank).transposed(), grad, scale);
        let da = product(left.transposed(), dinner, 1.0);
        let dx = of_x.then(|| {
            let through = product(dinner, Matrix::new(a, d_in, rank).transposed(), 1.0);
            let mut dx = kept(&through, d_in, dropped.as_ref()).unwrap_or(through);
            add_product(&mut dx, grad, matrix(&weight).transposed(), 1.0);
            tensor(dx, [rows, d_in])
        });
        (dx, [tensor(da, [d_in, rank]), tensor(db, [rank, d_out])])
    }

    fn cross_entropy_backward(logits: Values, targets: IntTensor<Flex>, grad: Values) -> Values {
        let dims @ [_, vocab] = dims(&logits);
        let (logits, grad) = (logits.to_contiguous(), grad.to_contiguous());
        let (logits, grad, targets) = (slice(&logits), slice(&grad), target_indices(&targets));
        let [out] = filled(
            [Blocks { len: logits.len(), block: vocab }],
            || (),
            |(), row, [out]| {
                let logits = &logits[row * vocab..][..vocab];
                pulp::Arch::new().dispatch(|| {
                    kernels::scaled_softmax(logits, kernels::log_sum_exp(logits), grad[row], out);
                });
                out[targets[row]] -= grad[row];
            },
        );
        tensor(out, dims)
    }
}
