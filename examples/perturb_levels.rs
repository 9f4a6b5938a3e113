//! Perturbs one instruction at the paper's four levels and audits the changes.
//!
//! Shows: seeded attacks, label words that stay intact, and the size of each attack's change.
//! Command: `cargo run --release -p coin-examples --example perturb_levels`
//! Output:
//! ```text
//! clean        Decide whether the grammar of the given sentence is 'acceptable' or 'unacceptable':
//!
//! character    Dectide whlther the grammmar of the gien senteQce is 'acceptable' or 'unacceptable':
//!              deepwordbug: 5 words changed (42 %), edit distance 5, similarity 0.64, label words intact
//!
//! word         Settle whenever the spelling of the given verdict is 'acceptable' or 'unacceptable':
//!              textfooler: 4 words changed (33 %), edit distance 21, similarity 0.71, label words intact
//!
//! sentence     Decide whether the grammar of the given sentence is 'acceptable' or 'unacceptable' t3KsPc91Ah:
//!              checklist: 1 words changed (8 %), edit distance 11, similarity 0.97, label words intact
//!
//! semantic     In the role of a language expert, decide whether how well formed the grammar is in this sentence is 'acceptable' or 'unacceptable':
//!              semantic: 14 words changed (117 %), edit distance 61, similarity 0.71, label words intact
//! ```
//! Time:    less than a second, 4 MB: measured on two cores shared with other work, a development build; a release build is faster.

use coin::data::Task;
use coin::perturb::{LabelWords, attack_named, perturb_set};

fn main() -> anyhow::Result<()> {
    let task = Task::named("cola")?;
    let instruction = "Decide whether the grammar of the given sentence is 'acceptable' or 'unacceptable': ";
    let clean = [(task.name.clone(), vec![instruction.to_owned()])].into();
    let protected: LabelWords = [(task.name.clone(), task.label_words())].into();
    let attacks = ["deepwordbug", "textfooler", "checklist", "semantic"]
        .into_iter()
        .map(attack_named)
        .collect::<Result<Vec<_>, _>>()?;
    let set = perturb_set(&clean, &attacks, &protected, 42)?;

    println!("clean        {instruction}\n");
    let audit = set.audit(&protected);
    for attack in &attacks {
        let Some(record) = audit.iter().find(|record| record.attack == attack.name()) else { continue };
        println!("{:12} {}", attack.level().to_string(), record.perturbed);
        println!(
            "{:12} {}: {} words changed ({:.0} %), edit distance {}, similarity {:.2}, label words {}\n",
            "",
            record.attack,
            record.words_changed,
            100.0 * record.share_changed,
            record.edit_distance,
            record.similarity,
            if record.labels_intact { "intact" } else { "damaged" }
        );
    }
    Ok(())
}
