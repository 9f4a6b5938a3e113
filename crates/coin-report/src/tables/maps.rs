//! Measurements of the states in each map.

use coin_analysis::StateMap;

use super::cells::{none, thousandths};
use crate::table::Table;

/// Silhouettes and trustworthiness of each run. `None` if none were measured.
pub(crate) fn silhouettes(maps: &[StateMap]) -> Option<Table> {
    let measured =
        |map: &StateMap| [map.silhouette_level, map.silhouette_class, map.trustworthiness].iter().any(Option::is_some);
    maps.iter().any(measured).then(|| {
        let columns =
            ["run", "task", "prompts", "silhouette by level", "silhouette by class", "trustworthiness of the map"];
        let show = |value: Option<f64>| value.map_or(none(), thousandths);
        let row = |map: &StateMap| {
            let prompts = map.points.len().to_string();
            let (level, class) = (show(map.silhouette_level), show(map.silhouette_class));
            vec![map.run.clone(), map.task.clone(), prompts, level, class, show(map.trustworthiness)]
        };
        Table { columns: columns.map(str::to_owned).to_vec(), rows: maps.iter().map(row).collect() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn maps_without_measures_have_no_table() {
        assert_eq!(silhouettes(&synthetic::maps()).unwrap().rows[0][3], "0.210");
        assert_eq!(silhouettes(&[StateMap::default()]), None);
    }
}
