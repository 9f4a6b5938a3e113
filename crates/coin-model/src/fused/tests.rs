use burn::tensor::{Device, Gradients, TensorData};

use super::*;

/// Values between -1 and 1 without a simple pattern that could hide a kernel's error.
fn leaf<const D: usize>(seed: u64, dims: [usize; D]) -> Tensor<D> {
    let count: usize = dims.iter().product();
    let value = |at: usize| ((at as f64 + 1.0) * (seed as f64 + 0.7311) * 12.9898).sin() as f32;
    let values: Vec<f32> = (0..count).map(value).collect();
    Tensor::from_data(TensorData::new(values, dims), &Device::flex().autodiff()).require_grad()
}

/// The gradients of a loss that weighs every value differently.
fn backward<const D: usize>(output: &Tensor<D>) -> Gradients {
    let weights = leaf::<D>(99, output.dims()).detach();
    (output.clone() * weights).sum().backward()
}

fn close<const D: usize>(name: &str, ours: Tensor<D>, plain: Tensor<D>) {
    assert_eq!(ours.dims(), plain.dims(), "{name}");
    let size = plain.clone().abs().max().into_scalar::<f32>();
    let difference = (ours - plain).abs().max().into_scalar::<f32>();
    // Sums of up to 700 products of order 1, added in a different order.
    assert!(size > 0.0 && difference <= 1e-5 * size.max(1.0), "{name}: {difference} of {size}");
}

#[test]
fn rms_norm_matches_the_plain_version() {
    // More rows than one core takes at once, and a width that is not a multiple of the number of lanes.
    for dims in [[2, 3, 5], [3, 50, 299]] {
        let of = |run: fn(Tensor<3>, Tensor<1>, f64) -> Tensor<3>| {
            let (x, weight) = (leaf(1, dims), leaf(2, [dims[2]]));
            let y = run(x.clone(), weight.clone(), 1e-5);
            let gradients = backward(&y);
            (y.inner(), x.grad(&gradients).unwrap(), weight.grad(&gradients).unwrap())
        };
        let (ours, plain) = (of(rms_norm), of(plain::rms_norm));
        close("output", ours.0, plain.0);
        close("x", ours.1, plain.1);
        close("weight", ours.2, plain.2);
    }
}

#[test]
fn swiglu_matches_the_plain_version() {
    let of = |run: fn(Tensor<3>, Tensor<3>) -> Tensor<3>| {
        let (gate, up) = (leaf(1, [2, 130, 131]), leaf(2, [2, 130, 131]));
        let y = run(gate.clone() * 20.0, up.clone());
        let gradients = backward(&y);
        (y.inner(), gate.grad(&gradients).unwrap(), up.grad(&gradients).unwrap())
    };
    let (ours, plain) = (of(swiglu), of(plain::swiglu));
    close("output", ours.0, plain.0);
    close("gate", ours.1, plain.1);
    close("up", ours.2, plain.2);
}

#[test]
fn rotation_matches_the_plain_version() {
    for rows in [1, 3] {
        let (cos, sin) = (leaf(5, [rows, 7, 1, 8]).detach(), leaf(6, [rows, 7, 1, 8]).detach());
        let of = |run: fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>| {
            let x = leaf(1, [3, 7, 5, 8]);
            // As in the rotary tables, the first half of the sines is the negated second half.
            let half = sin.clone().narrow(3, 0, 4);
            let sin = Tensor::cat(vec![half.clone().neg(), half], 3);
            let cos = Tensor::cat(vec![cos.clone().narrow(3, 0, 4); 2], 3);
            let y = run(x.clone(), cos, sin);
            let gradients = backward(&y);
            (y.inner(), x.grad(&gradients).unwrap())
        };
        let (ours, plain) = (of(rotate), of(plain::rotate));
        close("output", ours.0, plain.0);
        close("x", ours.1, plain.1);
    }
}

#[test]
fn attention_matches_the_plain_version() {
    // Heads that share keys, keys of earlier positions, a bias shared by the rows or one per row, and a single query.
    for (heads, kv_heads, seq, keys, biases) in
        [(4, 2, 6, 6, 3), (2, 2, 5, 9, 1), (6, 2, 1, 19, 3), (3, 1, 40, 40, 1), (2, 1, 150, 170, 3)]
    {
        let bias: Vec<f32> = (0..biases * seq * keys)
            .map(|at| {
                let (query, key) = (at / keys % seq, at % keys);
                // The first query of the first row sees nothing, like a padding position.
                if key > query + keys - seq || (at / keys == 0 && seq > 1) { -1e9 } else { 0.0 }
            })
            .collect();
        let device = Device::flex().autodiff();
        let bias = Tensor::<4>::from_data(TensorData::new(bias, [biases, 1, seq, keys]), &device);
        let of = |run: fn(Tensor<4>, Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<3>| {
            // The model's axis order: positions before heads.
            let q = leaf(1, [3, seq, heads, 8]);
            let (k, v) = (leaf(2, [3, keys, kv_heads, 8]), leaf(3, [3, keys, kv_heads, 8]));
            let [q_, k_, v_] = [&q, &k, &v].map(|tensor| tensor.clone().swap_dims(1, 2));
            let y = run(q_ * 4.0, k_, v_, bias.clone());
            let gradients = backward(&y);
            let [q, k, v] = [q, k, v].map(|tensor| tensor.grad(&gradients).unwrap());
            (y.inner(), q, k, v)
        };
        let (ours, plain) = (of(attend), of(plain::attend));
        close("output", ours.0, plain.0);
        close("q", ours.1, plain.1);
        close("k", ours.2, plain.2);
        close("v", ours.3, plain.3);
    }
}

#[test]
fn linear_matches_the_plain_version() {
    // A single part, several parts of columns, and several parts of rows; a plain matrix and a transposed one.
    for [rows, d_in, d_out] in [[3, 5, 7], [90, 37, 700], [700, 40, 30]] {
        for transposed in [false, true] {
            let of = |run: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
                let x = leaf(1, [rows, d_in]);
                let weight = match transposed {
                    true => leaf(4, [d_out, d_in]).detach().transpose(),
                    false => leaf(4, [d_in, d_out]).detach(),
                };
                let y = run(x.clone(), weight);
                let gradients = backward(&y);
                (y.inner(), x.grad(&gradients).unwrap())
            };
            let (ours, plain) = (of(linear), of(|x, weight| x.matmul(weight)));
            close("output", ours.0, plain.0);
            close("x", ours.1, plain.1);
        }
    }
}

#[test]
fn lora_matches_the_plain_version() {
    let weight = leaf(4, [37, 70]).detach();
    let flags: Vec<u8> = (0..90 * 37).map(|at| u8::from(at % 7 != 3)).collect();
    let mask: Vec<f32> = flags.iter().map(|&flag| f32::from(flag) * 1.25).collect();
    let mask = Tensor::<2>::from_data(TensorData::new(mask, [90, 37]), &Device::flex().autodiff());
    for dropout in [false, true] {
        let of = |ours: bool| {
            let (x, a, b) = (leaf(1, [90, 37]), leaf(2, [37, 3]), leaf(3, [3, 70]));
            let y = match ours {
                true => {
                    let kept = dropout.then(|| Kept { flags: Arc::new(flags.clone()), factor: 1.25 });
                    lora_linear(x.clone(), weight.clone(), [a.clone(), b.clone()], kept, 0.5)
                }
                false => {
                    let input = if dropout { x.clone() * mask.clone() } else { x.clone() };
                    x.clone().matmul(weight.clone()) + input.matmul(a.clone()).matmul(b.clone()) * 0.5
                }
            };
            let gradients = backward(&y);
            let [x, a, b] = [x, a, b].map(|tensor| tensor.grad(&gradients).unwrap());
            (y.inner(), x, a, b)
        };
        let (ours, plain) = (of(true), of(false));
        close("output", ours.0, plain.0);
        close("x", ours.1, plain.1);
        close("a", ours.2, plain.2);
        close("b", ours.3, plain.3);
    }
}

#[test]
fn cross_entropy_matches_the_plain_version() {
    let device = Device::flex().autodiff();
    let targets: Vec<i32> = (0..21).map(|row| row * 45 % 1003).collect();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [21]), &device);
    let of = |run: fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>| {
        let logits = leaf(1, [21, 1003]);
        let y = run(logits.clone() * 30.0, targets.clone());
        let gradients = backward(&y);
        (y.inner(), logits.grad(&gradients).unwrap())
    };
    let (ours, plain) = (of(cross_entropy), of(plain::cross_entropy));
    close("output", ours.0, plain.0);
    close("logits", ours.1, plain.1);
}

#[test]
fn nan_propagates() {
    let device = Device::flex();
    let nan = Tensor::<3>::from_data([[[1.0, f32::NAN, 2.0]]], &device);
    assert!(swiglu(nan.clone(), nan.clone()).sum().into_scalar::<f32>().is_nan());
    assert!(rms_norm(nan.clone(), Tensor::ones([3], &device), 1e-5).sum().into_scalar::<f32>().is_nan());
    let logits: Tensor<2> = nan.reshape([1, 3]);
    assert!(cross_entropy(logits, Tensor::from_data([0], &device)).into_scalar::<f32>().is_nan());
}
