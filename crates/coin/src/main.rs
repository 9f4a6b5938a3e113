//! The `coin` command.

#[macro_use]
mod output;

mod command;
mod failure;
mod file_size;
mod launcher;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use coin::allocator::{MiMalloc, keep_freed_memory};

use failure::Failure;

/// Keeps freed memory, so that the CPU backend reuses the memory of large tensors instead of mapping it again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Contrastive instruction tuning: train, perturb, evaluate.
#[derive(Debug, Parser)]
#[command(name = "coin", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the main experiment on an embedded model: trains with and without the contrastive loss, evaluates and reports.
    Demo(command::demo::Arguments),
    /// Builds, samples, checks and shows contrastive pairs.
    #[command(subcommand)]
    Pairs(command::pairs::Command),
    /// Runs several arms with several seeds, and compares them in one table.
    Experiment(command::experiment::Arguments),
    /// Perturbs instructions and writes them as a frozen set.
    Perturb(command::perturb::Arguments),
    /// Trains an adapter with the settings of a run file.
    Train(command::train::Arguments),
    /// Evaluates a model on GLUE under clean and perturbed instructions.
    Eval(Box<command::eval::Arguments>),
    /// Shows the answers to one input under several wordings of an instruction side by side.
    Compare(Box<command::compare::Arguments>),
    /// Computes all metrics again from ledgers, without a model.
    Score(command::score::Arguments),
    /// Writes a report of evaluations and training runs.
    Report(command::report::Arguments),
    /// Inspects, runs and merges models.
    #[command(subcommand)]
    Model(command::model::Command),
    /// Lists the backends of this build and the devices of this machine.
    Devices(command::devices::Arguments),
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        if !self.may_run_in_several_processes() {
            launcher::refuse()?;
        }
        match self {
            Command::Demo(arguments) => arguments.run(),
            Command::Experiment(arguments) => arguments.run(),
            Command::Pairs(command) => command.run(),
            Command::Perturb(arguments) => arguments.run(),
            Command::Train(arguments) => arguments.run(),
            Command::Eval(arguments) => arguments.run(),
            Command::Compare(arguments) => arguments.run(),
            Command::Score(arguments) => arguments.run(),
            Command::Report(arguments) => arguments.run(),
            Command::Model(command) => command.run(),
            Command::Devices(arguments) => arguments.run(),
        }
    }

    /// True if several processes of a launcher may run the command: it does not write files, or they share the work.
    fn may_run_in_several_processes(&self) -> bool {
        match self {
            Command::Train(arguments) => arguments.joins_ranks(),
            Command::Experiment(arguments) => arguments.is_share(),
            Command::Pairs(command) => !command.writes(),
            Command::Model(command) => !command.writes(),
            Command::Compare(_) | Command::Devices(_) => true,
            Command::Demo(_) | Command::Perturb(_) | Command::Eval(_) | Command::Score(_) | Command::Report(_) => false,
        }
    }

    /// Advice for a device that does not have enough memory for the command.
    fn what_fits(&self) -> &'static str {
        match self {
            Command::Train(_) => {
                "set train.micro_batch_pairs lower (the result stays the same under preset strict), train.gradient_checkpointing \
                 = true, model.dtype = \"bf16\" or \"f16\", or model.quantization. Checkpoints are kept: resume with --resume"
            }
            Command::Eval(_) => {
                "set --batch-size lower, or load the model in a smaller dtype. The ledger keeps the finished batches"
            }
            _ => "use a smaller model or batch, a smaller dtype, or --device cpu",
        }
    }
}

fn main() -> ExitCode {
    keep_freed_memory();
    file_size::report_limit();
    let command = Arguments::parse().command;
    let fits = command.what_fits();
    let of_device = |failure: &Failure| match failure {
        Failure::Input(error) | Failure::Work(error) => coin::memory::words_of_device(error.as_ref()),
        Failure::Stopped { .. } => None,
    };
    let outcome = coin::memory::catch(|| command.run(), of_device)
        .unwrap_or_else(|shortage| Err(Failure::Work(anyhow::anyhow!("{shortage}; to make it fit: {fits}"))));
    match outcome.and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("coin: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
