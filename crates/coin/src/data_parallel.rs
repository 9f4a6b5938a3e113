//! Training on the devices of a run file.

use burn::tensor::Device;
use coin_loss::collective::{DeviceCollective, LocalCollective};
use coin_train::{Progress, RunOptions, TrainError, TrainOutcome, Trainer};

use crate::device;

/// Trains on one device, or with one rank on each of several.
///
/// # Errors
/// See [`Trainer::run_parallel`].
pub fn run(
    trainer: Trainer,
    devices: &[Device],
    options: RunOptions,
    show: impl FnMut(&Progress),
) -> Result<TrainOutcome, TrainError> {
    let names = trainer.config().train.device.clone();
    match devices.len() {
        1 => trainer.run(options, show),
        _ if device::have_collectives(&names) => {
            let ranks = DeviceCollective::new(devices);
            trainer.run_parallel(devices.iter().cloned().zip(ranks).collect(), options, show)
        }
        count => {
            let ranks = LocalCollective::new(count);
            trainer.run_parallel(devices.iter().cloned().zip(ranks).collect(), options, show)
        }
    }
}
