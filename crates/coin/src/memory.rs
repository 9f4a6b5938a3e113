//! Detects that a device ran out of memory.
//!
//! If an allocation fails, burn panics in the calling thread or in the device's thread, with the message of the runtime
//! (cubecl-server 0.11, `IoError`; wgpu; the CUDA and HIP drivers). [`catch`] converts such a panic, and an error reported by a
//! device, to a [`Shortage`]. It ignores the text of other errors, because a path or a server's message may also mention memory.
//! On the CPU, nothing can be caught: Rust's allocator ends the process, unless Linux ends it first.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, Once};

/// A failed allocation on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Size of the failed allocation in bytes, if the runtime reports it.
    pub bytes: Option<u64>,
    /// True if the allocation exceeds the maximum size of a buffer, so it would fail on an empty device too.
    pub never_fits: bool,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.map_or("more memory".to_owned(), size);
        match self.never_fits {
            true => write!(f, "one tensor needs {bytes}, which is more than the device allows for one buffer"),
            false => write!(f, "the device is out of memory: it cannot allocate {bytes}"),
        }
    }
}

/// A number of bytes in a readable unit.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

impl Shortage {
    /// Returns the shortage that a message of burn, a runtime or a driver reports, if it reports one.
    ///
    /// ```
    /// use coin::memory::Shortage;
    /// let shortage = Shortage::in_text("out of device memory allocating 2147483648 bytes").expect("a shortage");
    /// assert_eq!(shortage.bytes, Some(2147483648));
    /// assert_eq!(shortage.to_string(), "the device is out of memory: it cannot allocate 2.0 GiB");
    /// assert_eq!(Shortage::in_text("row 3 is empty"), None);
    /// ```
    pub fn in_text(text: &str) -> Option<Self> {
        let number_after = |start: &str| {
            let (_, rest) = text.split_once(start)?;
            let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        const TOO_BIG: &str = "can't allocate buffer of size:";
        if text.contains(TOO_BIG) {
            return Some(Shortage { bytes: number_after(TOO_BIG), never_fits: true });
        }
        for start in ["out of device memory allocating", "Can't allocate"] {
            if text.contains(start) {
                return Some(Shortage { bytes: number_after(start), never_fits: false });
            }
        }
        // wgpu, CUDA, HIP and Vulkan.
        let words = ["Out of Memory", "out of memory", "OUT_OF_MEMORY", "hipErrorOutOfMemory", "OUT_OF_DEVICE_MEMORY"];
        words.iter().any(|word| text.contains(word)).then_some(Shortage { bytes: None, never_fits: false })
    }
}

/// The first shortage in any thread since the last call of [`catch`] began.
static SEEN: Mutex<Option<Shortage>> = Mutex::new(None);

fn seen() -> std::sync::MutexGuard<'static, Option<Shortage>> {
    SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Returns the message of the device that caused `error`, if a device caused it.
///
/// ```
/// let path = std::io::Error::other("no such folder: out of memory");
/// assert_eq!(coin::memory::words_of_device(&path), None);
/// ```
pub fn words_of_device(error: &(dyn Error + 'static)) -> Option<String> {
    use coin_loss::collective::CollectiveError;
    use coin_train::TrainError;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(device) = cause.downcast_ref::<coin_model::DeviceError>() {
            return Some(device.to_string());
        }
        // A transparent error does not return the inner error as its source.
        let collective = match cause.downcast_ref::<TrainError>() {
            Some(TrainError::Collective(error)) => Some(error),
            _ => cause.downcast_ref::<CollectiveError>(),
        };
        if let Some(CollectiveError::Device(words)) = collective {
            return Some(words.clone());
        }
        next = cause.source();
    }
    None
}

/// True if the source file `file` belongs to a runtime of burn or to a crate of this project that calls burn: the location of a
/// panic in burn is the caller's.
fn computes(file: &str) -> bool {
    const CRATES: [&str; 8] = ["burn-", "cubecl-", "wgpu-", "cudarc-", "gpu-", "coin-model", "coin-train", "coin-loss"];
    file.split(['/', '\\']).any(|part| CRATES.iter().any(|name| part.starts_with(name)))
}

/// Records a panic with the message `text` in the source file `file`. Returns true if it is a shortage or may result from one.
fn hear(file: &str, text: Option<&str>) -> bool {
    let mut seen = seen();
    if let Some(shortage) = text.filter(|_| computes(file)).and_then(Shortage::in_text) {
        seen.get_or_insert(shortage);
    }
    seen.is_some()
}

/// Runs `work` and returns a shortage of memory, reported by a panic or by an error, as a separate error. `from_device` returns
/// the message of the device that caused an error, if a device caused it; see [`words_of_device`].
///
/// Other panics are resumed. The first call replaces the panic hook of the process: panics that report a shortage are not
/// printed. The function is meant for a whole command. If it is called in several threads at the same time, a call may return the
/// shortage of another.
///
/// # Errors
/// The shortage. The result of `work` is the inner result.
///
/// ```
/// let failed = || Err::<(), _>("out of device memory allocating 99 bytes".to_owned());
/// let of_device = coin::memory::catch(failed, |error| Some(error.clone()));
/// assert_eq!(of_device.unwrap_err().bytes, Some(99));
/// // An error with the same text that does not come from a device is returned unchanged.
/// assert!(coin::memory::catch(failed, |_| None).is_ok());
/// ```
pub fn catch<T, E>(
    work: impl FnOnce() -> Result<T, E>,
    from_device: impl FnOnce(&E) -> Option<String>,
) -> Result<Result<T, E>, Shortage> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |location| location.file());
            // Panics in other threads that result from a shortage are not printed either.
            if !hear(file, info.payload_as_str()) {
                before(info);
            }
        }));
    });
    *seen() = None;
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let seen = seen().take();
    match (outcome, seen) {
        (Ok(Ok(value)), _) => Ok(Ok(value)),
        (Ok(Err(error)), seen) => match seen.or_else(|| from_device(&error).as_deref().and_then(Shortage::in_text)) {
            Some(shortage) => Err(shortage),
            None => Ok(Err(error)),
        },
        (Err(_), Some(shortage)) => Err(shortage),
        (Err(panic), None) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_runtimes_are_known() {
        let of = |text: &str| Shortage::in_text(text).map(|shortage| (shortage.bytes, shortage.never_fits));
        assert_eq!(of("reason: \"can't allocate buffer of size: 17179869184\\n  0: x\""), Some((Some(1 << 34), true)));
        assert_eq!(of("Can't allocate 4096 bytes: every page size the memory"), Some((Some(4096), false)));
        for text in ["wgpu error: Out of Memory", "CUDA_ERROR_OUT_OF_MEMORY: out of memory", "hipErrorOutOfMemory"] {
            assert_eq!(of(text), Some((None, false)), "{text}");
        }
        assert_eq!(of("index out of bounds"), None);
        let text = |bytes| Shortage { bytes: Some(bytes), never_fits: true }.to_string();
        assert_eq!(text(1 << 34), "one tensor needs 16.0 GiB, which is more than the device allows for one buffer");
        assert_eq!(size(1_572_864), "1.5 MiB");
    }

    /// A source file of a runtime.
    const RUNTIME: &str = "/home/u/.cargo/registry/src/index.crates.io-1/cubecl-server-0.11.3/src/memory.rs";

    #[test]
    fn a_shortage_in_another_thread_explains_the_failure() {
        let work = || {
            let device = std::thread::spawn(|| hear(RUNTIME, Some("out of device memory allocating 4096 bytes")));
            assert!(device.join().unwrap());
            Err::<(), _>("rank 1 is gone")
        };
        assert_eq!(catch(work, |_| None).unwrap_err(), Shortage { bytes: Some(4096), never_fits: false });
        assert_eq!(catch(|| Err::<(), _>("rank 1 is gone"), |_| None), Ok(Err("rank 1 is gone")));

        // The same text from another source.
        let work = || {
            let place = "/src/coin-eval/src/openai/workers.rs";
            assert!(!hear(place, Some("the server is out of memory")) && !hear(RUNTIME, Some("index out of bounds")));
            Err::<(), _>("the server is out of memory")
        };
        assert_eq!(catch(work, |_| None), Ok(Err("the server is out of memory")));
    }

    #[test]
    fn an_error_of_the_device_is_found_in_the_chain_of_causes() {
        let device = || coin_model::DeviceError::new("Can't allocate 4096 bytes: every page is full");
        let read = coin_model::ModelError::Device { what: "values", source: device() };
        let trained = coin_train::TrainError::from(read);
        assert!(words_of_device(&trained).is_some_and(|words| words.contains("4096")));
        let read = coin_model::ModelError::Device { what: "values", source: device() };
        let evaluated = coin_eval::ModelError::from_source("the model failed", read);
        assert!(words_of_device(&evaluated).is_some());
        let gathered =
            coin_train::TrainError::from(coin_loss::collective::CollectiveError::Device("out of memory".to_owned()));
        assert!(words_of_device(&gathered).is_some());
        let other = coin_model::ModelError::Invalid("out of memory".to_owned());
        assert_eq!(words_of_device(&coin_train::TrainError::from(other)), None);
    }
}
