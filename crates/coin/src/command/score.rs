//! `coin score`

use std::path::PathBuf;

use clap::Args;
use coin::eval::{Summary, ledger, metrics, results, table};
use serde_json::json;

use super::out_folder;
use crate::failure::{Failure, OrFail};

/// Arguments of `coin score`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The ledger.
    ledger: PathBuf,
    /// Folder to write `summary.json` and `unseen_instruction_acc.csv` to.
    #[arg(long)]
    out: PathBuf,
    /// Name of the run in tables.
    #[arg(long, default_value = "run")]
    name: String,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let records = ledger::read(&self.ledger).input()?;
        let run = metrics::score(&self.name, &records).input()?;
        out_folder(&self.out)?;
        results::write_accuracies(&self.out, &run).work()?;
        let settings = json!({ "command": "score", "ledger": self.ledger });
        let summary = Summary::new(settings.as_object().cloned().unwrap_or_default(), vec![run]);
        summary.write(self.out.join("summary.json")).work()?;
        println!("{}", table::terminal(&summary));
        Ok(())
    }
}
