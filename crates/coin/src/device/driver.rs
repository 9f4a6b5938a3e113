//! Lists the devices of CUDA and ROCm by querying their drivers. Works in any build, because the driver libraries are loaded at
//! run time if they are installed.
//!
//! Sources: CUDA driver API, "Initialization" and "Device management"; HIP runtime API, "Device management".

use std::ffi::{c_char, c_int, c_uint};
#[cfg(any(feature = "cuda", test))]
use std::path::PathBuf;

use libloading::{Library, Symbol};

use super::{DeviceKind, Found};

/// Buffer size for a device name, in bytes.
const NAME: usize = 256;

/// The devices of the CUDA driver.
pub(super) fn cuda() -> Result<Vec<Found>, String> {
    let library = load(if cfg!(windows) { &["nvcuda.dll"] } else { &["libcuda.so.1", "libcuda.so"] })
        .map_err(|error| format!("the CUDA driver was not found ({error}); install the NVIDIA driver"))?;
    let call = Calls { library, name: "CUDA driver" };
    // SAFETY: the signatures match the CUDA driver API.
    unsafe {
        match call.status(call.get::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")?(0), "cuInit") {
            Ok(()) => {}
            // CUDA_ERROR_NO_DEVICE
            Err((100, _)) => return Ok(Vec::new()),
            Err((_, message)) => return Err(message),
        }
        let version = call.number("cuDriverGetVersion")?;
        let count = call.number("cuDeviceGetCount")?;
        let name_of = call.get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("cuDeviceGetName")?;
        let driver = format!("CUDA {}.{}", version / 1000, version % 1000 / 10);
        (0..count).map(|index| call.device("cuda", *name_of, index, &driver)).collect()
    }
}

/// The devices of the HIP runtime.
pub(super) fn rocm() -> Result<Vec<Found>, String> {
    let names: &[&str] = if cfg!(windows) { &["amdhip64.dll"] } else { &["libamdhip64.so", "libamdhip64.so.6"] };
    let library = load(names).map_err(|error| format!("the HIP runtime was not found ({error}); install ROCm"))?;
    let call = Calls { library, name: "HIP runtime" };
    // SAFETY: the signatures match the HIP runtime API.
    unsafe {
        let count = match call.number("hipGetDeviceCount") {
            Ok(count) => count,
            // hipErrorNoDevice
            Err(message) if message.ends_with(" 100") => 0,
            Err(message) => return Err(message),
        };
        let version = call.number("hipRuntimeGetVersion")?;
        let name_of = call.get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("hipDeviceGetName")?;
        let driver = format!("HIP {}.{}", version / 10_000_000, version / 100_000 % 100);
        (0..count).map(|index| call.device("rocm", *name_of, index, &driver)).collect()
    }
}

/// Checks for NVRTC and the CUDA headers, which compile kernels at run time, in builds that need them (`cuda-nvrtc`).
///
/// The headers are searched in the same folders as in cubecl-cuda 0.11, which panics if they are missing.
#[cfg(any(feature = "cuda", test))]
pub(super) fn check_kernel_compiler() -> Result<(), String> {
    if !cfg!(feature = "cuda-nvrtc") {
        return Ok(());
    }
    let names: &[&str] = match cfg!(windows) {
        true => &["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"],
        false => &["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"],
    };
    load(names)
        .map_err(|error| format!("kernels are compiled with NVRTC, which was not found ({error}); install it"))?;
    cuda_headers(std::env::var_os("CUDA_PATH").map(PathBuf::from)).map(drop)
}

/// Returns the folder of the CUDA headers; `given` is the value of `CUDA_PATH`.
#[cfg(any(feature = "cuda", test))]
fn cuda_headers(given: Option<PathBuf>) -> Result<PathBuf, String> {
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr", "C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA"];
    let folders = match given {
        Some(given) => vec![given],
        None => usual.map(PathBuf::from).to_vec(),
    };
    let headers = folders.into_iter().map(|folder| folder.join("include")).find(|path| path.join("cuda.h").exists());
    headers.ok_or_else(|| {
        "kernels need the CUDA headers; set CUDA_PATH to a folder that contains include/cuda.h".to_owned()
    })
}

/// Loads the first library of these names that can be loaded. It is never unloaded, because drivers may not support that.
fn load(names: &[&str]) -> Result<&'static Library, String> {
    let mut fault = String::new();
    for name in names {
        // SAFETY: loading a vendor's driver runs its initializers, as in any program that uses it.
        match unsafe { Library::new(name) } {
            Ok(library) => return Ok(Box::leak(Box::new(library))),
            Err(error) if fault.is_empty() => fault = error.to_string(),
            Err(_) => {}
        }
    }
    Err(fault)
}

/// The functions of a driver.
struct Calls<'a> {
    library: &'a Library,
    name: &'static str,
}

impl<'a> Calls<'a> {
    /// # Safety
    /// `T` must be the function's type.
    unsafe fn get<T>(&self, function: &str) -> Result<Symbol<'a, T>, String> {
        // SAFETY: guaranteed by the caller.
        unsafe { self.library.get(function.as_bytes()) }
            .map_err(|_| format!("the {} does not have the function {function}", self.name))
    }

    fn status(&self, status: c_int, function: &str) -> Result<(), (c_int, String)> {
        match status {
            0 => Ok(()),
            _ => Err((status, format!("the {} failed: {function} returned {status}", self.name))),
        }
    }

    /// Returns the number that a function writes to its only argument.
    ///
    /// # Safety
    /// The function must be of type `int (int *)`.
    unsafe fn number(&self, function: &str) -> Result<c_int, String> {
        let mut value = 0;
        // SAFETY: guaranteed by the caller.
        let status = unsafe { self.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(function)?(&mut value) };
        self.status(status, function).map(|()| value).map_err(|(_, message)| message)
    }

    /// # Safety
    /// `name_of` must write at most its second argument's bytes to its first.
    unsafe fn device(
        &self,
        backend: &str,
        name_of: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
        index: c_int,
        driver: &str,
    ) -> Result<Found, String> {
        let mut name = [0u8; NAME];
        // SAFETY: the buffer has the given length.
        let status = unsafe { name_of(name.as_mut_ptr().cast(), NAME as c_int, index) };
        self.status(status, "the query for the device name").map_err(|(_, message)| message)?;
        let text: Vec<u8> = name.into_iter().take_while(|byte| *byte != 0).collect();
        Ok(Found {
            device: format!("{backend}:{index}"),
            name: String::from_utf8_lossy(&text).into_owned(),
            interface: self.name.to_owned(),
            kind: DeviceKind::DiscreteGpu,
            driver: driver.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let error = load(&["libno_such_driver.so.1", "libno_such_driver.so"]).unwrap_err();
        assert!(error.contains("libno_such_driver.so.1"), "{error}");
    }

    #[test]
    fn headers_are_searched_in_cuda_path() {
        let dir = tempfile::tempdir().unwrap();
        let given = || cuda_headers(Some(dir.path().to_owned()));
        assert!(given().unwrap_err().contains("CUDA_PATH"));
        std::fs::create_dir(dir.path().join("include")).unwrap();
        std::fs::write(dir.path().join("include/cuda.h"), "").unwrap();
        assert_eq!(given(), Ok(dir.path().join("include")));
        if !cfg!(feature = "cuda-nvrtc") {
            assert_eq!(check_kernel_compiler(), Ok(()));
        }
    }

    /// Uses the C library, which every machine that runs this test has and which does not have CUDA functions.
    #[cfg(target_os = "linux")]
    #[test]
    fn functions_are_called_and_missing_ones_named() {
        let call = Calls { library: load(&["libc.so.6"]).unwrap(), name: "C library" };
        // SAFETY: `abs` is `int (int)`.
        let abs = unsafe { call.get::<unsafe extern "C" fn(c_int) -> c_int>("abs") }.unwrap();
        assert_eq!(unsafe { abs(-7) }, 7);
        let missing = unsafe { call.number("cuDeviceGetCount") }.unwrap_err();
        assert_eq!(missing, "the C library does not have the function cuDeviceGetCount");
        assert_eq!(call.status(3, "f").unwrap_err(), (3, "the C library failed: f returned 3".to_owned()));
    }
}
