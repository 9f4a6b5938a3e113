//! A model folder's tokenizer, and an explicit policy for the special tokens around a text.
//!
//! The special tokens around a text are set in four files of a folder. [`TextTokenizer`] resolves them once, like transformers, and
//! [`TextTokenizer::policy`] returns the result and the files that it comes from.
//!
//! As in transformers, the text of a special token inside a text becomes that token, whichever file the tokenizer was read from. A
//! prompt template can therefore contain special tokens. BOS is not added to a text that starts with it.

use std::path::{Path, PathBuf};

use coin_core::model_files::{CONFIG, GENERATION_CONFIG, SENTENCEPIECE_TOKENIZER, TOKENIZER, TOKENIZER_CONFIG};
use coin_core::quote::cut;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::Tokenizer;

use crate::config::{ModelType, one_or_many};
use crate::{LlamaConfig, ModelError, sentencepiece, tokenizer_file};

/// Converts text to ids and back.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    policy: TokenPolicy,
    /// The token at the end of a text, if `tokenizer_config.json` names one.
    end: Option<u32>,
}

/// The special tokens around a text, each with the file that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPolicy {
    /// Token that is added before every text, if any.
    pub bos: Option<u32>,
    /// Tokens that end a generation. They are never added to a prompt.
    pub eos: Vec<u32>,
    /// Token for padding shorter rows of a batch, where it is masked. 0 if no file names one.
    pub pad: u32,
    /// The files that the three come from.
    pub origins: [&'static str; 3],
}

/// Texts that a tokenizer must encode without a panic.
const TRIALS: [&str; 3] = ["a b", " Is it\n12?", "\u{e9} \u{6f22}\u{5b57}"];

/// The keys of `tokenizer_config.json` that are used here.
#[derive(Debug, Default, Deserialize)]
struct TokenizerConfig {
    add_bos_token: Option<bool>,
    bos_token: Option<Token>,
    eos_token: Option<Token>,
    pad_token: Option<Token>,
}

/// A token as text, or as a table with its text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Table { content: String },
}

/// The keys of `generation_config.json` that are used here.
#[derive(Debug, Default, Deserialize)]
struct GenerationConfig {
    #[serde(default, with = "one_or_many")]
    eos_token_id: Vec<u32>,
    pad_token_id: Option<u32>,
}

/// Reads a file, or returns the default if it does not exist.
fn optional<T: DeserializeOwned + Default>(dir: &Path, name: &str) -> Result<T, ModelError> {
    let path = dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => coin_core::json::from_slice(&bytes).map_err(ModelError::malformed(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(ModelError::io(path)(error)),
    }
}

impl TextTokenizer {
    /// Reads `tokenizer.json`, or else `tokenizer.model`, of the model folder `dir`.
    ///
    /// # Errors
    /// Neither file exists, a file is damaged, or the tokenizer has an id outside the model's vocabulary.
    pub fn read(dir: &Path, config: &LlamaConfig) -> Result<Self, ModelError> {
        let (json, model) = (dir.join(TOKENIZER), dir.join(SENTENCEPIECE_TOKENIZER));
        let (path, inner): (PathBuf, Tokenizer) = match (json.exists(), model.exists()) {
            (false, true) => (model.clone(), sentencepiece::read(&model)?.tokenizer),
            _ => {
                let bytes = std::fs::read(&json).map_err(ModelError::io(&json))?;
                (json.clone(), tokenizer_file::read(&json, &bytes)?)
            }
        };
        Self::new(&path, inner, config, optional(dir, TOKENIZER_CONFIG)?, optional(dir, GENERATION_CONFIG)?)
    }

    /// Reads a tokenizer from the bytes of a `tokenizer.json` only. Errors name the file `path`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn from_bytes(path: &Path, bytes: &[u8], config: &LlamaConfig) -> Result<Self, ModelError> {
        let inner = tokenizer_file::read(path, bytes)?;
        Self::new(path, inner, config, TokenizerConfig::default(), GenerationConfig::default())
    }

    fn new(
        path: &Path,
        mut inner: Tokenizer,
        config: &LlamaConfig,
        of_tokenizer: TokenizerConfig,
        of_generation: GenerationConfig,
    ) -> Result<Self, ModelError> {
        let malformed = |message: String| ModelError::Malformed { path: path.to_owned(), message };
        inner.set_encode_special_tokens(false);
        // Files that were saved after fine-tuning may contain both. Callers cut and pad rows explicitly.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(ModelError::malformed(path))?;
        let largest = inner.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= config.vocab_size {
            return Err(malformed(format!("contains token id {largest}, but the model has {} ids", config.vocab_size)));
        }
        // A panic depends on normalizer and pre-tokenizer together. An error of a text, such as an unknown word, is not one of the file.
        for text in TRIALS {
            tokenizer_file::guarded(|| drop(inner.encode(text, false)))
                .map_err(|fault| malformed(format!("cannot encode `{}`: {fault}", cut(text))))?;
        }
        // A post-processor may add tokens outside the vocabulary.
        let around = tokenizer_file::guarded(|| [inner.encode("", true), inner.encode(("", ""), true)]);
        let around = around.map_err(malformed)?;
        for encoding in around {
            let encoding = encoding.map_err(|error| malformed(cut(&error.to_string()).into_owned()))?;
            if let Some(id) = encoding.get_ids().iter().find(|id| **id as usize >= config.vocab_size) {
                let ids = config.vocab_size;
                return Err(malformed(format!("its post-processor adds token id {id}, but the model has {ids} ids")));
            }
        }
        let id = |token: &Option<Token>| match token {
            None => Ok(None),
            Some(Token::Text(text) | Token::Table { content: text }) => match inner.token_to_id(text) {
                Some(id) => Ok(Some(id)),
                None => Err(malformed(format!("does not contain `{}`, which {TOKENIZER_CONFIG} names", cut(text)))),
            },
        };
        let (bos, bos_from) = match (of_tokenizer.add_bos_token, inner.get_post_processor()) {
            (Some(false), _) => (None, TOKENIZER_CONFIG),
            (Some(true), _) => (id(&of_tokenizer.bos_token)?.or(config.bos_token_id), TOKENIZER_CONFIG),
            (None, Some(_)) => {
                let nothing = inner.encode("", true).map_err(ModelError::malformed(path))?;
                (nothing.get_ids().first().copied(), TOKENIZER)
            }
            // The default of LLaMA tokenizers.
            (None, None) if config.model_type != ModelType::Qwen2 => (config.bos_token_id, CONFIG),
            (None, None) => (None, CONFIG),
        };
        // A missing token is an error only if nothing else ends a generation.
        let end = id(&of_tokenizer.eos_token).ok().flatten();
        let (eos, eos_from) = match (of_generation.eos_token_id, config.eos_token_ids.clone()) {
            (ids, _) if !ids.is_empty() => (ids, GENERATION_CONFIG),
            (_, ids) if !ids.is_empty() => (ids, CONFIG),
            _ => (id(&of_tokenizer.eos_token)?.into_iter().collect(), TOKENIZER_CONFIG),
        };
        let (pad, pad_from) = match (config.pad_token_id, of_generation.pad_token_id, id(&of_tokenizer.pad_token)?) {
            // Some files name a token that was not added to the model.
            (Some(pad), ..) if (pad as usize) < config.vocab_size => (pad, CONFIG),
            (_, Some(pad), _) if (pad as usize) < config.vocab_size => (pad, GENERATION_CONFIG),
            (.., Some(pad)) => (pad, TOKENIZER_CONFIG),
            _ => (0, "no file"),
        };
        let policy = TokenPolicy { bos, eos, pad, origins: [bos_from, eos_from, pad_from] };
        Ok(TextTokenizer { inner, policy, end })
    }

    /// Returns the tokenizer.
    pub fn inner(&self) -> &Tokenizer {
        &self.inner
    }

    /// Returns the special tokens around a text.
    pub fn policy(&self) -> &TokenPolicy {
        &self.policy
    }

    /// Returns the id that is added before every text, if any.
    pub fn bos(&self) -> Option<u32> {
        self.policy.bos
    }

    /// Returns the ids that end a generation.
    pub fn eos(&self) -> &[u32] {
        &self.policy.eos
    }

    /// Returns the id to append to an answer from which a model learns to stop: the one that `tokenizer_config.json` names, if it
    /// ends a generation, or otherwise the first id that does.
    pub fn end(&self) -> Option<u32> {
        let eos = &self.policy.eos;
        self.end.filter(|end| eos.contains(end)).or(eos.first().copied())
    }

    /// Returns the ids of `text`, starting with BOS if the policy has it. BOS occurs once, even if the text starts with it.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = tokenizer_file::guarded(|| self.inner.encode(text, false)).map_err(ModelError::Invalid)?;
        let encoding = encoding.map_err(|error| ModelError::Invalid(cut(&error.to_string()).into_owned()))?;
        let ids = encoding.get_ids();
        let own = self.policy.bos.map_or(0, |bos| ids.iter().take_while(|id| **id == bos).count());
        Ok(self.policy.bos.into_iter().chain(ids[own..].iter().copied()).collect())
    }

    /// Returns the text of `ids` without special tokens.
    ///
    /// # Errors
    /// The tokenizer fails on the ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        let text = tokenizer_file::guarded(|| self.inner.decode(ids, true)).map_err(ModelError::Invalid)?;
        text.map_err(|error| ModelError::Invalid(cut(&error.to_string()).into_owned()))
    }

    /// Returns a line per special token with its ids, their texts and the file that they come from.
    pub fn describe(&self) -> [String; 3] {
        let TokenPolicy { bos, eos, pad, origins } = &self.policy;
        let name = |id: &u32| match self.inner.id_to_token(*id) {
            Some(text) => format!("{id} `{text}`"),
            None => id.to_string(),
        };
        let bos = bos
            .as_ref()
            .map_or("none, nothing is added before a text".to_owned(), |id| format!("{} before a text", name(id)));
        let eos = match eos[..] {
            [] => "none, no token ends a generation".to_owned(),
            _ => format!("{} ends a generation", eos.iter().map(name).collect::<Vec<_>>().join(" or ")),
        };
        let [of_bos, of_eos, of_pad] = origins;
        [format!("{bos} ({of_bos})"), format!("{eos} ({of_eos})"), format!("{} in masked places ({of_pad})", name(pad))]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::tests::tiny;

    /// Creates a folder with a tokenizer of four words and these other files.
    fn folder(post_processor: Value, files: &[(&str, Value)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = json!({
            "version": "1.0",
            "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "hi": 3}, "unk_token": "<unk>"},
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": post_processor,
        });
        for (name, value) in files.iter().chain([&(TOKENIZER, tokenizer)]) {
            std::fs::write(dir.path().join(name), value.to_string()).unwrap();
        }
        dir
    }

    fn policy(post_processor: Value, files: &[(&str, Value)], config: &LlamaConfig) -> TokenPolicy {
        let dir = folder(post_processor, files);
        TextTokenizer::read(dir.path(), config).unwrap().policy
    }

    #[test]
    fn the_first_file_with_a_value_decides() {
        let adds_bos = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        });
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false});
        let llama = LlamaConfig { bos_token_id: Some(1), ..tiny() };
        let qwen = LlamaConfig { model_type: ModelType::Qwen2, ..llama.clone() };
        let says = |add: bool| [(TOKENIZER_CONFIG, json!({"add_bos_token": add, "bos_token": {"content": "</s>"}}))];
        assert_eq!(policy(adds_bos.clone(), &says(false), &llama).bos, None);
        assert_eq!(policy(Value::Null, &says(true), &llama).bos, Some(2));
        assert_eq!(policy(adds_bos, &[], &llama).origins[0], TOKENIZER);
        assert_eq!(policy(byte_level, &[], &llama).bos, None);
        assert_eq!(policy(Value::Null, &[], &llama).bos, Some(1));
        assert_eq!(policy(Value::Null, &[], &qwen).bos, None);

        let generation = [(GENERATION_CONFIG, json!({"eos_token_id": [2, 3], "pad_token_id": 3}))];
        let both = policy(Value::Null, &generation, &llama);
        assert_eq!((both.eos, both.pad), (vec![2, 3], 3));
        let without = LlamaConfig { eos_token_ids: Vec::new(), ..llama };
        let named = [(TOKENIZER_CONFIG, json!({"eos_token": "hi", "pad_token": "<unk>"}))];
        assert_eq!(policy(Value::Null, &named, &without).eos, [3]);
    }

    #[test]
    fn a_tokenizer_that_panics_is_rejected() {
        let pattern = r" ?[\p{L}_]+| ?\p{N}| ?[^\s\p{L}\p{N}_]+|\n+|\s";
        let read = |normalizer: Value, split: bool| {
            let dir = folder(Value::Null, &[]);
            let mut file: Value = serde_json::from_slice(&std::fs::read(dir.path().join(TOKENIZER)).unwrap()).unwrap();
            file["normalizer"] = normalizer;
            let split = split.then(
                || json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}),
            );
            let bytes =
                json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
            let steps: Vec<Value> = split.into_iter().chain([bytes]).collect();
            file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": steps});
            TextTokenizer::from_bytes(Path::new(TOKENIZER), file.to_string().as_bytes(), &tiny())
        };
        for normalizer in [
            json!({"type": "Replace", "pattern": {"Regex": r"\A(?=.)"}, "content": "aaa"}),
            json!({"type": "Prepend", "prepend": ""}),
        ] {
            let error = read(normalizer, true).unwrap_err().to_string();
            assert!(error.starts_with("tokenizer.json: cannot encode `"), "{error}");
            assert!(error.contains("`: the tokenizer fails: "), "{error}");
        }
        assert!(read(Value::Null, true).is_ok() && read(Value::Null, false).is_ok());
    }

    #[test]
    fn a_post_processor_outside_the_vocabulary_is_rejected() {
        let adds = |id: u32| {
            json!({
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [id], "tokens": ["<s>"]}},
            })
        };
        let read = |id| TextTokenizer::read(folder(adds(id), &[]).path(), &tiny());
        assert!(read(22).is_ok());
        let message = read(23).unwrap_err().to_string();
        assert!(message.contains("tokenizer.json") && message.contains("token id 23"), "{message}");
    }

    #[test]
    fn a_duplicate_key_is_rejected() {
        for name in [TOKENIZER_CONFIG, GENERATION_CONFIG] {
            let dir = folder(Value::Null, &[]);
            std::fs::write(dir.path().join(name), r#"{"pad_token_id": 1, "x": {"y": 1, "y": 2}}"#).unwrap();
            let message = TextTokenizer::read(dir.path(), &tiny()).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("duplicate key `y`"), "{message}");
        }
    }

    #[test]
    fn special_tokens_in_a_text_are_tokens_and_bos_occurs_once() {
        let llama = LlamaConfig { bos_token_id: Some(1), ..tiny() };
        let token = |id: u32, content: &str| {
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false})
        };
        let dir = folder(Value::Null, &[]);
        let mut file: Value = serde_json::from_slice(&std::fs::read(dir.path().join(TOKENIZER)).unwrap()).unwrap();
        file["added_tokens"] = json!([token(1, "<s>"), token(2, "</s>")]);
        std::fs::write(dir.path().join(TOKENIZER), file.to_string()).unwrap();
        let tokenizer = TextTokenizer::read(dir.path(), &llama).unwrap();
        for (text, ids) in [
            ("hi", vec![1, 3]),
            ("<s>hi", vec![1, 3]),
            ("<s> <s> hi</s>hi", vec![1, 3, 2, 3]),
            ("<s>", vec![1]),
            ("", vec![1]),
        ] {
            assert_eq!(tokenizer.encode(text).unwrap(), ids, "{text}");
        }
    }

    #[test]
    fn an_answer_ends_in_the_token_that_the_tokenizer_names() {
        let end = |files: &[(&str, Value)], config: &LlamaConfig| {
            let dir = folder(Value::Null, files);
            TextTokenizer::read(dir.path(), config).unwrap().end()
        };
        let generation = (GENERATION_CONFIG, json!({"eos_token_id": [2, 3]}));
        let named = (TOKENIZER_CONFIG, json!({"eos_token": "hi"}));
        let none = LlamaConfig { eos_token_ids: Vec::new(), ..tiny() };
        assert_eq!(end(std::slice::from_ref(&generation), &none), Some(2));
        assert_eq!(end(&[generation, named.clone()], &none), Some(3));
        assert_eq!(end(&[named], &none), Some(3));
        assert_eq!(end(&[], &none), None);
    }

    #[test]
    fn faults_are_named() {
        let small = LlamaConfig { vocab_size: 3, ..tiny() };
        let dir = folder(Value::Null, &[]);
        let message = TextTokenizer::read(dir.path(), &small).unwrap_err().to_string();
        assert!(message.contains("token id 3") && message.contains("3 ids"), "{message}");
        let dir = folder(Value::Null, &[(TOKENIZER_CONFIG, json!({"add_bos_token": true, "bos_token": "<bos>"}))]);
        assert!(TextTokenizer::read(dir.path(), &tiny()).unwrap_err().to_string().contains("`<bos>`"));
        let empty = tempfile::tempdir().unwrap();
        assert!(TextTokenizer::read(empty.path(), &tiny()).unwrap_err().to_string().contains("tokenizer.json"));
    }

    #[test]
    fn the_policy_is_described() {
        let dir = folder(Value::Null, &[]);
        let lines = TextTokenizer::read(dir.path(), &tiny()).unwrap().describe();
        assert_eq!(
            lines,
            [
                "1 `<s>` before a text (config.json)",
                "2 `</s>` ends a generation (config.json)",
                "0 `<unk>` in masked places (no file)",
            ]
        );
    }
}
