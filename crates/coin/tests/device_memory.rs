//! An allocation that a device cannot make is an error with a way out, not a crash.

use burn::tensor::{Device, Tensor};
use coin::memory::{Shortage, catch};

/// One tensor of more than the device has, or gives to one buffer.
fn too_large(name: &str, device: &Device) -> Result<f32, String> {
    // Indices of wgpu's shaders have 32 bits, so that its tensor must stay below 2^32 values: 16 GiB, of which a buffer
    // holds a quarter at most.
    let rows = if name.starts_with("wgpu") { (1 << 16) - 1 } else { 1 << 24 };
    let tensor = Tensor::<2>::ones([rows, 1 << 16], device);
    tensor.sum().try_into_scalar::<f32>().map_err(|error| error.to_string())
}

#[test]
fn an_allocation_that_fails_is_a_shortage() {
    for name in coin::device::present().into_iter().filter(|name| name != "cpu") {
        let device = coin::device::named(&name).unwrap();
        let outcome = catch(|| too_large(&name, &device));
        match outcome {
            Err(Shortage { bytes: Some(bytes), .. }) => assert!(bytes > 16 << 30 || name.starts_with("wgpu"), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        // The device is still of use.
        let eight =
            || Tensor::<1>::ones([8], &device).sum().try_into_scalar::<f32>().map_err(|error| error.to_string());
        assert_eq!(catch(eight), Ok(Ok(8.0)), "{name}");
    }
}
