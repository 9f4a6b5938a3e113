//! The one place that turns a name such as `cpu` or `cuda:0` into a device.
//!
//! burn opens a GPU on first use, in a thread of its own, which panics where there is none. So a driver is looked for, and
//! its devices are counted, before burn is asked for one.

mod adapters;
mod driver;

use std::fmt;

use burn::tensor::Device;

/// A device name that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// No backend has this name.
    Unknown(String),
    /// The backend is not in this build.
    NotCompiled(String),
    /// This machine has nothing for the backend, and why.
    Absent {
        /// The name that was asked for.
        name: String,
        /// What is missing.
        why: String,
    },
    /// The index is beyond the machine's devices.
    Index {
        /// The name that was asked for.
        name: String,
        /// The devices there are.
        found: Vec<Found>,
    },
    /// The driver refused to open the device.
    Refused {
        /// The name that was asked for.
        name: String,
        /// The driver's words.
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
            DeviceError::Absent { name, why } => write!(f, "device `{name}` is not on this machine: {why}"),
            DeviceError::Index { name, found } => {
                let devices = if found.len() == 1 { "device" } else { "devices" };
                write!(f, "device `{name}` does not exist; this machine has {} {devices} of its kind", found.len())?;
                let names = found.iter().map(|found| format!("{} ({})", found.device, found.name));
                write!(f, ": {}", names.collect::<Vec<_>>().join(", "))
            }
            DeviceError::Refused { name, why } => write!(f, "device `{name}` cannot be opened: {why}"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// A device that this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What `--device` calls it, such as `cuda:0`.
    pub device: String,
    /// What its driver calls it.
    pub name: String,
    /// The interface it is reached by, such as `Vulkan`.
    pub interface: String,
    /// What it is: `discrete GPU`, `integrated GPU`, `virtual GPU`, `software`, `processor` or `other`.
    pub kind: &'static str,
    /// Its driver, with the version.
    pub driver: String,
}

/// A backend: whether this build has it, and what it would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendState {
    /// `cpu`, `cuda` and so on.
    pub name: &'static str,
    /// Whether it is in this build; else the feature of its name adds it.
    pub compiled: bool,
    /// The devices it has here, or why there are none. Without the backend in the build only those of CUDA and ROCm can be
    /// told.
    pub devices: Result<Vec<Found>, String>,
}

/// The backends a build may have, with whether this one has them.
pub const BACKENDS: [(&str, bool); 6] = [
    ("cpu", true),
    ("cuda", cfg!(feature = "cuda")),
    ("metal", cfg!(feature = "metal")),
    ("rocm", cfg!(feature = "rocm")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("wgpu", cfg!(feature = "wgpu")),
];

/// Every backend, with the devices it finds on this machine.
///
/// ```
/// let states = coin::device::states();
/// assert!(states[0].name == "cpu" && states[0].compiled);
/// assert_eq!(states[0].devices.as_ref().map(Vec::len), Ok(1));
/// ```
pub fn states() -> Vec<BackendState> {
    BACKENDS.map(|(name, compiled)| BackendState { name, compiled, devices: found(name) }).into()
}

/// The names of the devices that this build can use here: `cpu`, `cuda:0`, `cuda:1` and so on.
///
/// The interfaces below `wgpu`, as `vulkan`, are left out where `wgpu` reaches the same adapters.
pub fn present() -> Vec<String> {
    let usable = states().into_iter().filter(|state| state.compiled);
    let all = usable.filter(|state| !(cfg!(feature = "wgpu") && ["metal", "vulkan"].contains(&state.name)));
    all.flat_map(|state| state.devices.unwrap_or_default()).map(|found| found.device).collect()
}

/// The device called `name`: a backend, and for a GPU an optional index, such as `cuda:1`. Without an index the first one
/// is meant, with `wgpu`, `vulkan` and `metal` the one the runtime prefers.
///
/// # Errors
/// No such backend; one that is not compiled in, with the feature that adds it; or this machine has no driver, no such
/// device, or does not let it be opened.
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

/// The devices of a backend, at least one, or why there are none.
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
        true => Err("the driver is there, but it has no device".to_owned()),
        false => Ok(found),
    }
}

/// The device at `index`, which is known to be there.
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
    fn names_that_cannot_be_served_say_why() {
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
    fn an_index_beyond_the_devices_counts_them() {
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
    fn a_message_lists_what_there_is() {
        let found = |index: usize| Found {
            device: format!("wgpu:{index}"),
            name: format!("card {index}"),
            interface: "Vulkan".to_owned(),
            kind: "discrete GPU",
            driver: String::new(),
        };
        let error = DeviceError::Index { name: "wgpu:2".to_owned(), found: vec![found(0), found(1)] };
        let expected = "device `wgpu:2` does not exist; this machine has 2 devices of its kind: wgpu:0 (card 0), \
                        wgpu:1 (card 1)";
        assert_eq!(error.to_string(), expected);
    }
}
