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

/// Frees nothing back to the system between steps: large tensors of the CPU backend are reused instead of mapped anew.
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
    /// Runs the main job on an embedded model: tune with and without the contrastive loss, evaluate, report.
    Demo(command::demo::Arguments),
    /// Builds contrastive pairs.
    #[command(subcommand)]
    Pairs(command::pairs::Command),
    /// Perturbs instructions: a frozen set, seeded.
    Perturb(command::perturb::Arguments),
    /// Trains adapters as a run file says.
    Train(command::train::Arguments),
    /// Evaluates a model on GLUE under clean and perturbed instructions.
    Eval(Box<command::eval::Arguments>),
    /// Asks one input under several wordings of an instruction: answers side by side.
    Compare(Box<command::compare::Arguments>),
    /// Computes every metric again from a ledger, without a model.
    Score(command::score::Arguments),
    /// Writes the report of evaluations and training runs.
    Report(command::report::Arguments),
    /// Looks into a model folder.
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

    /// Whether the processes of a launcher may all run it: it writes nothing, or they share the work.
    fn may_run_in_several_processes(&self) -> bool {
        match self {
            Command::Train(arguments) => arguments.joins_ranks(),
            Command::Pairs(command) => !command.writes(),
            Command::Model(command) => !command.writes(),
            Command::Compare(_) | Command::Devices(_) => true,
            Command::Demo(_) | Command::Perturb(_) | Command::Eval(_) | Command::Score(_) | Command::Report(_) => false,
        }
    }

    /// What helps if the device has too little memory for it.
    fn what_fits(&self) -> &'static str {
        match self {
            Command::Train(_) => {
                "set train.micro_batch_pairs lower (the result stays the same under preset strict), train.gradient_checkpointing \
                 = true, model.dtype = \"bf16\" or \"f16\", or model.quantization. Checkpoints are kept: resume with --resume"
            }
            Command::Eval(_) => {
                "set --batch-size lower, or load the model in a smaller number type. Batches that are done stay in the ledger"
            }
            _ => "use a smaller model or batch, a smaller number type, or --device cpu",
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
