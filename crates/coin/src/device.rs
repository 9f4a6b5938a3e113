//! Converts names such as `cpu` or `cuda:0` to devices.
//!
//! burn opens a GPU on first use, in a separate thread, which panics if there is no GPU. This module therefore looks for a
//! driver and counts its devices before it asks burn for one.

mod adapters;
mod driver;

use std::fmt;

use burn::tensor::Device;

/// An error with a device name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// The name is not the name of a backend.
    Unknown(String),
    /// The backend is not in this build.
    NotCompiled(String),
    /// This machine does not have a device for the backend.
    Absent {
        /// The requested name.
        name: String,
        /// The reason, such as a missing driver.
        why: String,
    },
    /// The index is out of range.
    Index {
        /// The requested name.
        name: String,
        /// The available devices.
        found: Vec<Found>,
    },
    /// The driver refused to open the device.
    Refused {
        /// The requested name.
        name: String,
        /// The driver's message.
        why: String,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Unknown(name) => write!(
                f,
                "unknown device `{name}`, expected one of: cpu, cuda[:i], metal[:i], rocm[:i], vulkan[:i], wgpu[:i]"
            ),
            DeviceError::NotCompiled(name) => {
                let backend = name.split(':').next().unwrap_or(name);
                write!(f, "device `{name}` is not in this build; build with `--features {backend}`")
            }
            DeviceError::Absent { name, why } => write!(f, "device `{name}` is not available on this machine: {why}"),
            DeviceError::Index { name, found } => {
                let devices = if found.len() == 1 { "device" } else { "devices" };
                write!(f, "device `{name}` does not exist; this machine has {} {devices} of this kind", found.len())?;
                let names = found.iter().map(|found| format!("{} ({})", found.device, found.name));
                write!(f, ": {}", names.collect::<Vec<_>>().join(", "))
            }
            DeviceError::Refused { name, why } => write!(f, "device `{name}` cannot be opened: {why}"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// A device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name for `--device`, such as `cuda:0`.
    pub device: String,
    /// The name that the driver reports.
    pub name: String,
    /// The API through which it is used, such as `Vulkan`.
    pub interface: String,
    /// The kind of device: `discrete GPU`, `integrated GPU`, `virtual GPU`, `software`, `processor` or `other`.
    pub kind: &'static str,
    /// The driver and its version.
    pub driver: String,
}

/// The state of a backend in this build and on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendState {
    /// `cpu`, `cuda` and so on.
    pub name: &'static str,
    /// True if the backend is in this build; otherwise the feature of the same name adds it.
    pub compiled: bool,
    /// The devices on this machine, or the reason why there are none. If the backend is not in the build, only devices of CUDA
    /// and ROCm can be listed.
    pub devices: Result<Vec<Found>, String>,
}

/// All backends, with true for those in this build.
pub const BACKENDS: [(&str, bool); 6] = [
    ("cpu", true),
    ("cuda", cfg!(feature = "cuda")),
    ("metal", cfg!(feature = "metal")),
    ("rocm", cfg!(feature = "rocm")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("wgpu", cfg!(feature = "wgpu")),
];

/// Returns the state of every backend, with the devices it finds on this machine.
///
/// ```
/// let states = coin::device::states();
/// assert!(states[0].name == "cpu" && states[0].compiled);
/// assert_eq!(states[0].devices.as_ref().map(Vec::len), Ok(1));
/// ```
pub fn states() -> Vec<BackendState> {
    BACKENDS.map(|(name, compiled)| BackendState { name, compiled, devices: found(name) }).into()
}

/// Returns the names of the devices that this build can use on this machine: `cpu`, `cuda:0`, `cuda:1` and so on.
///
/// If `wgpu` is in the build, `metal` and `vulkan` are omitted, because `wgpu` uses the same adapters.
pub fn present() -> Vec<String> {
    let usable = states().into_iter().filter(|state| state.compiled);
    let all = usable.filter(|state| !(cfg!(feature = "wgpu") && ["metal", "vulkan"].contains(&state.name)));
    all.flat_map(|state| state.devices.unwrap_or_default()).map(|found| found.device).collect()
}

/// Returns the device called `name`: a backend and, for a GPU, an optional index, such as `cuda:1`. Without an index this is
/// the first device, or for `wgpu`, `vulkan` and `metal` the device that the runtime prefers.
///
/// # Errors
/// The backend does not exist; it is not in this build (the message names the feature that adds it); or the machine does not
/// have a driver or the device, or the device cannot be opened.
///
/// ```
/// assert!(coin::device::named("cpu").is_ok());
/// assert!(coin::device::named("abacus").unwrap_err().to_string().contains("`abacus`"));
/// ```
pub fn named(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(name.to_owned());
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (backend, Some(index.parse::<usize>().map_err(|_| unknown())?)),
        None => (name, None),
    };
    match BACKENDS.iter().find(|(known, _)| *known == backend) {
        None => return Err(unknown()),
        Some(("cpu", _)) => return if index.is_none() { Ok(Device::flex()) } else { Err(unknown()) },
        Some((_, false)) => return Err(DeviceError::NotCompiled(name.to_owned())),
        Some(_) => {}
    }
    let found = found(backend).map_err(|why| DeviceError::Absent { name: name.to_owned(), why })?;
    if index.unwrap_or(0) >= found.len() {
        return Err(DeviceError::Index { name: name.to_owned(), found });
    }
    open(backend, index).map_err(|why| DeviceError::Refused { name: name.to_owned(), why })
}

/// Returns the devices called `names`, which are separated by commas. A name may be repeated.
///
/// # Errors
/// Same as [`named`].
///
/// ```
/// assert_eq!(coin::device::all_named("cpu, cpu").map(|devices| devices.len()), Ok(2));
/// ```
pub fn all_named(names: &str) -> Result<Vec<Device>, DeviceError> {
    names.split(',').map(|name| named(name.trim())).collect()
}

/// True if burn has native collectives between the devices called `names`. burn 0.22.1 has them for two or more distinct CUDA
/// devices.
pub fn have_collectives(names: &str) -> bool {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let different = names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
    names.len() > 1 && different && names.iter().all(|name| name.starts_with("cuda"))
}

/// Returns the devices of a backend, at least one, or the reason why there are none.
fn found(backend: &str) -> Result<Vec<Found>, String> {
    let found = match backend {
        "cpu" => vec![Found {
            device: "cpu".to_owned(),
            name: format!("{} threads", std::thread::available_parallelism().map_or(1, usize::from)),
            interface: "burn-flex".to_owned(),
            kind: "processor",
            driver: String::new(),
        }],
        "cuda" => driver::cuda()?,
        "rocm" => driver::rocm()?,
        _ => adapters::list(backend)?,
    };
    match found.is_empty() {
        true => Err("the driver is installed but did not find a device".to_owned()),
        false => Ok(found),
    }
}

/// Opens the device at `index`, which must exist.
fn open(backend: &str, index: Option<usize>) -> Result<Device, String> {
    match backend {
        #[cfg(feature = "cuda")]
        "cuda" => {
            driver::check_kernel_compiler()?;
            Ok(Device::cuda(index.unwrap_or(0)))
        }
        #[cfg(feature = "rocm")]
        "rocm" => Ok(Device::rocm(index.unwrap_or(0))),
        _ => adapters::open(backend, index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_explain_the_name() {
        assert_eq!(named("cpu:0").unwrap_err(), DeviceError::Unknown("cpu:0".to_owned()));
        assert_eq!(named("cuda:x").unwrap_err(), DeviceError::Unknown("cuda:x".to_owned()));
        for (backend, compiled) in BACKENDS {
            if !compiled {
                let message = named(&format!("{backend}:0")).unwrap_err().to_string();
                assert!(message.contains(&format!("--features {backend}")), "{message}");
            }
        }
    }

    #[test]
    fn an_index_out_of_range_reports_the_count() {
        for state in states().into_iter().filter(|state| state.compiled && state.name != "cpu") {
            let message = named(&format!("{}:4095", state.name)).unwrap_err().to_string();
            match state.devices {
                Ok(found) => {
                    assert!(message.contains(&format!("this machine has {} device", found.len())), "{message}");
                    assert!(message.contains(&found[0].name), "{message}");
                }
                Err(why) => assert!(message.contains(&why), "{message}"),
            }
        }
    }

    #[test]
    fn the_message_lists_available_devices() {
        let found = |index: usize| Found {
            device: format!("wgpu:{index}"),
            name: format!("card {index}"),
            interface: "Vulkan".to_owned(),
            kind: "discrete GPU",
            driver: String::new(),
        };
        let error = DeviceError::Index { name: "wgpu:2".to_owned(), found: vec![found(0), found(1)] };
        let expected = "device `wgpu:2` does not exist; this machine has 2 devices of this kind: wgpu:0 (card 0), \
                        wgpu:1 (card 1)";
        assert_eq!(error.to_string(), expected);
    }
}
