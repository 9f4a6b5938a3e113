use super::*;

/// Answers at levels `clean` and `checklist`, one letter per row: `r`ight or `w`rong.
fn ledger(task: &str, clean: &str, perturbed: &str) -> Vec<Record> {
    let at = |level: &str, letters: &str| {
        let record = |(row, letter): (usize, char)| Record {
            task: task.to_owned(),
            level: level.to_owned(),
            row,
            raw_pred: format!("{level} {letter}"),
            pred: if letter == 'r' { 1 } else { -1 },
            gold: 1,
            ..Record::default()
        };
        letters.chars().enumerate().map(record).collect::<Vec<_>>()
    };
    [at(CLEAN, clean), at("checklist", perturbed)].concat()
}

#[test]
fn counts_by_hand() {
    let (cit, coin) = (ledger("cola", "rrrrwww", "rwwwrrw"), ledger("cola", "rrrwwwr", "rwrwwrw"));
    let flips = Flips::collect(&[("cit", &cit), ("coin", &coin)], &|_| None, 9, 1);
    let counts = |run: &str, right_clean, broken, repaired| FlipCounts {
        run: run.to_owned(),
        level: "checklist".to_owned(),
        pairs: 7,
        right_clean,
        broken,
        repaired,
    };
    assert_eq!(flips.counts, [counts("cit", 4, 3, 2), counts("coin", 4, 2, 1)]);
    // Rows 0 to 2 are right for both: row 1 breaks for both, row 2 only for cit. Rows 4 and 5 are wrong for both: row 5
    // is repaired for both, row 4 only for cit. Rows 3 and 6 differ under the clean instruction and cannot be compared fairly.
    let expected = Contrast {
        level: "checklist".to_owned(),
        broken: Split { pairs: 3, first_only: 1, second_only: 0, both: 1 },
        repaired: Split { pairs: 2, first_only: 1, second_only: 0, both: 1 },
    };
    assert_eq!(flips.contrasts, [expected]);
    let examples: Vec<_> = flips.examples.iter().map(|flip| (flip.change, flip.run.as_str(), flip.row)).collect();
    assert_eq!(examples, [(Change::Broken, "cit", 2), (Change::Repaired, "cit", 4)]);
    let shown = &flips.examples[0].answers;
    assert_eq!((shown[0].clean.1, shown[0].perturbed.1, shown[1].perturbed.1), (true, false, true));
    assert_eq!(shown[1].perturbed.0, "checklist r");
}

#[test]
fn swapped_runs_swap_the_counts() {
    let (a, b) = (ledger("cola", "rrrrw", "rwwwr"), ledger("cola", "rrrww", "rrwwr"));
    let forth = Flips::collect(&[("a", &a), ("b", &b)], &|_| None, 9, 1).contrasts[0].clone();
    let back = Flips::collect(&[("b", &b), ("a", &a)], &|_| None, 9, 1).contrasts[0].clone();
    assert_eq!((forth.broken.first_only, forth.broken.second_only), (1, 0));
    assert_eq!((back.broken.first_only, back.broken.second_only), (0, 1));
    assert_eq!(forth.repaired.pairs, back.repaired.pairs);
}

#[test]
fn a_single_run_has_examples_and_no_contrast() {
    let flips = Flips::collect(&[("base", &ledger("rte", "rw", "wr"))], &|_| None, 3, 1);
    assert_eq!((flips.compared, flips.contrasts.len(), flips.examples.len()), (None, 0, 2));
    assert_eq!(Flips::collect(&[], &|_| None, 3, 1), Flips::default());
}

#[test]
fn the_choice_depends_on_no_order_and_varies_the_tasks() {
    let tasks = ["cola", "sst2", "mrpc", "rte"];
    let records: Vec<Record> = tasks.iter().flat_map(|task| ledger(task, &"r".repeat(30), &"w".repeat(30))).collect();
    let mut reversed = records.clone();
    reversed.reverse();
    let chosen = Flips::collect(&[("base", &records)], &|_| None, 3, 7).examples;
    assert_eq!(chosen, Flips::collect(&[("base", &reversed)], &|_| None, 3, 7).examples);
    let mut shown: Vec<&str> = chosen.iter().map(|flip| flip.task.as_str()).collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!((chosen.len(), shown.len()), (3, 3), "a task is shown again only after all others");
    let other = Flips::collect(&[("base", &records)], &|_| None, 3, 8).examples;
    assert_ne!(chosen, other, "the seed chooses");
}
