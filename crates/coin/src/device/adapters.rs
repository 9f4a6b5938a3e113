//! The adapters of `wgpu` and of the graphics APIs below it.

#[cfg(any(feature = "metal", feature = "vulkan", feature = "wgpu"))]
mod compiled {
    use std::collections::BTreeMap;
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    use burn::tensor::wgpu::{WgpuBackend, WgpuInitError, wgpu};
    use burn::tensor::{Device, DeviceKind};

    use super::super::{Backend, DeviceKind as Kind, Found};

    /// The adapters of a backend, in the order of their indices.
    pub(crate) fn list(backend: Backend) -> Result<Vec<Found>, String> {
        let adapters = adapters(backend);
        if adapters.is_empty() {
            return Err(match backend {
                Backend::Metal => "no Metal device was found".to_owned(),
                Backend::Vulkan => format!("no Vulkan driver was found{HINT}"),
                _ => format!("no Vulkan, Metal, DirectX 12 or OpenGL driver with compute support was found{HINT}"),
            });
        }
        let found = adapters.into_iter().enumerate().map(|(index, (info, _))| Found {
            device: format!("{backend}:{index}"),
            name: info.name,
            interface: format!("{:?}", info.backend),
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => Kind::DiscreteGpu,
                wgpu::DeviceType::IntegratedGpu => Kind::IntegratedGpu,
                wgpu::DeviceType::VirtualGpu => Kind::VirtualGpu,
                wgpu::DeviceType::Cpu => Kind::Software,
                wgpu::DeviceType::Other => Kind::Other,
            },
            driver: [info.driver, info.driver_info].join(" ").trim().to_owned(),
        });
        Ok(found.collect())
    }

    /// Advice for the case that no adapter is found.
    const HINT: &str = if cfg!(target_os = "linux") {
        "; install the graphics card's driver, or mesa-vulkan-drivers and libvulkan1 for a software adapter"
    } else {
        "; install the graphics card's driver"
    };

    /// Opens the device at `index`, or the device that the runtime prefers.
    pub(crate) fn open(backend: Backend, index: Option<usize>) -> Result<Device, String> {
        let kind = match index {
            None => DeviceKind::DefaultDevice,
            Some(index) => {
                let adapters = adapters(backend);
                let only = adapters.len() == 1;
                match adapters.into_iter().nth(index) {
                    Some((_, Some(kind))) => kind,
                    Some(_) if only => DeviceKind::DefaultDevice,
                    Some(_) => return Err(format!("burn cannot select this adapter by index; use `{backend}`")),
                    None => return Err("the adapter is no longer available".to_owned()),
                }
            }
        };
        let interface = match backend {
            Backend::Metal => WgpuBackend::Metal,
            Backend::Vulkan => WgpuBackend::Vulkan,
            _ => WgpuBackend::Auto,
        };
        // Opened here, so that a failure is an error; burn would open it on first use and panic. A device can only be opened
        // once.
        static OPENED: Mutex<BTreeMap<String, Device>> = Mutex::new(BTreeMap::new());
        let mut opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let key = format!("{interface:?} {kind:?}");
        if let Some(device) = opened.get(&key) {
            return Ok(device.clone());
        }
        let options = Device::wgpu_options().device_kind(kind.clone()).graphics_api(interface);
        let device = match options.init() {
            Ok(device) => device,
            // A program that uses this library may have opened it already.
            Err(WgpuInitError::Registration { .. }) if backend == Backend::Wgpu => Device::wgpu(kind),
            Err(error) => return Err(error.to_string()),
        };
        opened.insert(key, device.clone());
        Ok(device)
    }

    /// Returns the adapters of a backend with burn's name for each: the index among adapters of the same type, or `None` if burn
    /// does not have a name for the type.
    fn adapters(backend: Backend) -> Vec<(wgpu::AdapterInfo, Option<DeviceKind>)> {
        // The Vulkan loader does not reliably support creating and destroying instances on several threads at once.
        static PROBING: Mutex<()> = Mutex::new(());
        let _probing = PROBING.lock();
        let interfaces: &[wgpu::Backend] = match backend {
            Backend::Metal => &[wgpu::Backend::Metal],
            Backend::Vulkan => &[wgpu::Backend::Vulkan],
            _ if cfg!(target_os = "macos") => &[wgpu::Backend::Metal],
            _ => &[wgpu::Backend::Vulkan, wgpu::Backend::Dx12, wgpu::Backend::Gl],
        };
        // As in the runtime: the first API with a real GPU, otherwise the first with any adapter.
        let mut chosen = Vec::new();
        for &interface in interfaces {
            let adapters = of_interface(interface);
            let real = adapters.iter().any(|adapter| adapter.device_type != wgpu::DeviceType::Cpu);
            if real || chosen.is_empty() {
                chosen = adapters;
            }
            if real {
                break;
            }
        }
        let mut seen = [0; 3];
        let mut next = |place: usize| {
            seen[place] += 1;
            seen[place] - 1
        };
        let mut software = false;
        let named = chosen.into_iter().filter_map(|adapter| {
            let kind = match adapter.device_type {
                wgpu::DeviceType::DiscreteGpu => Some(DeviceKind::DiscreteGpu(next(0))),
                wgpu::DeviceType::IntegratedGpu => Some(DeviceKind::IntegratedGpu(next(1))),
                wgpu::DeviceType::VirtualGpu => Some(DeviceKind::VirtualGpu(next(2))),
                // burn has a name for only one software adapter.
                wgpu::DeviceType::Cpu if software => return None,
                wgpu::DeviceType::Cpu => {
                    software = true;
                    Some(DeviceKind::Cpu)
                }
                wgpu::DeviceType::Other => None,
            };
            Some((adapter, kind))
        });
        named.collect()
    }

    fn of_interface(interface: wgpu::Backend) -> Vec<wgpu::AdapterInfo> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: interface.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        ready(instance.enumerate_adapters(interface.into())).iter().map(wgpu::Adapter::get_info).collect()
    }

    /// Polls a future to completion. Meant for futures that do not wait, such as enumeration outside a browser.
    fn ready<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            std::thread::yield_now();
        }
    }
}

#[cfg(any(feature = "metal", feature = "vulkan", feature = "wgpu"))]
pub(super) use compiled::{list, open};

#[cfg(not(any(feature = "metal", feature = "vulkan", feature = "wgpu")))]
pub(super) use absent::{list, open};

/// Stand-ins for builds without wgpu, which cannot list adapters.
#[cfg(not(any(feature = "metal", feature = "vulkan", feature = "wgpu")))]
mod absent {
    use burn::tensor::Device;

    use super::super::{Backend, Found};

    pub(crate) fn list(backend: Backend) -> Result<Vec<Found>, String> {
        Err(format!("build with `--features {backend}` to list its adapters"))
    }

    pub(crate) fn open(backend: Backend, _index: Option<usize>) -> Result<Device, String> {
        Err(format!("`{backend}` is not in this build"))
    }
}
