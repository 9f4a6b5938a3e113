//! Options of the hub: endpoint, token, cache, and the environment variables that set them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::HubError;
use crate::progress::Progress;

/// The public hub.
pub const PUBLIC_ENDPOINT: &str = "https://huggingface.co";

/// The settings of a [`Hub`](crate::Hub).
///
/// [`new`](Self::new) reads only its argument; [`from_env`](Self::from_env) follows the environment variables that
/// `huggingface_hub` documents. Fields can be changed afterwards in both cases.
#[derive(Clone)]
pub struct HubOptions {
    /// The hub's address. Default [`PUBLIC_ENDPOINT`]. A user and password in it (`https://user:password@host`) are sent and
    /// never printed.
    pub endpoint: String,
    /// An access token. It is sent to the endpoint only, never to the servers it redirects to, and never printed. Over plain
    /// HTTP it is sent to this machine only; another endpoint over plain HTTP is an error.
    pub token: Option<String>,
    /// A file with the token, read if `token` is `None` and the file exists. Default none.
    pub token_file: Option<PathBuf>,
    /// The cache folder, in the layout of `huggingface_hub` (its `HF_HUB_CACHE`).
    pub cache: PathBuf,
    /// True to make no requests. Default false.
    pub offline: bool,
    /// Number of retries of a failed request or transfer, with growing pauses from half a second. Default 3.
    pub retries: u32,
    /// Time limit for a connection, for an answer, and for the next bytes of a file. Default 60 seconds.
    pub timeout: Duration,
    /// True to use `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Default false; [`from_env`](Self::from_env) sets true.
    pub proxy_from_env: bool,
    /// A PEM file with the certificates to trust. Default none: the compiled-in certificates of Mozilla.
    pub certificates: Option<PathBuf>,
    /// Receives the events of every transfer. Default none.
    pub progress: Option<Arc<dyn Progress>>,
}

impl HubOptions {
    /// Options for the public hub without a token and with files in `cache`. Does not read the environment.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: PUBLIC_ENDPOINT.to_owned(),
            token: None,
            token_file: None,
            cache: cache.into(),
            offline: false,
            retries: 3,
            timeout: Duration::from_secs(60),
            proxy_from_env: false,
            certificates: None,
            progress: None,
        }
    }

    /// Options from the environment of this process; see [`from_lookup`](Self::from_lookup).
    ///
    /// # Errors
    /// Same as [`from_lookup`](Self::from_lookup).
    pub fn from_env() -> Result<Self, HubError> {
        let options = Self::from_lookup(&|name| std::env::var(name).ok())?;
        Ok(Self { proxy_from_env: true, ..options })
    }

    /// Options from the variables that `lookup` returns, by the rules of `huggingface_hub`:
    ///
    /// | field | first of |
    /// |---|---|
    /// | `endpoint` | `HF_ENDPOINT`, [`PUBLIC_ENDPOINT`] |
    /// | `cache` | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub` |
    /// | `token` | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` |
    /// | `token_file` | `HF_TOKEN_PATH`, `$HF_HOME/token` |
    /// | `offline` | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` (1, on, yes, true) |
    /// | `certificates` | `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `SSL_CERT_FILE` |
    ///
    /// If `HF_HOME` is unset, it is `$XDG_CACHE_HOME/huggingface`; if that is unset too, `~/.cache/huggingface`. With
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`, neither a token nor its file is used. Empty variables count as unset. Reads no file.
    ///
    /// # Errors
    /// [`HubError::Option`] if no variable determines a cache folder, not even `HOME` (or `USERPROFILE`).
    ///
    /// ```
    /// use coin_hub::HubOptions;
    ///
    /// let options = HubOptions::from_lookup(&|name| (name == "HF_HOME").then(|| "/data/hf".to_owned()))?;
    /// assert_eq!(options.cache, std::path::Path::new("/data/hf/hub"));
    /// # Ok::<(), coin_hub::HubError>(())
    /// ```
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| lookup(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty()))
        };
        let user = first(&["HOME", "USERPROFILE"]).map(PathBuf::from);
        let folder = |names: &[&str]| {
            first(names).map(|text| match (text.strip_prefix("~/"), &user) {
                (Some(rest), Some(user)) => user.join(rest),
                _ => PathBuf::from(text),
            })
        };
        let is_true = |names: &[&str]| {
            first(names).is_some_and(|text| matches!(text.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
        };

        let home = folder(&["HF_HOME"])
            .or_else(|| folder(&["XDG_CACHE_HOME"]).map(|cache| cache.join("huggingface")))
            .or_else(|| user.as_ref().map(|user| user.join(".cache").join("huggingface")));
        let cache = folder(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| HubError::Option {
                option: "cache",
                reason: "the home folder is unknown; set HF_HOME or HF_HUB_CACHE".to_owned(),
            })?;
        let implicit = !is_true(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]);

        Ok(Self {
            endpoint: first(&["HF_ENDPOINT"]).unwrap_or_else(|| PUBLIC_ENDPOINT.to_owned()),
            token: first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).filter(|_| implicit),
            token_file: folder(&["HF_TOKEN_PATH"]).or_else(|| home.map(|home| home.join("token"))).filter(|_| implicit),
            offline: is_true(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            certificates: folder(&["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]),
            ..Self::new(cache)
        })
    }

    /// The token: the field, or else the trimmed content of the token file.
    pub(crate) fn read_token(&self) -> Result<Option<String>, HubError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(HubError::Io { path: path.clone(), source }),
            },
            (None, None) => return Ok(None),
        };
        let token = token.trim();
        if !token.chars().all(|c| c.is_ascii_graphic()) {
            let reason = "it contains characters that a token cannot contain".to_owned();
            return Err(HubError::Option { option: "token", reason });
        }
        Ok(Some(token.to_owned()).filter(|token| !token.is_empty()))
    }
}

/// All options. The token is hidden, and so are the user and password of the endpoint.
impl fmt::Debug for HubOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubOptions")
            .field("endpoint", &coin_core::address::public(&self.endpoint))
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("token_file", &self.token_file)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("retries", &self.retries)
            .field("timeout", &self.timeout)
            .field("proxy_from_env", &self.proxy_from_env)
            .field("certificates", &self.certificates)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<HubOptions, HubError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        HubOptions::from_lookup(&find)
    }

    #[test]
    fn defaults_lie_under_the_home_folder() {
        let options = from(&[("HOME", "/home/u")]).unwrap();
        assert_eq!(options.endpoint, "https://huggingface.co");
        assert_eq!(options.cache, PathBuf::from("/home/u/.cache/huggingface/hub"));
        assert_eq!(options.token_file, Some(PathBuf::from("/home/u/.cache/huggingface/token")));
        assert!(options.token.is_none() && !options.offline && options.certificates.is_none());
    }

    #[test]
    fn the_nearer_variable_wins() {
        let all = [
            ("HOME", "/home/u"),
            ("XDG_CACHE_HOME", "/xdg"),
            ("HF_HOME", "~/hf"),
            ("HUGGINGFACE_HUB_CACHE", "/old"),
            ("HF_HUB_CACHE", "/new"),
        ];
        assert_eq!(from(&all[..2]).unwrap().cache, PathBuf::from("/xdg/huggingface/hub"));
        assert_eq!(from(&all[..3]).unwrap().cache, PathBuf::from("/home/u/hf/hub"));
        assert_eq!(from(&all[..4]).unwrap().cache, PathBuf::from("/old"));
        let options = from(&all).unwrap();
        assert_eq!(options.cache, PathBuf::from("/new"));
        assert_eq!(options.token_file, Some(PathBuf::from("/home/u/hf/token")));
    }

    #[test]
    fn tokens_and_switches() {
        let token = [("HF_HUB_CACHE", "/c"), ("HF_TOKEN", " hf_secret\n"), ("TRANSFORMERS_OFFLINE", "yes")];
        let options = from(&token).unwrap();
        assert_eq!(options.token.as_deref(), Some("hf_secret"));
        assert!(options.offline);
        assert!(!format!("{options:?}").contains("secret"));
        let disabled = [("HF_HOME", "/h"), ("HF_TOKEN", "hf_secret"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        let options = from(&disabled).unwrap();
        assert!(options.token.is_none() && options.token_file.is_none());
        assert!(!from(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", "0")]).unwrap().offline);
    }

    #[test]
    fn no_home_is_an_error_that_names_the_variables() {
        assert!(from(&[]).unwrap_err().to_string().contains("HF_HOME"));
    }

    #[test]
    fn the_token_file_is_read_where_no_token_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mut options = HubOptions { token_file: Some(path.clone()), ..HubOptions::new(folder.path()) };
        assert_eq!(options.read_token().unwrap(), None);
        std::fs::write(&path, "hf_file\n").unwrap();
        assert_eq!(options.read_token().unwrap().as_deref(), Some("hf_file"));
        options.token = Some("hf_given".to_owned());
        assert_eq!(options.read_token().unwrap().as_deref(), Some("hf_given"));
        options.token = Some("hf_ä secret".to_owned());
        assert!(!options.read_token().unwrap_err().to_string().contains("secret"));
    }
}
