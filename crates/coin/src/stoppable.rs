//! A model that stops an evaluation between two batches.

use std::sync::atomic::{AtomicBool, Ordering};

use coin_data::Prompt;
use coin_eval::{
    Decided, Finished, FinishedLikelihoods, GenerateOptions, Generation, LanguageModel, LogLikelihood, ModelError,
};

/// A model that fails once a flag is true. It hands over the current batch first, so that its answers reach the ledger.
pub struct Stoppable<'a> {
    model: &'a mut dyn LanguageModel,
    stop: &'a AtomicBool,
    stopped: bool,
}

impl<'a> Stoppable<'a> {
    /// Wraps `model`, which works until `stop` is true.
    pub fn new(model: &'a mut dyn LanguageModel, stop: &'a AtomicBool) -> Self {
        Stoppable { model, stop, stopped: false }
    }

    /// True if it failed because of the flag.
    pub fn stopped(&self) -> bool {
        self.stopped
    }
}

/// Copies `stop` to `stopped`, and fails if it is true.
fn unless(stop: &AtomicBool, stopped: &mut bool) -> Result<(), ModelError> {
    *stopped = stop.load(Ordering::Relaxed);
    match stopped {
        true => Err(ModelError::new("stopped by request")),
        false => Ok(()),
    }
}

impl LanguageModel for Stoppable<'_> {
    fn generate(
        &mut self,
        prompts: &[Prompt],
        options: &GenerateOptions,
        decided: Decided<'_>,
        finished: Finished<'_>,
    ) -> Result<(), ModelError> {
        let Stoppable { model, stop, stopped } = self;
        unless(stop, stopped)?;
        model.generate(prompts, options, decided, &mut |batch: Vec<(usize, Generation)>| {
            finished(batch)?;
            unless(stop, stopped)
        })
    }

    fn log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        continuations: &[String],
        finished: FinishedLikelihoods<'_>,
    ) -> Result<(), ModelError> {
        let Stoppable { model, stop, stopped } = self;
        unless(stop, stopped)?;
        model.log_likelihoods(prompts, continuations, &mut |batch: Vec<(usize, Vec<LogLikelihood>)>| {
            finished(batch)?;
            unless(stop, stopped)
        })
    }

    fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
        self.model.excess(prompt, new_tokens)
    }

    fn fingerprint(&self) -> String {
        self.model.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands over each prompt as a separate batch, and sets the flag at the second.
    struct Counting<'a>(&'a AtomicBool, usize);

    impl LanguageModel for Counting<'_> {
        fn generate(
            &mut self,
            prompts: &[Prompt],
            _: &GenerateOptions,
            _: Decided<'_>,
            finished: Finished<'_>,
        ) -> Result<(), ModelError> {
            for index in 0..prompts.len() {
                self.1 += 1;
                self.0.store(self.1 == 2, Ordering::Relaxed);
                finished(vec![(index, Generation::default())])?;
            }
            Ok(())
        }

        fn fingerprint(&self) -> String {
            "counting".to_owned()
        }
    }

    #[test]
    fn only_the_current_batch_is_handed_over() {
        let stop = AtomicBool::new(false);
        let mut model = Counting(&stop, 0);
        let mut stoppable = Stoppable::new(&mut model, &stop);
        let mut kept = Vec::new();
        let options = GenerateOptions { max_new_tokens: 1, hidden: false };
        let prompts = vec![Prompt::new("a", "b"); 5];
        for _ in 0..2 {
            let outcome = stoppable.generate(&prompts, &options, &|_| false, &mut |batch| {
                kept.extend(batch.into_iter().map(|(index, _)| index));
                Ok(())
            });
            assert_eq!(outcome.unwrap_err().to_string(), "stopped by request");
            assert!(stoppable.stopped());
        }
        assert_eq!((kept, model.1), (vec![0, 1], 2));
    }
}
