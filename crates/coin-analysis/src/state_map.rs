//! A map of one run's states, with metrics that show how far to trust it.

use crate::{AnalysisError, Grouping, Representations, SilhouetteOptions, StateLabel, UmapOptions};
use crate::{silhouette, trustworthiness, umap};

/// A map of one run's hidden states in the plane.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateMap {
    /// The run's name.
    pub run: String,
    /// The task whose prompts are shown, which determines the class names.
    pub task: String,
    /// The method that placed the points, such as `UMAP`.
    pub method: String,
    /// One point per prompt.
    pub points: Vec<MapPoint>,
    /// Mean silhouette, from -1 to 1, of the hidden states grouped by level. Near 0 if perturbed prompts are mixed with the
    /// clean ones.
    pub silhouette_level: Option<f64>,
    /// Mean silhouette of the hidden states grouped by class. Near 1 if the classes are well separated.
    pub silhouette_class: Option<f64>,
    /// Trustworthiness of the map, at most 1: how well it preserves neighborhoods. See [`trustworthiness`].
    pub trustworthiness: Option<f64>,
}

impl StateMap {
    /// Computes a UMAP map of the states of `task`, with its silhouettes and its trustworthiness.
    ///
    /// A silhouette is `None` unless there are at least two groups and one of them has two states. Trustworthiness is `None`
    /// unless there are more than `2 * options.neighbors` states.
    ///
    /// # Errors
    /// [`AnalysisError::Invalid`] if there is no state of `task`; otherwise the same as [`umap`].
    ///
    /// ```
    /// use coin_analysis::{Representations, StateLabel, StateMap, UmapOptions};
    /// let mut states = Representations::new("model-1");
    /// for row in 0..40 {
    ///     let label = StateLabel { task: "cola", level: "clean", instruction: 0, row, gold: row % 2, predicted: None };
    ///     let angle = 3.0 * (row % 2) as f32 + 0.01 * row as f32;
    ///     states.push(&label, &[angle.cos(), angle.sin()])?;
    /// }
    /// let map = StateMap::of("coin", "cola", &states, &UmapOptions::default())?;
    /// assert_eq!((map.points.len(), map.points[1].class, map.silhouette_level), (40, 1, None));
    /// assert!(map.silhouette_class > Some(0.9) && map.trustworthiness > Some(0.8));
    /// # Ok::<(), coin_analysis::AnalysisError>(())
    /// ```
    pub fn of(run: &str, task: &str, states: &Representations, options: &UmapOptions) -> Result<Self, AnalysisError> {
        let states = states.only(|label| label.task == task);
        if states.is_empty() {
            return Err(AnalysisError::Invalid(format!("run `{run}` does not have a hidden state of task `{task}`")));
        }
        let points = states.points()?;
        let places = umap(points, options)?;
        let by = |grouping: Grouping| {
            let (groups, names) = states.groups(grouping);
            let silhouette_options = SilhouetteOptions { distance: options.metric, ..SilhouetteOptions::default() };
            let mean = || silhouette(points, &groups, &silhouette_options).map(|found| found.mean);
            (1 < names.len() && names.len() < states.len()).then(mean).transpose()
        };
        let enough = options.neighbors > 0 && 2 * options.neighbors < states.len();
        let trusted = || trustworthiness(points, options.metric, &places, options.neighbors);
        let point = |(label, place): (StateLabel, &[f32; 2])| {
            let [x, y] = place.map(f64::from);
            MapPoint { x, y, level: label.level.to_owned(), class: label.gold }
        };
        Ok(StateMap {
            run: run.to_owned(),
            task: task.to_owned(),
            method: "UMAP".to_owned(),
            points: states.labels().zip(&places).map(point).collect(),
            silhouette_level: by(Grouping::Level)?,
            silhouette_class: by(Grouping::Gold)?,
            trustworthiness: enough.then(trusted).transpose()?,
        })
    }
}

/// A prompt on a map. Coordinates do not have a unit; points that are not finite are not drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct MapPoint {
    /// Horizontal coordinate, increasing to the right.
    pub x: f64,
    /// Vertical coordinate, increasing upwards.
    pub y: f64,
    /// The perturbation level of the instruction.
    pub level: String,
    /// The example's class.
    pub class: usize,
}
