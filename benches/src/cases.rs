//! The list of cases, family by family, the same for every device.
//!
//! A case knows what a run of it must compute and move before it is made; [`Case::prepare`] makes its inputs on a
//! device. Inputs are the same in every program that has the case (`benches/pytorch/cases.py`), so that values can be
//! compared.

pub mod attention;
pub mod decoder;
pub mod evaluation;
pub mod inputs;
pub mod lora;
pub mod loss;
pub mod pairs;
mod pass;
pub mod perturbation;
pub mod tokenizing;

use std::fmt;

use burn::tensor::Device;

/// Work that can be run again and again.
pub trait Work {
    /// Runs it once; complete on return.
    fn run(&mut self);

    /// What it computes, outside any clock: root mean squares of its output and of the gradient of its first input. The
    /// loss of a case that has one stands for the output.
    fn values(&mut self) -> Option<[f64; 2]> {
        None
    }
}

impl<F: FnMut()> Work for F {
    fn run(&mut self) {
        self();
    }
}

/// Makes the inputs of a case on a device.
pub type Prepare = Box<dyn Fn(&Device) -> Box<dyn Work>>;

/// One entry of the list.
pub struct Case {
    /// Its name, beginning with that of its family: `loss/4096x512`.
    pub name: String,
    /// How it is done, where there are several ways; empty for the usual one.
    pub variant: &'static str,
    /// Whether it works on the device, rather than on the CPU whatever the device.
    pub on_device: bool,
    /// Floating-point operations of a run that [`flops`](crate::flops) counts; 0 where they are not counted.
    pub flops: f64,
    /// Bytes that a run must move, as [`bytes`](crate::bytes) counts them; 0 where they are not counted.
    pub bytes: f64,
    /// Bytes that it needs beside its inputs, roughly.
    pub memory: f64,
    /// How many things a run gets through, and what they are.
    pub items: (f64, &'static str),
    /// Makes it ready to run.
    pub prepare: Prepare,
}

impl Case {
    /// A case on the CPU without counted operations.
    pub(crate) fn on_cpu(name: String, items: (f64, &'static str), work: impl Fn() -> Box<dyn Work> + 'static) -> Self {
        let prepare = Box::new(move |_: &Device| work());
        Case { name, variant: "", on_device: false, flops: 0.0, bytes: 0.0, memory: 0.0, items, prepare }
    }

    /// The part of the name before the first slash.
    pub fn family(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }

    /// Name and variant.
    pub fn title(&self) -> String {
        match self.variant {
            "" => self.name.clone(),
            variant => format!("{} ({variant})", self.name),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.title())
    }
}

/// Lists the cases of a family.
pub type Family = fn() -> Vec<Case>;

/// The families, by name, in the order in which they are measured.
pub const FAMILIES: [(&str, Family); 9] = [
    ("loss", loss::cases),
    ("lora", lora::cases),
    ("attention", attention::cases),
    ("training", decoder::training),
    ("generation", decoder::generation),
    ("evaluation", evaluation::cases),
    ("perturbation", perturbation::cases),
    ("tokenizing", tokenizing::cases),
    ("pairs", pairs::cases),
];

/// The cases whose name begins with one of `prefixes`, or all if there is none.
pub fn matching(prefixes: &[String]) -> Vec<Case> {
    let family = |name: &str| {
        let related = |prefix: &String| prefix.starts_with(name) || name.starts_with(prefix.as_str());
        prefixes.is_empty() || prefixes.iter().any(related)
    };
    let wanted = |case: &Case| prefixes.is_empty() || prefixes.iter().any(|prefix| case.name.starts_with(prefix));
    FAMILIES.into_iter().filter(|(name, _)| family(name)).flat_map(|(_, cases)| cases()).filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_begin_with_the_family_and_differ() {
        let mut titles = HashSet::new();
        for (name, cases) in FAMILIES {
            for case in cases() {
                assert_eq!(case.family(), name);
                assert!(titles.insert(case.title()), "{case:?} is there twice");
            }
        }
    }

    #[test]
    fn every_family_runs() {
        let prefixes = [
            "loss/64x64",
            "lora/288",
            "attention/6x48x64",
            "evaluation/",
            "perturbation/deepwordbug",
            "tokenizing/demo",
            "pairs/",
        ];
        for case in matching(&prefixes.map(str::to_owned)) {
            let mut work = (case.prepare)(&Device::flex());
            work.run();
            let values = work.values();
            assert!(values.is_none_or(|values| values.iter().all(|value| *value > 0.0)), "{case:?}: {values:?}");
        }
    }

    #[test]
    fn all_ways_to_evaluate_a_loss_agree() {
        let cases = matching(&["loss/64x".to_owned(), "loss/1024x64".to_owned()]);
        let values = |case: &Case| {
            let mut work = (case.prepare)(&Device::flex());
            work.run();
            work.values().expect("a loss")
        };
        for usual in cases.iter().filter(|case| case.variant.is_empty()) {
            let other = cases.iter().find(|other| other.name == usual.name && !other.variant.is_empty());
            for (one, two) in values(usual).into_iter().zip(values(other.expect("another way"))) {
                assert!((one - two).abs() <= 1e-5 * one, "{usual:?}: {one} and {two}");
            }
        }
    }
}
