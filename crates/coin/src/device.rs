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
    /// The kind of device.
    pub kind: DeviceKind,
    /// The driver and its version.
    pub driver: String,
}

/// The kind of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The CPU, used directly.
    Processor,
    /// A GPU with its own memory.
    DiscreteGpu,
    /// A GPU that shares the memory of the CPU.
    IntegratedGpu,
    /// A GPU of a virtual machine.
    VirtualGpu,
    /// A graphics driver that computes on the CPU.
    Software,
    /// A kind that the driver does not report.
    Other,
}

impl DeviceKind {
    /// Returns the name that `coin devices` prints.
    pub fn name(self) -> &'static str {
        match self {
            DeviceKind::Processor => "processor",
            DeviceKind::DiscreteGpu => "discrete GPU",
            DeviceKind::IntegratedGpu => "integrated GPU",
            DeviceKind::VirtualGpu => "virtual GPU",
            DeviceKind::Software => "software",
            DeviceKind::Other => "other",
        }
    }
}

/// The state of a backend in this build and on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendState {
    /// The backend.
    pub backend: Backend,
    /// The devices on this machine, or the reason why it does not have any. If the backend is not in the build, only devices of
    /// CUDA and ROCm can be listed.
    pub devices: Result<Vec<Found>, String>,
}

/// A backend of burn. The GPU backends are features of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The CPU (`burn-flex`), in every build.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// Apple GPUs.
    Metal,
    /// AMD GPUs.
    Rocm,
    /// GPUs through Vulkan.
    Vulkan,
    /// GPUs through the graphics API that wgpu prefers.
    Wgpu,
}

impl Backend {
    /// All backends.
    pub const ALL: [Backend; 6] =
        [Backend::Cpu, Backend::Cuda, Backend::Metal, Backend::Rocm, Backend::Vulkan, Backend::Wgpu];

    /// The name, which is also the name of the feature that adds the backend to a build.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cpu => "cpu",
            Backend::Cuda => "cuda",
            Backend::Metal => "metal",
            Backend::Rocm => "rocm",
            Backend::Vulkan => "vulkan",
            Backend::Wgpu => "wgpu",
        }
    }

    /// True if the backend is in this build.
    pub fn is_compiled(self) -> bool {
        match self {
            Backend::Cpu => true,
            Backend::Cuda => cfg!(feature = "cuda"),
            Backend::Metal => cfg!(feature = "metal"),
            Backend::Rocm => cfg!(feature = "rocm"),
            Backend::Vulkan => cfg!(feature = "vulkan"),
            Backend::Wgpu => cfg!(feature = "wgpu"),
        }
    }

    /// The backend called `name`, if there is one.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Returns the state of every backend, with the devices it finds on this machine.
///
/// ```
/// let states = coin::device::states();
/// assert_eq!(states[0].backend, coin::device::Backend::Cpu);
/// assert_eq!(states[0].devices.as_ref().map(Vec::len), Ok(1));
/// ```
pub fn states() -> Vec<BackendState> {
    Backend::ALL.map(|backend| BackendState { backend, devices: found(backend) }).into()
}

/// Returns the names of the devices that this build can use on this machine: `cpu`, `cuda:0`, `cuda:1` and so on.
///
/// If `wgpu` is in the build, `metal` and `vulkan` are omitted, because `wgpu` uses the same adapters.
pub fn present() -> Vec<String> {
    let usable = states().into_iter().filter(|state| state.backend.is_compiled());
    let twice = |backend| Backend::Wgpu.is_compiled() && matches!(backend, Backend::Metal | Backend::Vulkan);
    let all = usable.filter(|state| !twice(state.backend));
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
    let backend = match (Backend::named(backend), index) {
        (Some(Backend::Cpu), None) => return Ok(Device::flex()),
        (None | Some(Backend::Cpu), _) => return Err(unknown()),
        (Some(backend), _) if !backend.is_compiled() => return Err(DeviceError::NotCompiled(name.to_owned())),
        (Some(backend), _) => backend,
    };
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

/// Returns the devices of a backend, at least one, or the reason why the machine does not have any.
fn found(backend: Backend) -> Result<Vec<Found>, String> {
    let found = match backend {
        Backend::Cpu => vec![Found {
            device: "cpu".to_owned(),
            name: format!("{} threads", std::thread::available_parallelism().map_or(1, usize::from)),
            interface: "burn-flex".to_owned(),
            kind: DeviceKind::Processor,
            driver: String::new(),
        }],
        Backend::Cuda => driver::cuda()?,
        Backend::Rocm => driver::rocm()?,
        Backend::Metal | Backend::Vulkan | Backend::Wgpu => adapters::list(backend)?,
    };
    match found.is_empty() {
        true => Err("the driver is installed but did not find a device".to_owned()),
        false => Ok(found),
    }
}

/// Opens the device at `index`, which must exist.
fn open(backend: Backend, index: Option<usize>) -> Result<Device, String> {
    match backend {
        #[cfg(feature = "cuda")]
        Backend::Cuda => {
            driver::check_kernel_compiler()?;
            Ok(Device::cuda(index.unwrap_or(0)))
        }
        #[cfg(feature = "rocm")]
        Backend::Rocm => Ok(Device::rocm(index.unwrap_or(0))),
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
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_compiled()) {
            let message = named(&format!("{backend}:0")).unwrap_err().to_string();
            assert!(message.contains(&format!("--features {backend}")), "{message}");
        }
    }

    #[test]
    fn an_index_out_of_range_reports_the_count() {
        let usable = |backend: Backend| backend.is_compiled() && backend != Backend::Cpu;
        for state in states().into_iter().filter(|state| usable(state.backend)) {
            let message = named(&format!("{}:4095", state.backend)).unwrap_err().to_string();
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
            kind: DeviceKind::DiscreteGpu,
            driver: String::new(),
        };
        let error = DeviceError::Index { name: "wgpu:2".to_owned(), found: vec![found(0), found(1)] };
        let expected = "device `wgpu:2` does not exist; this machine has 2 devices of this kind: wgpu:0 (card 0), \
                        wgpu:1 (card 1)";
        assert_eq!(error.to_string(), expected);
    }
}
