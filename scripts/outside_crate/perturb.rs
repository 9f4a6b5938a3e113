//! A user's program that depends on `coin-perturb` only: one instruction perturbed at four levels, and the audit.

use std::collections::BTreeMap;

use coin_perturb::{LabelWords, PerturbError, attack_named, perturb_set};

fn main() -> Result<(), PerturbError> {
    let clean = BTreeMap::from([("tone".to_owned(), vec!["Decide whether the review is 'good' or 'bad': ".to_owned()])]);
    let labels: LabelWords = [("tone".to_owned(), ["good", "bad"].map(str::to_owned).into_iter().collect())].into();
    let names = ["deepwordbug", "textfooler", "checklist", "semantic"];
    let attacks = names.into_iter().map(attack_named).collect::<Result<Vec<_>, _>>()?;
    let audit = perturb_set(&clean, &attacks, &labels, 7)?.audit(&labels);
    let intact = audit.iter().filter(|record| record.labels_intact && record.perturbed != record.clean).count();
    println!("labels intact: {intact} of {}", audit.len());
    Ok(())
}
