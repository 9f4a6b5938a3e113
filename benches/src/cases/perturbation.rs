//! Every attack, on the repository's GLUE instructions, on one thread.

use coin::core::stream;
use coin::data::Task;
use coin::perturb::{ATTACK_NAMES, Protected, attack_named, files};

use super::{Case, Work};

/// One case per attack.
pub fn cases() -> Vec<Case> {
    let count = instructions().len() as f64;
    let case = |name: &'static str| {
        Case::on_cpu(format!("perturbation/{name}"), (count, "instructions"), move || Box::new(work(name)))
    };
    ATTACK_NAMES.map(case).into()
}

fn work(name: &'static str) -> impl Work {
    let instructions = instructions();
    let attack = attack_named(name).expect("a built-in attack");
    let mut seed = 0;
    move || {
        // A different seed for each run, so that runs do not repeat the same choices.
        seed += 1;
        for (text, protected) in &instructions {
            std::hint::black_box(attack.perturb(text, protected, &mut stream::keyed(seed, &[name])));
        }
    }
}

/// The instructions and their protected words.
fn instructions() -> Vec<(String, Protected)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/coin-eval/instructions/glue.json");
    let clean = files::read_clean(path.as_ref()).expect("the instructions ship with the repository");
    let protected = |task: &str| Protected::new(Task::named(task).expect("a built-in task").label_words());
    clean.into_iter().flat_map(|(task, texts)| texts.into_iter().map(move |text| (text, protected(&task)))).collect()
}
