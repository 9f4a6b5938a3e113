//! A device that runs out of memory, told from other failures.
//!
//! burn panics where an allocation fails, in the thread that asked or in the device's own, and the message is the runtime's
//! (cubecl-server 0.11, `IoError`; wgpu; the CUDA and HIP drivers). [`catch`] turns such a panic, and an error that a device
//! gave, into a [`Shortage`]. The words of other errors are not looked at: a path or a server's answer may speak of memory
//! too. On the CPU there is nothing to catch: Rust's allocator ends the process, and Linux may end it first.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, Once};

/// A device had no room for an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes of the allocation that failed, where the runtime says so.
    pub bytes: Option<u64>,
    /// Whether the device could not hold it even if it were empty: it is more than one buffer may have.
    pub never_fits: bool,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.map_or("more memory".to_owned(), size);
        match self.never_fits {
            true => write!(f, "one tensor needs {bytes}, which is more than the device gives to one buffer"),
            false => write!(f, "the device is out of memory: it has no room for {bytes}"),
        }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

impl Shortage {
    /// The shortage that a message of burn, its runtimes or a driver tells of.
    ///
    /// ```
    /// use coin::memory::Shortage;
    /// let shortage = Shortage::in_text("out of device memory allocating 2147483648 bytes").expect("it says so");
    /// assert_eq!(shortage.bytes, Some(2147483648));
    /// assert_eq!(shortage.to_string(), "the device is out of memory: it has no room for 2.0 GiB");
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

/// What the device said that caused `error`, if one did.
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
        // An error that passes another on as it is stands for it.
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

/// Whether the source file `file` belongs to a runtime of burn, or to a crate of ours that calls it: a panic of burn's is
/// placed where it was called.
fn computes(file: &str) -> bool {
    const CRATES: [&str; 8] = ["burn-", "cubecl-", "wgpu-", "cudarc-", "gpu-", "coin-model", "coin-train", "coin-loss"];
    file.split(['/', '\\']).any(|part| CRATES.iter().any(|name| part.starts_with(name)))
}

/// Takes note of a panic with the words `text` in the source file `file`. Whether it is, or may follow from, a shortage.
fn hear(file: &str, text: Option<&str>) -> bool {
    let mut seen = seen();
    if let Some(shortage) = text.filter(|_| computes(file)).and_then(Shortage::in_text) {
        seen.get_or_insert(shortage);
    }
    seen.is_some()
}

/// Does some work, and returns a shortage of memory that it dies or fails of as an error of its own. `from_device` tells
/// what a device said that caused an error, if one did; [`words_of_device`] finds that.
///
/// Other panics go on. The first call changes the process's panic hook: panics that tell of a shortage are not printed.
/// It is meant for a whole command; of several calls at once, one may be told of the other's shortage.
///
/// # Errors
/// The shortage. What the work itself returns stands inside.
///
/// ```
/// let failed = || Err::<(), _>("out of device memory allocating 99 bytes".to_owned());
/// let of_device = coin::memory::catch(failed, |error| Some(error.clone()));
/// assert_eq!(of_device.unwrap_err().bytes, Some(99));
/// // The same words from elsewhere are an error like any other.
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
            // What follows from a shortage, in other threads, is not worth a page either.
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
        assert_eq!(text(1 << 34), "one tensor needs 16.0 GiB, which is more than the device gives to one buffer");
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

        // The same words from elsewhere.
        let work = || {
            let place = "/src/coin-eval/src/openai/workers.rs";
            assert!(!hear(place, Some("the server is out of memory")) && !hear(RUNTIME, Some("index out of bounds")));
            Err::<(), _>("the server is out of memory")
        };
        assert_eq!(catch(work, |_| None), Ok(Err("the server is out of memory")));
    }

    #[test]
    fn an_error_of_the_device_is_found_behind_others() {
        let device = || coin_model::DeviceError::new("Can't allocate 4096 bytes: every page is full");
        let read = coin_model::ModelError::Device { what: "values", source: device() };
        let trained = coin_train::TrainError::from(read);
        assert!(words_of_device(&trained).is_some_and(|words| words.contains("4096")));
        let read = coin_model::ModelError::Device { what: "values", source: device() };
        let evaluated = coin_eval::ModelError::from_source("the model cannot run", read);
        assert!(words_of_device(&evaluated).is_some());
        let gathered =
            coin_train::TrainError::from(coin_loss::collective::CollectiveError::Device("out of memory".to_owned()));
        assert!(words_of_device(&gathered).is_some());
        let other = coin_model::ModelError::Invalid("out of memory".to_owned());
        assert_eq!(words_of_device(&coin_train::TrainError::from(other)), None);
    }
}
