//! The matrix of a linear layer: dense, or packed to 8 or 4 bits and unpacked at every use.
//!
//! A packed matrix is quantized with burn's symmetric block scheme (`Q8S` and `Q4S`, blocks of 32 values, scale =
//! largest magnitude / 127 or / 7), but four or eight codes share one 32-bit word on every device; burn's CPU backend
//! uses a byte per 4-bit code. The backward pass of the product unpacks the matrix again (as in QLoRA, Dettmers et al.
//! 2023), so that no dense copy is kept between the two passes. The matrix itself never gets a gradient.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, Scalar, TensorMetadata, backend_extension};
use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, FloatDType, Int, Shape, Slice, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::fused;

/// Values that share one scale.
const BLOCK: usize = 32;

/// The dtype of weights, in files and in computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, with more precision and a smaller range than bf16.
    F16,
    /// 16 bits, with the range of f32.
    Bf16,
}

impl From<FloatType> for DType {
    fn from(value: FloatType) -> Self {
        match value {
            FloatType::F32 => DType::F32,
            FloatType::F16 => DType::F16,
            FloatType::Bf16 => DType::BF16,
        }
    }
}

/// The quantization of a frozen matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// 8 bits per value, 9 with its share of the block's scale.
    Int8,
    /// 4 bits per value, 5 with its share of the block's scale.
    Int4,
}

impl Quantization {
    /// Bits per code.
    pub fn bits(self) -> usize {
        match self {
            Quantization::Int8 => 8,
            Quantization::Int4 => 4,
        }
    }

    /// Bytes of a packed matrix of `count` values, scales included.
    pub fn bytes(self, count: usize) -> usize {
        let values = count.next_multiple_of(BLOCK * self.lanes());
        values * self.bits() / 8 + values / BLOCK * 4
    }

    /// Codes per 32-bit word.
    fn lanes(self) -> usize {
        32 / self.bits()
    }
}

/// The shape of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    bits: usize,
    d_in: usize,
    d_out: usize,
}

/// A matrix of 8- or 4-bit codes with a scale per 32 values.
#[derive(Module, Debug)]
pub struct PackedWeight {
    /// Lane k of word w holds the code of value `k * words + w`; the last values may be padding.
    codes: Param<Tensor<1, Int>>,
    /// `[blocks, 1]`
    scales: Param<Tensor<2>>,
    #[module(skip)]
    packing: Packing,
}

impl PackedWeight {
    /// Packs `values`, `[d_in, d_out]` in row-major order.
    ///
    /// # Panics
    /// If `values` does not hold exactly `d_in * d_out` numbers.
    pub fn new(values: &[f32], [d_in, d_out]: [usize; 2], quantization: Quantization, device: &Device) -> Self {
        assert_eq!(values.len(), d_in * d_out, "the values do not fill a {d_in} by {d_out} matrix");
        let (bits, lanes) = (quantization.bits(), quantization.lanes());
        let limit = ((1 << (bits - 1)) - 1) as f32;
        let words = values.len().next_multiple_of(BLOCK * lanes) / lanes;
        let mut codes = vec![0u32; words];
        let mut scales = vec![0.0; words * lanes / BLOCK];
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let scale = largest / limit;
            scales[block] = scale;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            for (at, value) in (block * BLOCK..).zip(values) {
                let code = (value * inverse).round().clamp(-limit, limit) as i32 as u32;
                codes[at % words] |= (code & ((1u32 << bits) - 1)) << (bits * (at / words));
            }
        }
        let codes: Vec<i32> = codes.into_iter().map(u32::cast_signed).collect();
        let codes = Tensor::from_data(TensorData::new(codes, [words]), (device, DType::I32));
        let blocks = scales.len();
        let scales = Tensor::from_data(TensorData::new(scales, [blocks, 1]), (device, DType::F32));
        PackedWeight {
            codes: Param::initialized(ParamId::new(), codes),
            scales: Param::from_tensor(scales).set_require_grad(false),
            packing: Packing { bits, d_in, d_out },
        }
    }

    /// `[n, d_in]` -> `[n, d_out]`.
    pub fn multiply(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(<Dispatch as PackedMatmul>::packed_matmul(
            x.into_dispatch(),
            self.codes.val().into_dispatch(),
            self.scales.val().into_dispatch(),
            self.packing,
        ))
    }

    /// The dense matrix, `[d_in, d_out]`, f32.
    pub fn unpack(&self) -> Tensor<2> {
        Tensor::from_dispatch(<Dispatch as PackedMatmul>::unpack(
            self.codes.val().into_dispatch(),
            self.scales.val().into_dispatch(),
            self.packing,
        ))
    }

    /// Bytes of codes and scales.
    pub fn bytes(&self) -> usize {
        4 * (self.codes.lazy_shape().num_elements() + self.scales.lazy_shape().num_elements())
    }
}

/// Products with a packed matrix, made of operations that every backend has.
#[backend_extension(
    Flex,
    Cube: cfg(feature = "_cube"),
    Fusion: cfg(feature = "fusion"),
    Autodiff
)]
pub trait PackedMatmul: Backend {
    /// `[n, d_in]` times the unpacked matrix, in x's dtype.
    #[fusion(default)]
    fn packed_matmul(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        packing: Packing,
    ) -> FloatTensor<Self> {
        let dtype = float_type(x.dtype());
        let weight = Self::float_cast(Self::unpack(codes, scales, packing), dtype);
        Self::float_matmul(x, weight)
    }

    /// The dense matrix, `[d_in, d_out]`, f32.
    #[fusion(default)]
    fn unpack(codes: IntTensor<Self>, scales: FloatTensor<Self>, packing: Packing) -> FloatTensor<Self> {
        let Packing { bits, d_in, d_out } = packing;
        let lanes = (0..32 / bits).map(|lane| {
            // Shifting to the top and back extends the sign.
            let top = Self::bitwise_left_shift_scalar(codes.clone(), Scalar::Int((32 - bits * (lane + 1)) as i64));
            let code = Self::bitwise_right_shift_scalar(top, Scalar::Int((32 - bits) as i64));
            Self::int_into_float(code, FloatDType::F32)
        });
        let values = Self::float_cat(lanes.collect(), 0);
        let count = values.shape().num_elements();
        let values = Self::float_mul(Self::float_reshape(values, Shape::new([count / BLOCK, BLOCK])), scales);
        let values = Self::float_reshape(values, Shape::new([count]));
        let values = match count == d_in * d_out {
            true => values,
            false => Self::float_slice(values, &[Slice::from(0..d_in * d_out)]),
        };
        Self::float_reshape(values, Shape::new([d_in, d_out]))
    }
}

impl PackedMatmul for Flex {}

#[cfg(feature = "_cube")]
impl PackedMatmul for burn::backend::Cube {}

/// True if this build supports packed matrices on `device`. burn panics on a backend without [`PackedMatmul`].
pub(crate) fn packs_on(device: &Device) -> bool {
    cfg!(feature = "_cube") || device.clone().inner() == Device::flex()
}

impl<B: Backend + PackedMatmul, C: CheckpointStrategy> PackedMatmul for Autodiff<B, C> {
    fn packed_matmul(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        packing: Packing,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ByPacked;

        impl<B: Backend + PackedMatmul> Backward<B, 1> for ByPacked {
            type State = (IntTensor<B>, FloatTensor<B>, Packing);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (codes, scales, packing) = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                    let dtype = float_type(grad.dtype());
                    let weight = B::float_cast(B::unpack(codes, scales, packing), dtype);
                    B::float_matmul(grad, B::float_transpose(weight))
                });
            }
        }

        let (x, node) = x.into_parts();
        let scales = scales.into_primitive();
        let output = B::packed_matmul(x, codes.clone(), scales.clone(), packing);
        match ByPacked.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((codes, scales, packing), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

fn float_type(dtype: DType) -> FloatDType {
    match dtype {
        DType::F64 => FloatDType::F64,
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        _ => FloatDType::F32,
    }
}

/// The matrix of a linear layer, `[d_in, d_out]`: the transpose of the matrix in Hugging Face files.
#[derive(Module, Debug)]
pub enum Weight {
    /// A float tensor.
    Dense(Param<Tensor<2>>),
    /// Codes and scales; always frozen.
    Packed(PackedWeight),
}

impl Weight {
    /// A dense matrix.
    pub fn dense(values: Tensor<2>) -> Self {
        Weight::Dense(Param::from_tensor(values))
    }

    /// `[d_in, d_out]`
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Weight::Dense(weight) => weight.lazy_shape().dims(),
            Weight::Packed(weight) => [weight.packing.d_in, weight.packing.d_out],
        }
    }

    /// The dense matrix.
    pub fn values(&self) -> Tensor<2> {
        match self {
            Weight::Dense(weight) => weight.val(),
            Weight::Packed(weight) => weight.unpack(),
        }
    }

    /// `[n, d_in]` -> `[n, d_out]`.
    pub fn multiply(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Weight::Dense(weight) => fused::linear(x, weight.val()),
            Weight::Packed(weight) => weight.multiply(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::quantization::{QuantScheme, QuantValue, ScaleDtype};

    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 37 % 101) as f32 - 50.0) * (1.0 + (at / 32) as f32)).collect()
    }

    #[test]
    fn packed_values_match_burns_scheme() {
        let device = Device::flex();
        for (quantization, value) in [(Quantization::Int8, QuantValue::Q8S), (Quantization::Int4, QuantValue::Q4S)] {
            let given = values(64 * 96);
            let ours = PackedWeight::new(&given, [64, 96], quantization, &device);
            let scheme = QuantScheme::default().with_value(value).per_block([32], ScaleDtype::F32);
            let burns = Tensor::<2>::from_data(TensorData::new(given.clone(), [192, 32]), &device)
                .quantize_dynamic(&scheme)
                .dequantize()
                .reshape([64, 96]);
            // A value halfway between two codes may round differently: one multiplies by 1/scale, the other divides.
            let difference = (ours.unpack() - burns).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-3, "{quantization:?}: {difference}");
            assert_eq!(ours.bytes() * 8, 64 * 96 * (quantization.bits() + 1));
            assert_eq!(ours.bytes(), quantization.bytes(64 * 96));
        }
    }

    #[test]
    fn partial_blocks_are_padded() {
        let device = Device::flex();
        let given = values(5 * 7);
        for (quantization, share) in [(Quantization::Int8, 0.5 / 127.0), (Quantization::Int4, 0.5 / 7.0)] {
            let unpacked = PackedWeight::new(&given, [5, 7], quantization, &device).unpack();
            assert_eq!(unpacked.dims(), [5, 7]);
            for (a, b) in unpacked.try_into_vec_as::<f32>().unwrap().iter().zip(&given) {
                // Half a step of a block whose largest magnitude is at most 100.
                assert!((a - b).abs() <= 100.0 * share + 1e-4, "{a} {b}");
            }
        }
        let zero = PackedWeight::new(&[0.0; 35], [5, 7], Quantization::Int4, &device).unpack();
        assert_eq!(zero.abs().sum().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn gradients_pass_through_the_unpacked_matrix() {
        let device = Device::flex().autodiff();
        let packed = PackedWeight::new(&values(6 * 4), [6, 4], Quantization::Int4, &device);
        let x = || Tensor::<2>::from_data(TensorData::new(values(18), [3, 6]), &device).require_grad();
        let weights = Tensor::<2>::from_data(TensorData::new(values(12), [3, 4]), &device);
        let (ours, dense) = (x(), x());
        let gradients = (packed.multiply(ours.clone()) * weights.clone()).sum().backward();
        let expected = (dense.clone().matmul(packed.unpack()) * weights).sum().backward();
        let (a, b) = (ours.grad(&gradients).unwrap(), dense.grad(&expected).unwrap());
        assert_eq!(a.clone().into_data(), b.into_data());
        assert!(a.abs().sum().into_scalar::<f32>() > 0.0);
    }
}
