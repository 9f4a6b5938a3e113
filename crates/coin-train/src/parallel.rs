//! Data parallelism: one run on several devices of a process, with one thread per device.

use burn::module::Module;
use burn::tensor::Device;
use coin_loss::collective::{Collective, CollectiveError};

use crate::{Progress, RunOptions, TrainError, TrainOutcome, Trainer};

impl Trainer {
    /// Returns the same trainer on another device, with autodiff.
    fn replica(&self, device: &Device) -> Self {
        let device = device.clone().autodiff();
        match self.model().device() == device {
            // Frozen weights are shared.
            true => self.clone(),
            false => self.clone().with_model(self.model().clone().to_device(&device)),
        }
    }

    /// Runs on several devices at once, like [`run`](Self::run). `ranks` contains the device and the collective of each rank, in rank
    /// order.
    ///
    /// Every device holds the whole model and computes its share of every effective batch; see
    /// [`StepObjective`](crate::StepObjective). The result equals that of one device up to the order of sums. Runs with the same
    /// number of ranks are bit-identical.
    ///
    /// # Errors
    /// See [`run`](Self::run). If several ranks fail, the error of the first one is returned.
    pub fn run_parallel<C: Collective>(
        self,
        ranks: Vec<(Device, C)>,
        options: RunOptions,
        progress: impl FnMut(&Progress),
    ) -> Result<TrainOutcome, TrainError> {
        let mut ranks = ranks.into_iter().map(|(device, collective)| (self.replica(&device), collective));
        let Some((first, collective)) = ranks.next() else {
            return Err(CollectiveError::Rank { rank: 0, world_size: 0 }.into());
        };
        let others: Vec<_> = ranks.collect();
        drop(self);
        std::thread::scope(|scope| {
            let others: Vec<_> = others
                .into_iter()
                .map(|(trainer, collective)| {
                    let options = RunOptions { stop: None, ..options };
                    // The collective is dropped when the thread ends, so that other ranks do not wait for a failed rank.
                    scope.spawn(move || trainer.run_as(&collective, options, |_| {}).map(|_| ()))
                })
                .collect();
            let outcome = first.run_as(&collective, options, progress);
            drop(collective);
            let mut error = None;
            for (index, other) in others.into_iter().enumerate() {
                let gone = Err(CollectiveError::Gone(index + 1).into());
                if let Err(of_other) = other.join().unwrap_or(gone) {
                    // A rank that is gone is the consequence of another failure.
                    if !matches!(of_other, TrainError::Collective(CollectiveError::Gone(_))) {
                        error.get_or_insert(of_other);
                    }
                }
            }
            match (outcome, error) {
                (Err(TrainError::Collective(CollectiveError::Gone(_))), Some(error)) => Err(error),
                (outcome, _) => outcome,
            }
        })
    }
}
