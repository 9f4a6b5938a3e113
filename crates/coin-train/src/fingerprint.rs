//! Hashes that tell whether a run is resumed on the same files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use coin_data::Pair;
use sha2::{Digest, Sha256};

use crate::TrainError;

/// Bytes that are hashed at either end of a weight file.
const ENDS: u64 = 1 << 20;

pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the pairs' content.
pub(crate) fn of_pairs(pairs: &[Pair]) -> String {
    let mut hash = Sha256::new();
    for pair in pairs {
        // A pair is made of texts, which JSON can always hold.
        hash.update(serde_json::to_vec(pair).unwrap_or_default());
        hash.update([0]);
    }
    hexadecimal(hash)
}

/// SHA-256 of some texts.
pub(crate) fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    hexadecimal(hash)
}

/// SHA-256 of a model folder: `config.json` whole, of every weight file its name, size, first and last megabyte.
pub(crate) fn of_model(dir: &Path) -> Result<String, TrainError> {
    let mut hash = Sha256::new();
    let config = dir.join("config.json");
    hash.update(std::fs::read(&config).map_err(TrainError::io(&config))?);
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(TrainError::io(dir))? {
        let path = entry.map_err(TrainError::io(dir))?.path();
        if path.extension().is_some_and(|kind| kind == "safetensors" || kind == "bin") {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        ends(&path, &mut hash).map_err(TrainError::io(&path))?;
    }
    Ok(hexadecimal(hash))
}

fn ends(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    hash.update(size.to_le_bytes());
    let mut bytes = Vec::new();
    file.by_ref().take(ENDS).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(size.saturating_sub(ENDS)))?;
    file.take(ENDS).read_to_end(&mut bytes)?;
    hash.update(&bytes);
    Ok(())
}
