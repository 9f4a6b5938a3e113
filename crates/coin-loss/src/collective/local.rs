//! Ranks as threads of one process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Tensor};

use super::{Collective, CollectiveError};

/// A rank that runs in a thread of this process. The ranks may share a device or use different ones; burn moves gathered
/// rows between devices.
///
/// If a rank is dropped while others wait for it, they get [`CollectiveError::Gone`].
#[derive(Debug)]
pub struct LocalCollective {
    rank: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    given: Vec<Option<Tensor<2>>>,
    /// Number of ranks that have read `given`.
    taken: usize,
    gone: Option<usize>,
}

impl LocalCollective {
    /// Creates the ranks, one for each thread.
    pub fn new(world_size: usize) -> Vec<Self> {
        let state = State { given: vec![None; world_size], taken: 0, gone: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        (0..world_size).map(|rank| LocalCollective { rank, shared: shared.clone() }).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A rank that panicked is reported by `gone`; the state is consistent after every statement.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`; fails if a rank is gone before that.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        ready: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>, CollectiveError> {
        while !ready(&state) {
            if let Some(rank) = state.gone {
                return Err(CollectiveError::Gone(rank));
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state)
    }
}

impl Collective for LocalCollective {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.state().given.len()
    }

    fn all_gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        let rows = rows.without_autodiff().cast(DType::F32);
        let (device, shape) = (rows.device(), rows.dims());
        // A fast rank waits here until the slowest has finished the previous round.
        let mut state = self.wait(self.state(), |state| state.given[self.rank].is_none())?;
        state.given[self.rank] = Some(rows);
        self.shared.changed.notify_all();
        let mut state = self.wait(state, |state| state.given.iter().all(Option::is_some))?;
        let given: Vec<Tensor<2>> = state.given.iter().flatten().cloned().collect();
        state.taken += 1;
        if state.taken == given.len() {
            state.taken = 0;
            state.given.fill(None);
            self.shared.changed.notify_all();
        }
        drop(state);
        if let Some(rank) = given.iter().position(|rows| rows.dims() != shape) {
            let (got, expected) = (format!("{:?}", given[rank].dims()), format!("{shape:?}"));
            return Err(CollectiveError::Disagreement { rank, got, expected });
        }
        Ok(Tensor::cat(given.into_iter().map(|rows| rows.to_device(&device)).collect(), 0))
    }
}

impl Drop for LocalCollective {
    fn drop(&mut self) {
        self.state().gone.get_or_insert(self.rank);
        self.shared.changed.notify_all();
    }
}
