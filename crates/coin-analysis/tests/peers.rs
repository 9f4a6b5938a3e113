//! Compares silhouette, AUROC and UMAP with scikit-learn and umap-learn, on the points of
//! `fixtures/make_representations.py`.

use coin_analysis::{
    Distance, Points, SilhouetteOptions, UmapOptions, auroc, fuzzy_graph, silhouette, trustworthiness, umap,
};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/representations.json")).unwrap()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn coordinates(points: &Value) -> Vec<f32> {
    points.as_array().unwrap().iter().flat_map(numbers).map(|value| value as f32).collect()
}

const DISTANCES: [(&str, Distance); 2] = [("cosine", Distance::Cosine), ("euclidean", Distance::Euclidean)];

#[test]
fn silhouettes_match_scikit_learn() {
    let fixture = fixture();
    let values = coordinates(&fixture["points"]);
    let groups: Vec<usize> = numbers(&fixture["groups"]).into_iter().map(|group| group as usize).collect();
    for (name, distance) in DISTANCES {
        let options = SilhouetteOptions { distance, ..SilhouetteOptions::default() };
        let found = silhouette(Points::new(&values, 6).unwrap(), &groups, &options).unwrap();
        let expected = numbers(&fixture["silhouette"][name]);
        assert_eq!(found.values.len(), expected.len());
        for (found, expected) in found.values.iter().zip(&expected) {
            // Coordinates of unit vectors are rounded to f32, and squares are added in f32.
            assert!((found - expected).abs() < 1e-6, "{name}: {found} {expected}");
        }
        let mean = expected.iter().sum::<f64>() / 120.0;
        assert!((found.mean - mean).abs() < 1e-6);
        let last = expected[90..].iter().sum::<f64>() / 30.0;
        assert_eq!(found.groups[3].0, 3);
        assert!((found.groups[3].1 - last).abs() < 1e-6);
    }
}

#[test]
fn auroc_matches_scikit_learn() {
    let auroc_of = &fixture()["auroc"];
    let (positives, negatives) = (numbers(&auroc_of["positives"]), numbers(&auroc_of["negatives"]));
    assert!(positives.iter().any(|value| negatives.contains(value)), "the fixture has ties");
    let found = auroc(&positives, &negatives).unwrap();
    assert!((found - auroc_of["area"].as_f64().unwrap()).abs() < 1e-12, "{found}");
}

#[test]
fn fuzzy_graphs_match_umap_learn() {
    let fixture = fixture();
    let values = coordinates(&fixture["points"]);
    for (name, metric) in DISTANCES {
        let edges = fuzzy_graph(Points::new(&values, 6).unwrap(), 10, metric).unwrap();
        let once: Vec<_> = edges.iter().filter(|edge| edge.from < edge.to).collect();
        assert_eq!(edges.len(), 2 * once.len());
        let expected = fixture["umap"][name]["edges"].as_array().unwrap();
        assert_eq!(once.len(), expected.len(), "{name}");
        for (edge, expected) in once.iter().zip(expected) {
            let expected = numbers(expected);
            assert_eq!((edge.from as f64, edge.to as f64), (expected[0], expected[1]), "{name}");
            // umap-learn stores sigma, rho and weights in f32. Both stop at a tolerance of 1e-5 in the sum of a point's weights.
            assert!((edge.weight - expected[2]).abs() < 1e-5, "{name}: {edge:?} {expected:?}");
        }
    }
}

#[test]
fn maps_are_as_trustworthy_as_umap_learn() {
    let fixture = fixture();
    let values = coordinates(&fixture["points"]);
    let points = Points::new(&values, 6).unwrap();
    for (name, metric) in DISTANCES {
        let theirs: Vec<[f32; 2]> = coordinates(&fixture["umap"][name]["map"]).as_chunks().0.to_vec();
        let expected = fixture["umap"][name]["trustworthiness"].as_f64().unwrap();
        let found = trustworthiness(points, metric, &theirs, 10).unwrap();
        // Nearly equal distances may swap ranks when they are rounded to f32.
        assert!((found - expected).abs() < 1e-4, "{name}: {found} {expected}");
        for seed in 0..3 {
            let options = UmapOptions { neighbors: 10, metric, seed, ..UmapOptions::default() };
            let ours = trustworthiness(points, metric, &umap(points, &options).unwrap(), 10).unwrap();
            // umap-learn's results vary by up to 0.01 between seeds here.
            assert!(ours > expected - 0.01, "{name}: {ours} {expected}");
        }
    }
}
