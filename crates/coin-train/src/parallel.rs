//! Data parallel: one run on several devices of a process, a thread for each.

use burn::module::Module;
use burn::tensor::Device;
use coin_loss::collective::{Collective, CollectiveError};

use crate::{Progress, RunOptions, TrainError, TrainOutcome, Trainer};

impl Trainer {
    /// The same trainer on another device, with autodiff.
    fn replica(&self, device: &Device) -> Self {
        let device = device.clone().autodiff();
        match self.model().device() == device {
            // Frozen weights are shared.
            true => self.clone(),
            false => self.clone().with_model(self.model().clone().to_device(&device)),
        }
    }

    /// As [`run`](Self::run), on several devices at once: `ranks` holds a device and its rank for each, in their order.
    ///
    /// Every device holds the whole model and computes its share of every effective batch; see
    /// [`StepObjective`](crate::StepObjective). The result is that of one device up to the order of sums, and the same to the bit
    /// in every run with as many ranks.
    ///
    /// # Errors
    /// As [`run`](Self::run); of several ranks that fail, the one that failed first is reported.
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
                    // The rank is given up at the thread's end, so that nobody waits for one that failed.
                    scope.spawn(move || trainer.run_as(&collective, options, |_| {}).map(|_| ()))
                })
                .collect();
            let outcome = first.run_as(&collective, options, progress);
            drop(collective);
            let mut error = None;
            for (index, other) in others.into_iter().enumerate() {
                let gone = Err(CollectiveError::Gone(index + 1).into());
                if let Err(of_other) = other.join().unwrap_or(gone) {
                    // That a rank is gone only tells that another failed before.
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
