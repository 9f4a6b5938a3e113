//! Description of the machine and the source, and memory and processor time of this process. Values that cannot be
//! determined are 0 or `unknown`.

use std::fs::read_to_string;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::timing::object;

/// The report fields that describe program, device and machine.
pub fn described(device: &str, dtype: &str) -> Map<String, Value> {
    object(json!({
        "program": "coin",
        "device": device, "dtype": dtype,
        "threads": threads(), "cpu": cpu(), "cores": cores(), "commit": commit(),
    }))
}

/// Number of threads that a step may use.
pub fn threads() -> usize {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    asked.filter(|&threads| threads > 0).unwrap_or_else(cores)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processor name with family, model and stepping, because the name alone is often generic on virtual machines.
fn cpu() -> String {
    let text = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let of_line =
            |line: &str| line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, v)| v.trim().into());
        text.lines().find_map(of_line).unwrap_or_else(|| "unknown".to_owned())
    };
    format!(
        "{} (family {}, model {}, stepping {})",
        field("model name"),
        field("cpu family"),
        field("model"),
        field("stepping")
    )
}

/// The commit of the sources, followed by `dirty` if tracked files differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "--short=12", "HEAD"]), git(&["status", "--porcelain", "--untracked-files=no"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit} dirty"),
        (None, _) => "unknown".to_owned(),
    }
}

/// Peak resident memory in units of 10^6 bytes.
pub fn peak_mb() -> f64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).map_or(0.0, |kib| kib * 1.024e-3)
}

/// Resets the peak to the memory that is resident now, if the system supports it.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Processor time of this process so far, user and system, in steps of 10 ms.
pub fn cpu_seconds() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses, which may contain spaces; user and system time are fields 14 and 15.
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
