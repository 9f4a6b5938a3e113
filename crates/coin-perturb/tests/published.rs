//! Ours beside the published frozen set: about as many words change.

use std::path::{Path, PathBuf};

use coin_data::Task;
use coin_perturb::audit::words_changed;
use coin_perturb::{ATTACK_NAMES, CLEAN, FrozenSet, LabelWords, attack_named, files, perturb_set};

fn prompts() -> PathBuf {
    let folder = std::env::var_os("COIN_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    folder.join("coin/perturbed_prompts.json")
}

/// Words changed over all words of the clean instructions, for tasks the attack has.
fn share_changed(set: &FrozenSet, attack: &str) -> f64 {
    let (mut changed, mut all) = (0, 0);
    for (task, perturbed) in &set.sets()[attack] {
        for (clean, perturbed) in set.sets()[CLEAN][task].iter().zip(perturbed) {
            changed += words_changed(clean, perturbed);
            all += words_changed(clean, "");
        }
    }
    changed as f64 / all as f64
}

#[test]
fn as_many_words_change_as_in_the_published_set() {
    let path = prompts();
    if !Path::new(&path).exists() {
        eprintln!("skipped: as_many_words_change_as_in_the_published_set: no test data at {}", path.display());
        return;
    }
    let published = files::read_frozen(&path).unwrap();
    let mut clean = published.sets()[CLEAN].clone();
    clean.retain(|task, _| published.instructions("deepwordbug", task).is_some());
    let labels: LabelWords = Task::glue().iter().map(|task| (task.name.clone(), task.label_words())).collect();
    let attacks: Vec<_> = ATTACK_NAMES.iter().map(|name| attack_named(name).unwrap()).collect();
    let ours = perturb_set(&clean, &attacks, &labels, 42).unwrap();

    for attack in ["deepwordbug", "textfooler", "checklist", "semantic"] {
        let (published, ours) = (share_changed(&published, attack), share_changed(&ours, attack));
        eprintln!("{attack}: published {published:.3}, ours {ours:.3}");
        // Characters and words: within a quarter of the published share. A paraphrase has no such figure to meet.
        if attack != "semantic" {
            assert!((ours / published - 1.0).abs() < 0.25, "{attack}: published {published:.3}, ours {ours:.3}");
        }
    }
    assert!(ours.audit(&labels).iter().all(|record| record.labels_intact && record.edit_distance > 0));
}
