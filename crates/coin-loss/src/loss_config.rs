//! A loss chosen by name.

use serde::{Deserialize, Serialize};

use crate::{
    CoSentConfig, ConsistencyConfig, DistillationConfig, InfoNceConfig, Loss, LossError, SigLipConfig, SupConConfig,
};

/// The settings of one of this crate's losses. In a settings file the key `kind` names the loss, and the other keys are those of its
/// settings.
///
/// ```
/// use coin_loss::{Loss, LossConfig};
/// let config: LossConfig = serde_json::from_str(r#"{ "kind": "info_nce", "temperature": 0.07 }"#)?;
/// assert_eq!(config.init()?.name(), "info_nce");
/// let error = serde_json::from_str::<LossConfig>(r#"{ "kind": "info_nce", "temprature": 0.07 }"#).unwrap_err();
/// assert!(error.to_string().contains("temprature"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[non_exhaustive]
pub enum LossConfig {
    /// [`InfoNce`](crate::InfoNce).
    #[serde(rename = "info_nce")]
    InfoNce(InfoNceConfig),
    /// [`SupCon`](crate::SupCon).
    #[serde(rename = "supcon")]
    SupCon(SupConConfig),
    /// [`SigLip`](crate::SigLip), with a fixed scale and bias.
    #[serde(rename = "siglip")]
    SigLip(SigLipConfig),
    /// [`CoSent`](crate::CoSent).
    #[serde(rename = "cosent")]
    CoSent(CoSentConfig),
    /// [`Distillation`](crate::Distillation).
    #[serde(rename = "distillation")]
    Distillation(DistillationConfig),
    /// [`Consistency`](crate::Consistency).
    #[serde(rename = "consistency")]
    Consistency(ConsistencyConfig),
}

impl LossConfig {
    /// Builds the loss, with fixed parameters.
    ///
    /// # Errors
    /// [`LossError`] if a setting is out of range.
    pub fn init(&self) -> Result<Box<dyn Loss>, LossError> {
        Ok(match self {
            LossConfig::InfoNce(config) => Box::new(config.init()?),
            LossConfig::SupCon(config) => Box::new(config.init()?),
            LossConfig::SigLip(config) => Box::new(config.init()?),
            LossConfig::CoSent(config) => Box::new(config.init()?),
            LossConfig::Distillation(config) => Box::new(config.init()?),
            LossConfig::Consistency(config) => Box::new(config.init()?),
        })
    }
}
