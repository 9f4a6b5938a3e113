//! The options for a model, shared by all commands that use one.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use coin::hub::{Files, Hub, HubOptions, ProgressEvent, RepoKind, Source};
use coin::model::{FloatType, Llama, Quantization, WeightFormat};
use coin::model_folder;

use super::choice::{choices, name};
use super::device_named;
use crate::failure::{Failure, OrFail};
use crate::progress;

/// A model and an adapter, with their dtype and device.
#[derive(Debug, Clone, Args)]
pub struct ModelArguments {
    /// Model: a folder in Hugging Face's layout, or a name on the hub, such as `org/name` or `org/name@revision`.
    #[arg(long)]
    pub model: String,
    /// PEFT adapter: a folder, or a name on the hub.
    #[arg(long)]
    pub adapter: Option<String>,
    /// Dtype of weights and activations.
    #[arg(long, value_parser = choices::<FloatType>(), default_value = name(FloatType::F32))]
    pub dtype: FloatType,
    /// Quantizes the weights of the linear layers.
    #[arg(long, value_parser = choices::<Quantization>())]
    pub quantize: Option<Quantization>,
    /// Device to compute on.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Uses only the cache for names on the hub, without network access.
    #[arg(long)]
    pub offline: bool,
}

impl ModelArguments {
    /// The form of the weights in memory.
    pub fn format(&self) -> WeightFormat {
        WeightFormat { dtype: self.dtype, quantization: self.quantize }
    }

    /// The device.
    pub fn device(&self) -> Result<Device, Failure> {
        device_named(&self.device)
    }

    /// The folders of model and adapter, downloaded from the hub if necessary.
    pub fn folders(&self) -> Result<(PathBuf, Option<PathBuf>), Failure> {
        let model = folder("--model", &self.model, Files::Model, self.offline)?;
        let adapter = self.adapter.as_deref().map(|name| folder("--adapter", name, Files::Adapter, self.offline));
        Ok((model, adapter.transpose()?))
    }

    /// Loads the model onto the device, without autodiff, and returns it with its folder. Prints warnings to standard error.
    pub fn open(&self) -> Result<(Llama, PathBuf), Failure> {
        let device = self.device()?;
        let (folder, adapter) = self.folders()?;
        let (model, warnings) = model_folder::open(&folder, adapter.as_deref(), self.format(), &device).input()?;
        warn(&warnings);
        Ok((model, folder))
    }
}

/// Writes warnings to standard error.
pub fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("coin: warning: {warning}");
    }
}

/// Returns the folder called `text`: a local folder, or the files of that name on the hub. Errors name the `option`.
pub fn folder(option: &str, text: &str, files: Files<'_>, offline: bool) -> Result<PathBuf, Failure> {
    folder_of(RepoKind::Model, option, text, files, offline)
}

/// Returns the data folder called `text`: a local folder, or the files of that data set on the hub that `wanted` accepts.
pub fn data_folder(option: &str, text: &str, wanted: &dyn Fn(&str) -> bool, offline: bool) -> Result<PathBuf, Failure> {
    folder_of(RepoKind::Dataset, option, text, Files::Matching(wanted), offline)
}

fn folder_of(kind: RepoKind, option: &str, text: &str, files: Files<'_>, offline: bool) -> Result<PathBuf, Failure> {
    // A name that looks like a path is not searched on the hub.
    let is_path = text.starts_with(['.', '/', '~']) || text.ends_with('/') || text.matches('/').count() > 1;
    if is_path && !Path::new(text).is_dir() {
        return Err(Failure::Input(anyhow::anyhow!("{option} {text}: no such folder")));
    }
    let named = |error: coin::hub::HubError| {
        anyhow::Error::new(error).context(format!("{option} {text}: no such folder; as a name on the hub"))
    };
    match Source::parse(kind, text).map_err(named).input()? {
        Source::Folder(folder) => Ok(folder),
        Source::Hub(repo) => {
            let bar = progress::bytes();
            let options = HubOptions::from_env().map_err(named).input()?;
            let offline = offline || options.offline;
            let watch = bar.clone();
            let options = HubOptions {
                offline,
                progress: Some(std::sync::Arc::new(move |event: ProgressEvent<'_>| show(&watch, event))),
                ..options
            };
            let found = Hub::new(options).and_then(|hub| hub.folder(&repo, files)).map_err(named);
            bar.clear();
            found.input()
        }
    }
}

fn show(bar: &progress::Bar, event: ProgressEvent<'_>) {
    match event {
        ProgressEvent::Started { file, size, resumed_at } => bar.begin(file, resumed_at, size.unwrap_or(0)),
        ProgressEvent::Advanced { bytes } => bar.inc(bytes),
        ProgressEvent::Retrying { what, reason } => bar.say(&format!("coin: {what}: {reason}; retrying")),
        _ => {}
    }
}
