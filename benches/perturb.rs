//! Perturbed instructions per second, for every attack, on one thread.
//!
//! Command: `cargo bench -p coin-benches --bench perturb`. The instructions are the repository's for GLUE;
//! `pytorch/textattack_perturb.py` perturbs the same with TextAttack.

#![allow(missing_docs)]

use coin::data::{Task, stream};
use coin::perturb::{ATTACK_NAMES, Protected, attack_named, files};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The instructions and what is protected in them.
fn instructions() -> Vec<(String, Protected)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/coin-eval/instructions/glue.json");
    let clean = files::read_clean(path.as_ref()).expect("the instructions ship with the repository");
    let protected = |task: &str| Protected::new(Task::named(task).expect("a built-in task").label_words());
    clean.into_iter().flat_map(|(task, texts)| texts.into_iter().map(move |text| (text, protected(&task)))).collect()
}

fn perturb(criterion: &mut Criterion) {
    let instructions = instructions();
    let mut group = criterion.benchmark_group("perturb");
    group.throughput(Throughput::Elements(instructions.len() as u64));
    for name in ATTACK_NAMES {
        let attack = attack_named(name).expect("a built-in attack");
        let mut seed = 0;
        group.bench_function(name, |bench| {
            bench.iter(|| {
                // Another seed each time, so that no pass repeats the last one's choices.
                seed += 1;
                let perturbed = instructions
                    .iter()
                    .map(|(text, protected)| attack.perturb(text, protected, &mut stream::keyed(seed, &[name])).len());
                perturbed.sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, perturb);
criterion_main!(benches);
