//! Selection of the held-out pairs by preset, with warnings about it.

use coin_data::Pair;
use coin_data::pairs::{self, HeldOut};

use crate::RunConfig;
use crate::config::TrainPreset;

/// Holds out `data.validation_pairs` of `pairs`: the last ones under preset `paper`, and whole instances under `strict`. Also
/// returns warnings.
pub(crate) fn hold_out(pairs: &[&Pair], config: &RunConfig) -> (HeldOut, Vec<String>) {
    let count = config.data.validation_pairs;
    let mut warnings = Vec::new();
    if count == 0 {
        return (HeldOut { training: (0..pairs.len()).collect(), ..HeldOut::default() }, warnings);
    }
    let held = match config.train.preset {
        TrainPreset::Paper => pairs::hold_out_last(pairs, count),
        TrainPreset::Strict => pairs::hold_out(pairs, count),
    };
    let found = held.validation.len();
    if held.leaking > 0 {
        warnings.push(format!(
            "{} of {found} held-out pairs share their instance with training pairs, so their loss is too low; preset strict holds out \
             whole instances",
            held.leaking
        ));
    }
    if found < count {
        warnings.push(format!(
            "{found} pairs are held out, fewer than data.validation_pairs ({count}), because pairs of the same instances stay together"
        ));
    }
    if !held.left_out.is_empty() {
        warnings.push(format!(
            "{} pairs are left out of training because they share an instance with held-out pairs",
            held.left_out.len()
        ));
    }
    (held, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the warnings under a preset for pairs of these instances.
    fn warnings(preset: &str, instances: &[usize], count: usize) -> Vec<String> {
        let pair = |(at, instance): (usize, &usize)| Pair {
            original_instruction: format!("{at} original"),
            paraphrased_instruction: format!("{at} paraphrase"),
            targets: format!("{}", instance % 2),
            task: Some("t".to_owned()),
            component: None,
            wordings: None,
            keywords: [("row".to_owned(), instance.to_string())].into(),
        };
        let all: Vec<Pair> = instances.iter().enumerate().map(pair).collect();
        let text = format!(
            "out = 'run'\n[model]\npath = 'base'\n[data]\npairs = 'p.jsonl'\nvalidation_pairs = {count}\n[train]\npreset = '{preset}'\n"
        );
        hold_out(&all.iter().collect::<Vec<_>>(), &RunConfig::parse(&text, "run.toml", &[]).unwrap()).1
    }

    #[test]
    fn leaking_and_omitted_pairs_are_reported() {
        // Two paraphrases of every instance, in different couples.
        let twice: Vec<usize> = (0..8).chain(0..8).collect();
        assert!(warnings("strict", &twice, 8).is_empty());
        assert!(
            warnings("paper", &twice, 8)[0]
                .starts_with("8 of 8 held-out pairs share their instance with training pairs")
        );
        assert!(
            warnings("strict", &twice, 6)[0].starts_with("4 pairs are held out, fewer than data.validation_pairs (6)")
        );
        let chain = [0, 1, 1, 2, 2, 3, 3, 4];
        assert_eq!(
            warnings("strict", &chain, 2),
            ["2 pairs are left out of training because they share an instance with held-out pairs"]
        );
        assert!(warnings("paper", &[0, 1, 2, 3], 2).is_empty());
        assert!(warnings("paper", &twice, 0).is_empty());
    }
}
