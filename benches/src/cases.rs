//! The list of cases by family, the same for every device.
//!
//! A case states how much a run must compute and move before its inputs exist; [`Case::prepare`] creates the inputs on a
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

/// Work that can be run repeatedly.
pub trait Work {
    /// Runs the work once, to completion.
    fn run(&mut self);

    /// Returns the computed values, outside the timed section: the root mean square of the output, and that of the
    /// gradient of the first input. Cases with a loss return the loss in place of the output.
    fn values(&mut self) -> Option<[f64; 2]> {
        None
    }
}

impl<F: FnMut()> Work for F {
    fn run(&mut self) {
        self();
    }
}

/// Creates the inputs of a case on a device.
pub type Prepare = Box<dyn Fn(&Device) -> Box<dyn Work>>;

/// One entry of the list.
pub struct Case {
    /// Name, starting with that of the family: `loss/4096x512`.
    pub name: String,
    /// Name of the variant, if the case has several; empty for the usual one.
    pub variant: &'static str,
    /// True if the case runs on the selected device, false if it always runs on the CPU.
    pub on_device: bool,
    /// Floating-point operations of a run, as counted by [`flops`](crate::flops); 0 if not counted.
    pub flops: f64,
    /// Bytes that a run must move, as counted by [`bytes`](crate::bytes); 0 if not counted.
    pub bytes: f64,
    /// Approximate memory in addition to the inputs, in bytes.
    pub memory: f64,
    /// Number of items that a run processes, and their unit.
    pub items: (f64, &'static str),
    /// Creates the inputs.
    pub prepare: Prepare,
}

impl Case {
    /// Creates a case that runs on the CPU, without counted operations.
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

/// The families by name, in the order in which they are measured.
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

/// Returns the cases whose name starts with one of `prefixes`, or all cases if `prefixes` is empty.
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
    fn names_start_with_the_family_and_are_unique() {
        let mut titles = HashSet::new();
        for (name, cases) in FAMILIES {
            for case in cases() {
                assert_eq!(case.family(), name);
                assert!(titles.insert(case.title()), "{case:?} occurs twice");
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
    fn all_evaluations_of_a_loss_agree() {
        let cases = matching(&["loss/64x".to_owned(), "loss/1024x64".to_owned()]);
        let values = |case: &Case| {
            let mut work = (case.prepare)(&Device::flex());
            work.run();
            work.values().expect("a loss")
        };
        for usual in cases.iter().filter(|case| case.variant.is_empty()) {
            let other = cases.iter().find(|other| other.name == usual.name && !other.variant.is_empty());
            for (one, two) in values(usual).into_iter().zip(values(other.expect("another variant"))) {
                assert!((one - two).abs() <= 1e-5 * one, "{usual:?}: {one} and {two}");
            }
        }
    }
}
