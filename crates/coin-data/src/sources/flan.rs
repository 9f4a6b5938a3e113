//! Reads the FLAN collection as stored on the hub, and recovers the instances behind its filled templates.
//!
//! FLAN's program fills **one** of a task's templates with each instance and writes only the text. So no row is a
//! paraphrase of another, and grouping rows does not help. But a row names its task and the number of its template, and
//! with FLAN's file of templates the values can be recovered from the text. A row is used only if there is exactly one way
//! to do this. Then every template of the task with the same target pattern gives a paraphrase of it, as in the paper. All
//! other rows are counted by reason. [`pairs::from_worded`](crate::pairs::from_worded) draws the couples.

mod pattern;
mod rows;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, Template, TemplateSet, Worded};
use pattern::{Found, OPTIONS, OPTIONS_BEGIN, Pattern, Values};
use rows::Row;

/// The source whose tasks have task-specific templates, for rows that name a source.
const SOURCE: &str = "Flan2021";

/// A task with its instances, and the largest set of its templates with the same target pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlanTask {
    /// The name in the file of templates, such as `squad_v1`.
    name: String,
    /// Templates by number in the file.
    prompts: BTreeMap<usize, Pattern>,
    target: Pattern,
    instances: Vec<(Values, String)>,
    seen: BTreeSet<(Values, String)>,
}

/// Counts of the rows that were read, used, and left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlanReport {
    /// Rows read.
    pub rows: usize,
    /// Instances found.
    pub instances: usize,
    /// Rows from sources other than Flan 2021, or with examples before the question.
    pub other_kind: usize,
    /// Rows of a task without templates in the file.
    pub no_templates: usize,
    /// Rows whose text does not match their template, or any template if they lack a number.
    pub no_match: usize,
    /// Rows whose text matches in more than one way.
    pub several: usize,
    /// Rows whose template reverses the task: it has another target pattern, or its prompt contains the answer.
    pub turned_round: usize,
    /// Rows with the values of an earlier row.
    pub repeated: usize,
    /// Rows over the maximum number of instances per task.
    pub beyond: usize,
}

/// The content of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flan {
    /// The tasks with instances, in alphabetical order.
    pub tasks: Vec<FlanTask>,
    /// Counts of the rows.
    pub report: FlanReport,
}

impl FlanTask {
    /// The task `name` with its templates; `None` if fewer than two templates fit the same instance.
    fn new(name: &str, templates: &[Template]) -> Option<Self> {
        let mut groups: BTreeMap<Pattern, BTreeMap<usize, Pattern>> = BTreeMap::new();
        for (number, template) in templates.iter().enumerate() {
            let (prompt, target) = (Pattern::new(&template.prompt), Pattern::new(&template.target));
            let tells = prompt.names().any(|name| target.names().any(|other| name == other));
            let has_field = prompt.names().any(|name| name != OPTIONS);
            if !tells && has_field && target.names().next().is_some() {
                groups.entry(target).or_default().insert(number, prompt);
            }
        }
        let different = |prompts: &BTreeMap<usize, Pattern>| prompts.values().collect::<BTreeSet<_>>().len();
        // The largest group. Ties go to the group with the earlier template.
        let first = |prompts: &BTreeMap<usize, Pattern>| std::cmp::Reverse(prompts.keys().next().copied());
        let largest = groups.into_iter().max_by_key(|(_, prompts)| (different(prompts), first(prompts)))?;
        let (target, prompts) = largest;
        (different(&prompts) > 1).then(|| FlanTask {
            name: name.to_owned(),
            prompts,
            target,
            instances: Vec::new(),
            seen: BTreeSet::new(),
        })
    }

    /// Recovers the instance behind `row`.
    fn find(&self, row: &Row) -> Result<Found, TurnedRound> {
        let mut found: BTreeSet<Values> = BTreeSet::new();
        let mut several = false;
        let mut look = |prompt: &Pattern| match prompt.find(&row.inputs) {
            Found::One(values) => _ = found.insert(values),
            Found::Several => several = true,
            Found::None => {}
        };
        match row.template {
            Some(number) => look(self.prompts.get(&number).ok_or(TurnedRound)?),
            None => self.prompts.values().for_each(look),
        }
        let answer = match self.target.find(&row.targets) {
            Found::One(values) => values,
            other => return Ok(other),
        };
        if several || found.len() > 1 {
            return Ok(Found::Several);
        }
        Ok(found.pop_first().map_or(Found::None, |values| Found::One(values.into_iter().chain(answer).collect())))
    }
}

/// A row whose template is not a wording of its task.
struct TurnedRound;

impl Worded for FlanTask {
    fn task(&self) -> &str {
        &self.name
    }

    fn wordings(&self) -> usize {
        self.prompts.len()
    }

    fn instances(&self) -> usize {
        self.instances.len()
    }

    fn prompt(&self, wording: usize, instance: usize) -> Cow<'_, str> {
        let filled = self.prompts.values().nth(wording).and_then(|prompt| prompt.fill(&self.instances[instance].0));
        Cow::Owned(filled.unwrap_or_default())
    }

    /// Empty if the wording needs a value that the row's template did not contain.
    fn target(&self, wording: usize, instance: usize) -> &str {
        let (values, target) = &self.instances[instance];
        let fits = |prompt: &Pattern| prompt.names().all(|name| values.contains_key(name));
        if self.prompts.values().nth(wording).is_some_and(fits) { target } else { "" }
    }

    fn keywords(&self, instance: usize) -> BTreeMap<String, String> {
        let mut values = self.instances[instance].0.clone();
        if let Some(options) = values.get_mut(OPTIONS) {
            options.insert_str(0, OPTIONS_BEGIN);
        }
        values
    }
}

/// Reads all files `.jsonl` and `.parquet` in `folder` and its subfolders. Keeps the first `most` instances of each task.
///
/// Rows have `inputs`, `targets` and `_task_name`; `_template_idx`, `_task_source` and `_template_type` are optional.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Empty`] for a folder without such files; [`DataError::Malformed`] with the line of a row that
/// lacks a required column; [`DataError::Invalid`] if no instance was found, with the counts by reason.
///
/// ```
/// use coin_data::{Template, TemplateSet, Worded};
/// let texts = ["Is this fine? {sentence}\n{options_}", "{sentence}\nIs that fine?\n{options_}"];
/// let set = TemplateSet::new([("cola", texts.map(|text| Template::new(text, "{answer}")).to_vec())]);
/// let folder = tempfile::tempdir()?;
/// let row = r#"{"inputs": "Is this fine? Dog ran.\nOPTIONS:\n- no\n- yes", "targets": "no", "_task_name": "glue/cola:2.0.0"}"#;
/// std::fs::write(folder.path().join("part.jsonl"), row)?;
/// let flan = coin_data::flan::read(folder.path(), &set, 1000)?;
/// assert_eq!(flan.tasks[0].prompt(1, 0), "Dog ran.\nIs that fine?\nOPTIONS:\n- no\n- yes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(folder: impl AsRef<Path>, templates: &TemplateSet, most: usize) -> Result<Flan, DataError> {
    let folder = folder.as_ref();
    let known = templates.iter().filter_map(|(name, templates)| FlanTask::new(name, templates));
    let mut tasks: BTreeMap<String, FlanTask> = known.map(|task| (task.name.clone(), task)).collect();
    let mut keys: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut report = FlanReport::default();
    for path in rows::files(folder)? {
        rows::each(&path, &mut |row| {
            report.rows += 1;
            let few_shot = row.kind.as_deref().is_some_and(|kind| kind.starts_with("fs"));
            if few_shot || row.source.as_deref().is_some_and(|source| !source.eq_ignore_ascii_case(SOURCE)) {
                report.other_kind += 1;
                return;
            }
            let key = keys.entry(row.task.clone()).or_insert_with(|| key(&row.task, templates));
            let Some(task) = key.as_ref().and_then(|key| tasks.get_mut(key)) else {
                report.no_templates += 1;
                return;
            };
            if task.instances.len() >= most {
                report.beyond += 1;
                return;
            }
            match task.find(&row) {
                Err(TurnedRound) => report.turned_round += 1,
                Ok(Found::None) => report.no_match += 1,
                Ok(Found::Several) => report.several += 1,
                Ok(Found::One(values)) => {
                    let instance = (values, row.targets.trim().to_owned());
                    match task.seen.insert(instance.clone()) {
                        true => task.instances.push(instance),
                        false => report.repeated += 1,
                    }
                }
            }
        })?;
    }
    let mut tasks: Vec<FlanTask> = tasks.into_values().filter(|task| !task.instances.is_empty()).collect();
    tasks.iter_mut().for_each(|task| task.seen.clear());
    report.instances = tasks.iter().map(|task| task.instances.len()).sum();
    match tasks.is_empty() {
        true => Err(DataError::Invalid(format!("{}: no instance in {report}", folder.display()))),
        false => Ok(Flan { tasks, report }),
    }
}

impl std::fmt::Display for FlanReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} rows: {} instances; {} of another kind, {} of tasks without templates, {} that match no template, {} that \
             match in several ways, {} with reversed tasks, {} repeated, {} over the limit of a task",
            self.rows,
            self.instances,
            self.other_kind,
            self.no_templates,
            self.no_match,
            self.several,
            self.turned_round,
            self.repeated,
            self.beyond
        )
    }
}

/// Returns the name in `templates` of the collection's task `task`, such as `cola` for `glue/cola:2.0.0`: the longest name
/// whose words occur in it as a sequence.
fn key(task: &str, templates: &TemplateSet) -> Option<String> {
    let words = |name: &str| {
        let plain: String =
            name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        format!("_{plain}_")
    };
    let task = words(task.split_once(':').filter(|(name, _)| *name != "huggingface").map_or(task, |(name, _)| name));
    templates.names().filter(|name| task.contains(&words(name))).max_by_key(|name| name.len()).map(str::to_owned)
}
