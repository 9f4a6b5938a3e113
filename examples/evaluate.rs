//! Evaluates models on the demo world's ten tasks, under clean instructions and under perturbed ones of four levels.
//!
//! Shows: small versions of the tables in the slides: accuracy by level and by task group, mean and standard deviation over instructions.
//! Command: `cargo run --release -p coin-examples --example evaluate [-- MODEL [ADAPTER..]]`
//!          without arguments, the embedded base; after `train_cit_and_coin`, all three:
//!          `-- target/example-runs/base target/example-runs/cit/adapter target/example-runs/coin/adapter`
//! Output:  After 60 steps the changes are within the noise of 20 examples per task. `coin demo` trains longer, and docs/reproduction.md
//!          has several seeds.
//! ```text
//! level            base         cit        coin  coin − cit  ± change  cosine base  cosine cit  cosine coin
//! ---------------------------------------------------------------------------------------------------------
//! clean      81.6 ± 2.6  82.3 ± 2.5  80.7 ± 2.6        −1.7      +0.1            –           –            –
//! character  79.7 ± 4.0  79.2 ± 4.0  79.2 ± 4.6        +0.1      +0.5        0.981       0.981        0.980
//! word       80.0 ± 3.2  80.7 ± 3.9  78.6 ± 4.7        −2.1      +0.8        0.989       0.989        0.986
//! sentence   81.2 ± 2.9  81.5 ± 3.2  81.2 ± 3.5        −0.3      +0.2        0.989       0.989        0.986
//! semantic   75.7 ± 6.8  75.2 ± 6.6  75.4 ± 6.4        +0.2      −0.2        0.957       0.957        0.960
//! average    79.7 ± 3.9  79.8 ± 4.0  79.0 ± 4.3        −0.8      +0.3        0.979       0.979        0.978
//!
//! task group                         base          cit         coin  coin − cit  ± change  cosine base  cosine cit  cosine coin
//! -----------------------------------------------------------------------------------------------------------------------------
//! sentiment                    94.7 ± 5.9   94.7 ± 5.9   94.3 ± 6.2        −0.3      +0.4        0.931       0.932        0.927
//! natural language inference   74.0 ± 2.9   74.5 ± 3.2   74.2 ± 3.1        −0.3      −0.1        0.989       0.989        0.989
//! paraphrase                   83.8 ± 2.2   82.6 ± 2.0   80.0 ± 3.2        −2.6      +1.2        0.988       0.986        0.988
//! grammar                     90.5 ± 11.8  90.8 ± 11.5  90.5 ± 12.2        −0.3      +0.7        0.948       0.948        0.944
//! ```
//! Time:    94 s for three models, 38 MB: measured on two cores shared with other work, a development build; a release build is faster.

use std::path::Path;

use anyhow::Result;
use coin::data::Task;
use coin::demo::World;
use coin::eval::{Evaluation, Ledger, Summary, metrics};
use coin::model::WeightFormat;
use coin::report::tables::{self, Form};
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
        // An adapter is named after its run folder.
        let folder = adapter.and_then(|path| Path::new(path).parent()?.file_name());
        let name = folder.map_or("base".to_owned(), |name| name.to_string_lossy().into_owned());
        let ledger = tempfile::tempdir()?;
        let mut ledger = Ledger::create(ledger.path().join("ledger.jsonl"))?;
        let records = plan.run(&mut model, &mut ledger, &mut |_, _| ())?;
        runs.push(metrics::score(name, &records)?);
    }
    let summary = Summary::new(Default::default(), runs);
    println!("{}", tables::accuracy_by_level(&summary, Form::Terminal).to_text());
    println!("{}", tables::accuracy_by_group(&summary, Form::Terminal).to_text());
    Ok(())
}
