//! Settings of LoRA adapters, with PEFT's rules for selecting layers.

use coin_core::quote::cut;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::linear_paths::LINEAR_PATHS;

/// Largest rank. A rank above the width of every layer would not be low.
const MOST_RANK: usize = 1 << 16;

/// Settings of the adapters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Inner width r. Default 16 (the paper's).
    #[serde(default = "sixteen")]
    pub rank: usize,
    /// The adapter's output is scaled by `alpha / rank`. Default 16 (the paper's).
    #[serde(default = "sixteen_f64")]
    pub alpha: f64,
    /// True to scale by `alpha / sqrt(rank)` instead (rank-stabilized LoRA, Kalajdzievski 2023). Default false.
    #[serde(default)]
    pub rank_stabilized: bool,
    /// Probability of dropping an input feature of the adapter in training. Default 0.05 (the paper's).
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// The layers that get an adapter. Default q, k, v and o (the paper's).
    #[serde(default)]
    pub target_modules: TargetModules,
    /// Zero-based indices of the decoder layers that get adapters. Default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
}

/// Selects the linear layers that get an adapter, by PEFT's rules.
///
/// A layer's path is, for example, `model.layers.0.self_attn.q_proj`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// Path suffixes: `q_proj`, `self_attn.q_proj` or a whole path. Each must match a layer.
    Names(Vec<String>),
    /// A regular expression that must match the whole path, or `all-linear`.
    Pattern(String),
}

impl Default for TargetModules {
    fn default() -> Self {
        TargetModules::from(["q_proj", "k_proj", "v_proj", "o_proj"])
    }
}

impl<const N: usize> From<[&str; N]> for TargetModules {
    fn from(names: [&str; N]) -> Self {
        TargetModules::Names(names.map(str::to_owned).to_vec())
    }
}

fn sixteen() -> usize {
    16
}

fn sixteen_f64() -> f64 {
    16.0
}

fn default_dropout() -> f64 {
    0.05
}

impl Default for LoraConfig {
    fn default() -> Self {
        LoraConfig {
            rank: 16,
            alpha: 16.0,
            rank_stabilized: false,
            dropout: default_dropout(),
            target_modules: TargetModules::default(),
            layers: None,
        }
    }
}

impl LoraConfig {
    /// Checks every value that does not depend on a model.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] names the value outside its domain.
    pub fn check(&self) -> Result<(), ModelError> {
        let invalid = |message: String| Err(ModelError::Invalid(message));
        if self.rank == 0 {
            return invalid("lora rank must be at least 1, got 0".to_owned());
        }
        if self.rank > MOST_RANK {
            return invalid(format!("lora rank must be at most {MOST_RANK}, got {}", self.rank));
        }
        // The scale multiplies f32 values.
        if !(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&self.alpha) {
            return invalid(format!("lora alpha must be positive and finite in f32, got {}", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return invalid(format!("lora dropout must be in [0, 1), got {}", self.dropout));
        }
        Ok(())
    }

    /// The factor that the adapter's output is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilized { rank.sqrt() } else { rank }
    }

    /// Returns the linear layers that get an adapter in a model of `layers` decoder layers: for every decoder layer one flag
    /// per entry of [`LINEAR_PATHS`].
    ///
    /// # Errors
    /// A value is outside its domain, a name, pattern or layer index matches nothing, or the pattern is not a valid regular
    /// expression.
    pub fn targets(&self, layers: usize) -> Result<Vec<[bool; 7]>, ModelError> {
        self.check()?;
        let path = |layer: usize, place: usize| format!("model.layers.{layer}.{}", LINEAR_PATHS[place]);
        let select = |matches: &dyn Fn(&str) -> bool| -> Vec<[bool; 7]> {
            let place = |layer: usize| std::array::from_fn(|place| matches(&path(layer, place)));
            (0..layers).map(place).collect()
        };
        let nothing = |what: String| {
            let names = LINEAR_PATHS.join(", ");
            Err(ModelError::Invalid(format!(
                "lora target {what} matches no layer; the paths are model.layers.0 to {} followed by one of: {names}",
                layers.saturating_sub(1)
            )))
        };
        let is_empty = |places: &[[bool; 7]]| !places.iter().flatten().any(|&hit| hit);
        let mut selected = match &self.target_modules {
            TargetModules::Pattern(pattern) if pattern == "all-linear" => vec![[true; 7]; layers],
            TargetModules::Pattern(pattern) => {
                let whole = fancy_regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                    ModelError::Invalid(format!("lora target `{}`: {}", cut(pattern), cut(&error.to_string())))
                })?;
                // A match that exceeds the engine's backtracking limit counts as no match.
                let places = select(&|path| whole.is_match(path).unwrap_or(false));
                if is_empty(&places) {
                    return nothing(format!("`{}`", cut(pattern)));
                }
                places
            }
            TargetModules::Names(names) => {
                if names.is_empty() {
                    return Err(ModelError::Invalid("lora target_modules is empty".to_owned()));
                }
                let hit = |name: &str, path: &str| {
                    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                for name in names {
                    if is_empty(&select(&|path| hit(name, path))) {
                        return nothing(format!("`{}`", cut(name)));
                    }
                }
                select(&|path| names.iter().any(|name| hit(name, path)))
            }
        };
        if let Some(chosen) = &self.layers {
            if let Some(absent) = chosen.iter().find(|&&layer| layer >= layers) {
                return Err(ModelError::Invalid(format!(
                    "lora layer {absent} does not exist: the model has {layers} layers"
                )));
            }
            for (layer, places) in selected.iter_mut().enumerate() {
                if !chosen.contains(&layer) {
                    *places = [false; 7];
                }
            }
            if is_empty(&selected) {
                return nothing(format!("in layers {chosen:?}"));
            }
        }
        Ok(selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(target_modules: TargetModules) -> LoraConfig {
        LoraConfig { target_modules, ..LoraConfig::default() }
    }

    #[test]
    fn names_match_path_suffixes() {
        let attention = [true, true, true, true, false, false, false];
        assert_eq!(LoraConfig::default().targets(2).unwrap(), [attention; 2]);
        let one = with(["model.layers.1.mlp.up_proj", "v_proj"].into()).targets(2).unwrap();
        let value = [false, false, true, false, false, false, false];
        assert_eq!(one, [value, [false, false, true, false, false, true, false]]);
        // Every path ends in `proj`, but a name must match from a dot on.
        for wrong in ["proj", "lm_head", "model.layers.2.mlp.up_proj"] {
            let message = with(["q_proj", wrong].into()).targets(2).unwrap_err().to_string();
            assert!(message.contains(wrong) && message.contains("mlp.gate_proj"), "{message}");
        }
    }

    #[test]
    fn patterns_match_whole_paths() {
        let pattern = |text: &str| with(TargetModules::Pattern(text.to_owned()));
        assert_eq!(pattern("all-linear").targets(1).unwrap(), [[true; 7]]);
        let some = pattern(r".*\.1\..*(q_proj|down_proj)").targets(2).unwrap();
        assert_eq!(some, [[false; 7], [true, false, false, false, false, false, true]]);
        let not_mlp = pattern(r"(?!.*mlp).*").targets(1).unwrap();
        assert_eq!(not_mlp, [[true, true, true, true, false, false, false]]);
        assert!(pattern("q_proj").targets(2).unwrap_err().to_string().contains("`q_proj` matches no layer"));
        assert!(pattern("(").targets(2).unwrap_err().to_string().contains("lora target `(`"));
    }

    #[test]
    fn layers_and_scale() {
        let lora = LoraConfig { rank: 4, alpha: 8.0, layers: Some(vec![1]), ..LoraConfig::default() };
        assert_eq!(lora.targets(2).unwrap()[0], [false; 7]);
        assert!(lora.targets(1).unwrap_err().to_string().contains("lora layer 1"));
        assert_eq!(lora.scale(), 2.0);
        assert_eq!(LoraConfig { rank_stabilized: true, ..lora }.scale(), 4.0);
    }
}
