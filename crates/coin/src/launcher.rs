//! Launchers of several processes, such as `mpirun`, `srun` and `torchrun`.
//!
//! Each process of such a launcher would do the whole work, and all would write to the same folder. Processes can only share a
//! training run, with `coin train --ranks`.

use crate::failure::{Failure, bad_input};

/// The variables with the number of processes, and the launchers that set them. `SLURM_NTASKS` is not among them: it is set by a
/// SLURM allocation, in which a program that is started without `srun` runs once.
const SIZES: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_SIZE", "mpirun"),
    ("PMI_SIZE", "mpiexec"),
    ("SLURM_STEP_NUM_TASKS", "srun"),
    ("WORLD_SIZE", "torchrun"),
];

/// Refuses to run as one of several processes that a launcher started.
pub fn refuse() -> Result<(), Failure> {
    match found(|name| std::env::var(name).ok()) {
        None => Ok(()),
        Some((name, launcher, count)) => bad_input(format!(
            "{name}={count}: {launcher} started {count} processes, and each would do the whole work; start one process (several can \
             only share a training run: coin train --ranks, --rank and --address)"
        )),
    }
}

/// Returns the first variable with more than one process: its name, its launcher, and the number.
fn found(value: impl Fn(&str) -> Option<String>) -> Option<(&'static str, &'static str, u64)> {
    SIZES.into_iter().find_map(|(name, launcher)| {
        let count = value(name)?.trim().parse().ok().filter(|count| *count > 1)?;
        Some((name, launcher, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_is_not_a_launch() {
        let with = |set: &'static str, text: &'static str| found(move |name| (name == set).then(|| text.to_owned()));
        assert_eq!(with("WORLD_SIZE", "4"), Some(("WORLD_SIZE", "torchrun", 4)));
        assert_eq!(with("PMI_SIZE", "2").map(|(.., count)| count), Some(2));
        for text in ["1", "0", "", "all"] {
            assert_eq!(with("OMPI_COMM_WORLD_SIZE", text), None);
        }
        assert_eq!(with("SLURM_NTASKS", "8"), None);
    }
}
