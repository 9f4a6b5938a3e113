//! A model evaluated on the demo world's ten tasks, under clean instructions and perturbed ones of four levels.
//!
//! Shows: the tables of the slides in small: accuracy by level and by task group, mean and standard deviation over instructions.
//! Command: `cargo run --release -p coin-examples --example evaluate [-- MODEL [ADAPTER..]]`
//!          without arguments the embedded base; after `train_cit_and_coin` all three:
//!          `-- target/example-runs/base target/example-runs/cit/adapter target/example-runs/coin/adapter`
//! OUTPUT

use std::path::Path;

use anyhow::Result;
use coin::data::Task;
use coin::data::world::World;
use coin::eval::{Evaluation, Ledger, Summary, metrics, table};
use coin::model::WeightFormat;
use coin::{demo, device, model_folder};

const SEED: u64 = 42;
const SAMPLES: usize = 20;
const DEMO_BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/coin/assets/demo-base");

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().unwrap_or_else(|| DEMO_BASE.to_owned());
    let adapters: Vec<String> = arguments.collect();
    let device = device::named("cpu")?;
    let world = World::new(demo::WORLD_SEED);
    let evaluation =
        Evaluation { samples: SAMPLES, seed: SEED, ..Evaluation::new(Task::glue(), demo::instructions(SEED)?) };
    let plan = evaluation.plan(&|task| world.evaluation(&task.name, 4 * SAMPLES))?;

    let mut runs = Vec::new();
    for adapter in std::iter::once(None).chain(adapters.iter().map(Some)) {
        let (mut model, _) = model_folder::for_evaluation(
            Path::new(&base),
            adapter.map(Path::new),
            WeightFormat::default(),
            &device,
            model_folder::engine_options(&device),
        )?;
        // A run folder names its adapter.
        let folder = adapter.and_then(|path| Path::new(path).parent()?.file_name());
        let name = folder.map_or("base".to_owned(), |name| name.to_string_lossy().into_owned());
        let ledger = tempfile::tempdir()?;
        let mut ledger = Ledger::create(ledger.path().join("ledger.jsonl"))?;
        let records = plan.run(&mut model, &mut ledger, &mut |_, _| ())?;
        runs.push(metrics::score(name, &records)?);
    }
    let summary = Summary::new(Default::default(), runs);
    println!("{}", table::levels(&summary).to_text());
    println!("{}", table::groups(&summary).to_text());
    Ok(())
}
