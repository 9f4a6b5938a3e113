//! The one place that turns a name such as `cpu` or `cuda:0` into a device.

use burn::tensor::Device;

/// A device name that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// No backend has this name.
    Unknown(String),
    /// The backend is not in this build.
    NotCompiled(String),
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceError::Unknown(name) => write!(
                f,
                "unknown device `{name}`, expected one of: cpu, cuda[:i], metal[:i], rocm[:i], vulkan[:i], wgpu[:i]"
            ),
            DeviceError::NotCompiled(name) => {
                let backend = name.split(':').next().unwrap_or(name);
                write!(f, "device `{name}` is not in this build; build with `--features {backend}`")
            }
        }
    }
}

impl std::error::Error for DeviceError {}

/// The backends a build may have, with whether this one has them.
pub const BACKENDS: [(&str, bool); 6] = [
    ("cpu", true),
    ("cuda", cfg!(feature = "cuda")),
    ("metal", cfg!(feature = "metal")),
    ("rocm", cfg!(feature = "rocm")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("wgpu", cfg!(feature = "wgpu")),
];

/// The device called `name`: a backend, and for a GPU an optional index, such as `cuda:1`.
///
/// # Errors
/// No such backend, or one that is not compiled in; the message says which feature adds it.
///
/// ```
/// assert!(coin::device::named("cpu").is_ok());
/// assert!(coin::device::named("abacus").unwrap_err().to_string().contains("`abacus`"));
/// ```
pub fn named(name: &str) -> Result<Device, DeviceError> {
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (backend, index.parse::<usize>().map_err(|_| DeviceError::Unknown(name.to_owned()))?),
        None => (name, 0),
    };
    match BACKENDS.iter().find(|(known, _)| *known == backend) {
        None => Err(DeviceError::Unknown(name.to_owned())),
        Some(("cpu", _)) if name == "cpu" => Ok(Device::flex()),
        Some(("cpu", _)) => Err(DeviceError::Unknown(name.to_owned())),
        Some((_, false)) => Err(DeviceError::NotCompiled(name.to_owned())),
        Some(_) => gpu(backend, index).ok_or_else(|| DeviceError::NotCompiled(name.to_owned())),
    }
}

/// The devices called `names`, separated by commas; each may stand more than once.
///
/// # Errors
/// As [`named`].
///
/// ```
/// assert_eq!(coin::device::all_named("cpu, cpu").map(|devices| devices.len()), Ok(2));
/// ```
pub fn all_named(names: &str) -> Result<Vec<Device>, DeviceError> {
    names.split(',').map(|name| named(name.trim())).collect()
}

/// Whether burn has collectives of its own between the devices called `names`, all different: burn 0.22.1 has them for
/// CUDA.
pub fn have_collectives(names: &str) -> bool {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let different = names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
    names.len() > 1 && different && names.iter().all(|name| name.starts_with("cuda"))
}

fn gpu(backend: &str, index: usize) -> Option<Device> {
    #[cfg(any(feature = "vulkan", feature = "wgpu", feature = "metal"))]
    let kind =
        if index == 0 { burn::tensor::DeviceKind::default() } else { burn::tensor::DeviceKind::DiscreteGpu(index) };
    let _ = index;
    match backend {
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::cuda(index)),
        #[cfg(feature = "rocm")]
        "rocm" => Some(Device::rocm(index)),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::metal(kind)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::vulkan(kind)),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::wgpu(kind)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_served_say_why() {
        assert_eq!(named("cpu:0").unwrap_err(), DeviceError::Unknown("cpu:0".to_owned()));
        assert_eq!(named("cuda:x").unwrap_err(), DeviceError::Unknown("cuda:x".to_owned()));
        if !cfg!(feature = "cuda") {
            assert!(named("cuda:0").unwrap_err().to_string().contains("--features cuda"));
        }
    }
}
