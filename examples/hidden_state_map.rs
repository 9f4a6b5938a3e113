//! Maps hidden states of clean and perturbed CoLA prompts, with two models side by side, as in the slides' UMAP figure.
//!
//! Shows: collecting, mapping and measuring hidden states. If the wording of instructions does not matter, levels do not
//!          separate (silhouette by level near 0) and classes do (silhouette by class near 1).
//! Command: `cargo run --release -p coin-examples --example hidden_state_map [-- RUNS]`, after `train_cit_and_coin`
//!          RUNS is the folder of its runs, by default target/example-runs. Writes RUNS/maps/report.html.
//! Output:  The two runs of 60 steps hardly differ. The page shows the maps side by side.
//! ```text
//! run    states  silhouette by level  by class  trustworthiness of the map
//! cit       500               -0.167     0.352                       0.975
//! coin      500               -0.169     0.354                       0.970
//! ```
//! Time:    25 s, 67 MB: measured on two cores shared with other work, a development build; a release build is faster.

use std::path::PathBuf;

use anyhow::Result;
use coin::data::Task;
use coin::demo::World;
use coin::eval::folder::{self, Evaluated};
use coin::eval::{Evaluation, Ledger, Summary, metrics};
use coin::model::WeightFormat;
use coin::report::Report;
use coin::{demo, device, model_folder};

const SEED: u64 = 42;
const SAMPLES: usize = 100;

fn main() -> Result<()> {
    let runs_folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("target/example-runs"), PathBuf::from);
    let device = device::named("cpu")?;
    let world = World::new(demo::WORLD_SEED);
    let cola = vec![Task::named("cola")?];
    let evaluation = Evaluation { samples: SAMPLES, seed: SEED, ..Evaluation::new(cola, demo::instructions(SEED)?) };
    let plan = evaluation.plan(&|task| world.evaluation(&task.name, 2 * SAMPLES))?;

    let (mut runs, mut evaluated) = (Vec::new(), Vec::new());
    for name in ["cit", "coin"] {
        let (base, adapter) = (runs_folder.join("base"), runs_folder.join(name).join("adapter"));
        let options = model_folder::engine_options(&device);
        let (mut model, _) =
            model_folder::for_evaluation(&base, Some(&adapter), WeightFormat::default(), &device, options)?;
        let folder = runs_folder.join("maps").join(name);
        std::fs::create_dir_all(&folder)?;
        let mut ledger = Ledger::create(folder.join(folder::LEDGER))?;
        folder::begin(&folder, &plan, &evaluation.tasks)?;
        let records = plan.run(&mut model, &mut ledger, &mut |_, _| ())?;
        let run = metrics::score(name, &records)?;
        folder::finish(&folder, &plan, &records, &run, 0)?;
        let tasks = ["cola".to_owned()];
        folder::write_states(&folder, &plan, &mut model, &tasks, &records, &mut |_, _| ())?;
        runs.push(run);
        evaluated.extend(Evaluated::read(&folder, name)?);
    }
    let report = Report::of_runs(Summary::new(Default::default(), runs), Vec::new(), &evaluated)?;
    println!("run    states  silhouette by level  by class  trustworthiness of the map");
    for map in &report.maps {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        println!(
            "{:5} {:7} {:>20} {:>9} {:>27}",
            map.run,
            map.points.len(),
            number(map.silhouette_level),
            number(map.silhouette_class),
            number(map.trustworthiness)
        );
    }
    let page = runs_folder.join("maps/report.html");
    report.write_html(&page)?;
    println!("map: {}", page.display());
    Ok(())
}
