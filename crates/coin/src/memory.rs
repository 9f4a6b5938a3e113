//! A device that runs out of memory, told from other failures.
//!
//! burn panics where an allocation fails, in the thread that asked or in the device's own, and the message is the runtime's
//! (cubecl-server 0.11, `IoError`; wgpu; the CUDA and HIP drivers). [`catch`] turns such a panic, and an error that tells
//! of one, into a [`Shortage`]. On the CPU there is nothing to catch: Rust's allocator ends the process, and Linux may
//! end it first.

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

/// Does some work, and returns a shortage of memory that it dies or fails of as an error of its own.
///
/// Other panics go on. The first call changes the process's panic hook: panics that tell of a shortage are not printed.
/// It is meant for a whole command; of several calls at once, one may be told of the other's shortage.
///
/// # Errors
/// The shortage. What the work itself returns stands inside.
///
/// ```
/// let died = coin::memory::catch(|| -> Result<(), String> { panic!("can't allocate buffer of size: 99") });
/// assert_eq!(died.unwrap_err().bytes, Some(99));
/// assert_eq!(coin::memory::catch(|| Ok::<_, String>(7)), Ok(Ok(7)));
/// ```
pub fn catch<T, E: fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<Result<T, E>, Shortage> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            match info.payload_as_str().and_then(Shortage::in_text) {
                Some(shortage) => {
                    seen().get_or_insert(shortage);
                }
                // What follows from a shortage, in other threads, is not worth a page either.
                None if seen().is_some() => {}
                None => before(info),
            }
        }));
    });
    *seen() = None;
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let seen = seen().take();
    match (outcome, seen) {
        (Ok(Ok(value)), _) => Ok(Ok(value)),
        (Ok(Err(error)), seen) => match seen.or_else(|| Shortage::in_text(&error.to_string())) {
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

    #[test]
    fn a_shortage_in_another_thread_explains_the_failure() {
        let work = || {
            let device = std::thread::spawn(|| panic!("out of device memory allocating 4096 bytes"));
            let _ = device.join();
            Err::<(), _>("rank 1 is gone")
        };
        assert_eq!(catch(work).unwrap_err(), Shortage { bytes: Some(4096), never_fits: false });
        assert_eq!(catch(|| Err::<(), _>("rank 1 is gone")), Ok(Err("rank 1 is gone")));
    }
}
