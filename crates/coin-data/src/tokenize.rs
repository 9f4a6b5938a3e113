//! Converts prompt and target to token ids, with the boundary between them.
//!
//! Prompt and target are tokenized together. The boundary is determined from the offsets of the tokens ([`Boundary::Offsets`]:
//! a token is supervised if it contains text of the target), or by the method of the released program
//! ([`Boundary::PromptAlone`]). The two differ if the prompt is tokenized differently alone.

mod pair;

use serde::{Deserialize, Serialize};
use tokenizers::{Encoding, Tokenizer};

pub use pair::{PairRow, TokenizedPairs, tokenize_pairs};

use coin_core::panic::caught;
use coin_core::quote::cut;

use crate::DataError;

/// A tokenized prompt with its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The ids: BOS if there is one, prompt, target, EOS if requested.
    pub ids: Vec<u32>,
    /// Number of ids before the first supervised one.
    pub prompt: usize,
    /// Number of prompt tokens removed from the middle to fit the limit.
    pub shortened: usize,
    /// Number of target tokens removed on the right to fit the limit, including EOS.
    pub cut: usize,
}

impl TokenRow {
    /// Number of supervised tokens.
    pub fn supervised(&self) -> usize {
        self.ids.len() - self.prompt
    }
}

/// The treatment of rows longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncation {
    /// Keep the whole target and cut the middle of the prompt (default; preset `strict`).
    #[default]
    KeepAnswer,
    /// Cut on the right, including the target (preset `paper`). A row without any target left is an error.
    Right,
    /// Refuse the row.
    Error,
    /// Leave the row out.
    Skip,
}

/// The place where supervision begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// At the first token that contains text of the target (default; preset `strict`).
    #[default]
    Offsets,
    /// After as many tokens as the prompt has if tokenized alone (preset `paper`, the released program's). If a token of the
    /// joint text spans the boundary, or the prompt ends in different tokens alone, supervision begins a token too late or
    /// too early.
    PromptAlone,
}

/// Settings of tokenization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenizeOptions {
    /// Id of the token before the prompt, if any. It is not added to a text that already begins with it.
    pub bos: Option<u32>,
    /// Id of the token after the target. It is supervised, so that the model learns to stop. Default none (the released
    /// program's). It is not added to a target that already ends in it.
    pub eos: Option<u32>,
    /// Maximum length of a row, in tokens. Default 256 (the released program's).
    pub max_tokens: usize,
    /// The treatment of longer rows.
    pub truncation: Truncation,
    /// The place where supervision begins.
    pub boundary: Boundary,
}

impl TokenizeOptions {
    /// The defaults, with this BOS id.
    pub fn new(bos: Option<u32>) -> Self {
        let (truncation, boundary) = (Truncation::default(), Boundary::default());
        TokenizeOptions { bos, eos: None, max_tokens: 256, truncation, boundary }
    }

    /// Tokenizes `prompt` followed by `target`. Returns `None` for a row that is too long under [`Truncation::Skip`].
    ///
    /// # Errors
    /// [`DataError::Invalid`] if no token is supervised, if no token precedes the first supervised one (which is predicted
    /// from it), if the target alone exceeds the limit, or if the tokenizer rejects the text or panics.
    pub fn row(&self, tokenizer: &Tokenizer, prompt: &str, target: &str) -> Result<Option<TokenRow>, DataError> {
        let text = format!("{prompt}{target}");
        let refused = |fault: &str| DataError::Invalid(format!("cannot tokenize `{}`: {}", cut(&text), cut(fault)));
        // The crate `tokenizers` panics on some texts, depending on the tokenizer's file.
        let encoded = |encode: &dyn Fn() -> tokenizers::Result<Encoding>| {
            let encoding = caught(encode).map_err(|fault| refused(&format!("the tokenizer fails: {fault}")))?;
            encoding.map_err(|error| refused(&error.to_string()))
        };
        let encoding = encoded(&|| tokenizer.encode(text.as_str(), false))?;
        let own = self.bos.map_or(0, |bos| encoding.get_ids().iter().take_while(|id| **id == bos).count());
        let bos = self.bos.iter().count();
        let boundary = match self.boundary {
            Boundary::Offsets => encoding.get_offsets().iter().position(|&(_, end)| end > prompt.len()),
            Boundary::PromptAlone => {
                let alone = encoded(&|| tokenizer.encode_fast(prompt, false))?.len();
                (alone < encoding.len()).then_some(alone)
            }
        };
        // A BOS in the text replaces the one that would be added.
        let Some(mut prompt_tokens) = boundary.map(|boundary| bos + boundary.saturating_sub(own)) else {
            return Err(DataError::Invalid(format!("target `{}` has no token to learn from", cut(target))));
        };
        if prompt_tokens == 0 {
            let (prompt, target) = (cut(prompt), cut(target));
            let message = format!("prompt `{prompt}` has no token, so nothing precedes the target `{target}`");
            return Err(DataError::Invalid(message));
        }
        let mut ids: Vec<u32> = self.bos.into_iter().chain(encoding.get_ids()[own..].iter().copied()).collect();
        if prompt_tokens >= ids.len() {
            return Err(DataError::Invalid(format!("target `{}` has no token to learn from", cut(target))));
        }
        ids.extend(self.eos.filter(|eos| ids.last() != Some(eos)));
        let excess = ids.len().saturating_sub(self.max_tokens);
        let shown = cut(&text);
        let (mut shortened, mut cut) = (0, 0);
        if excess > 0 {
            let too_long = |what: &str| {
                DataError::Invalid(format!(
                    "{what}: {} tokens, at most {} allowed: `{}`",
                    ids.len(),
                    self.max_tokens,
                    shown
                ))
            };
            match self.truncation {
                Truncation::Error => return Err(too_long("row too long")),
                Truncation::Skip => return Ok(None),
                Truncation::Right => {
                    if prompt_tokens >= self.max_tokens {
                        return Err(too_long("truncation on the right leaves no target"));
                    }
                    ids.truncate(self.max_tokens);
                    cut = excess;
                }
                Truncation::KeepAnswer => {
                    // BOS and at least one prompt token on each side of the cut remain.
                    if prompt_tokens < excess + 3 {
                        return Err(too_long("target too long"));
                    }
                    let from = (prompt_tokens - excess) / 2;
                    ids.drain(from..from + excess);
                    prompt_tokens -= excess;
                    shortened = excess;
                }
            }
        }
        Ok(Some(TokenRow { ids, prompt: prompt_tokens, shortened, cut }))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::pre_tokenizers::whitespace::Whitespace;

    pub(crate) fn tokenizer() -> Tokenizer {
        let words = ["[UNK]", "is", "it", "good", "?", "yes", "no", "#"];
        let vocab = words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id as u32)).collect();
        let model = WordLevel::builder().vocab(vocab).unk_token("[UNK]".to_owned()).build().unwrap();
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(Whitespace {}));
        tokenizer
    }

    pub(crate) const OPTIONS: TokenizeOptions = TokenizeOptions {
        bos: Some(9),
        eos: None,
        max_tokens: 256,
        truncation: Truncation::KeepAnswer,
        boundary: Boundary::Offsets,
    };

    #[test]
    fn the_boundary_is_where_the_target_begins() {
        let row = OPTIONS.row(&tokenizer(), "is it good ?\n", "yes no").unwrap().unwrap();
        assert_eq!(row, TokenRow { ids: vec![9, 1, 2, 3, 4, 5, 6], prompt: 5, shortened: 0, cut: 0 });
        // A token that spans the boundary is supervised: "go" + "od".
        let row = OPTIONS.row(&tokenizer(), "is it go", "od").unwrap().unwrap();
        assert_eq!((row.ids, row.prompt), (vec![9, 1, 2, 3], 3));
        assert!(OPTIONS.row(&tokenizer(), "is it ", " ").unwrap_err().to_string().contains("no token"));
    }

    #[test]
    fn a_target_needs_a_token_before_it() {
        for boundary in [Boundary::Offsets, Boundary::PromptAlone] {
            let options = TokenizeOptions { bos: None, boundary, ..OPTIONS };
            let message = options.row(&tokenizer(), " \n", "yes no").unwrap_err().to_string();
            assert!(message.contains(r"prompt ` \n` has no token") && message.contains("yes no"), "{message}");
            assert_eq!(options.row(&tokenizer(), "is ", "yes").unwrap().unwrap().prompt, 1);
            let begun = TokenizeOptions { bos: Some(1), ..options };
            assert_eq!(begun.row(&tokenizer(), "", "yes").unwrap().unwrap().prompt, 1);
        }
    }

    #[test]
    fn a_panic_of_the_tokenizer_is_an_error() {
        let byte_level = r#"{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}"#;
        let text = format!(
            r#"{{"version": "1.0", "normalizer": {{"type": "Replace", "pattern": {{"String": ""}}, "content": "aaa"}},
                "pre_tokenizer": {byte_level},
                "model": {{"type": "WordLevel", "vocab": {{"[UNK]": 0}}, "unk_token": "[UNK]"}}}}"#
        );
        let tokenizer: Tokenizer = text.parse().unwrap();
        for boundary in [Boundary::Offsets, Boundary::PromptAlone] {
            let options = TokenizeOptions { boundary, ..OPTIONS };
            let message = options.row(&tokenizer, "is it good ?", "yes").unwrap_err().to_string();
            assert!(message.contains("cannot tokenize `is it good ?yes`: the tokenizer fails: "), "{message}");
        }
    }

    #[test]
    fn a_text_that_begins_with_bos_gets_no_second_one() {
        let mut tokenizer = tokenizer();
        tokenizer.add_special_tokens([tokenizers::AddedToken::from("#", true)]).unwrap();
        for boundary in [Boundary::Offsets, Boundary::PromptAlone] {
            let options = TokenizeOptions { bos: Some(7), boundary, ..OPTIONS };
            for (prompt, ids) in
                [("is it ", vec![7, 1, 2, 5]), ("# is it ", vec![7, 1, 2, 5]), ("## is it ", vec![7, 1, 2, 5])]
            {
                let row = options.row(&tokenizer, prompt, "yes").unwrap().unwrap();
                assert_eq!((row.ids, row.prompt), (ids, 3), "{prompt}");
            }
            let row = options.row(&tokenizer, "#", "yes").unwrap().unwrap();
            assert_eq!((row.ids, row.prompt), (vec![7, 5], 1));
            // If no BOS is added, the one in the text stays.
            let row = TokenizeOptions { bos: None, ..options }.row(&tokenizer, "# is ", "yes").unwrap().unwrap();
            assert_eq!((row.ids, row.prompt), (vec![7, 1, 5], 2));
        }
    }

    #[test]
    fn the_end_is_the_last_supervised_token() {
        let ending = TokenizeOptions { eos: Some(7), ..OPTIONS };
        let row = ending.row(&tokenizer(), "is it good ?\n", "yes no").unwrap().unwrap();
        assert_eq!((row.ids.as_slice(), row.prompt, row.supervised()), (&[9, 1, 2, 3, 4, 5, 6, 7][..], 5, 3));
        // It is not added twice.
        let row = ending.row(&tokenizer(), "is it good ?\n", "yes #").unwrap().unwrap();
        assert_eq!((row.ids.as_slice(), row.supervised()), (&[9, 1, 2, 3, 4, 5, 7][..], 2));
        // The middle of the prompt is cut to make room for it.
        let short = TokenizeOptions { max_tokens: 6, ..ending };
        let row = short.row(&tokenizer(), "is it good ? # ", "yes").unwrap().unwrap();
        assert_eq!((row.ids.as_slice(), row.shortened, row.cut), (&[9, 1, 4, 7, 5, 7][..], 2, 0));
        // Tokens cut on the right are counted.
        let right = TokenizeOptions { max_tokens: 5, truncation: Truncation::Right, ..ending };
        let row = right.row(&tokenizer(), "is it ", "yes no").unwrap().unwrap();
        assert_eq!((row.ids.as_slice(), row.cut), (&[9, 1, 2, 5, 6][..], 1));
        for truncation in [Truncation::Error, Truncation::Skip] {
            let strict = TokenizeOptions { max_tokens: 5, truncation, ..ending };
            assert!(!matches!(strict.row(&tokenizer(), "is it ", "yes no"), Ok(Some(_))), "{truncation:?}");
        }
    }

    #[test]
    fn the_released_boundary_counts_the_tokens_of_the_prompt_alone() {
        let released = TokenizeOptions { boundary: Boundary::PromptAlone, ..OPTIONS };
        let row = released.row(&tokenizer(), "is it good ?\n", "yes no").unwrap().unwrap();
        assert_eq!((row.ids, row.prompt), (vec![9, 1, 2, 3, 4, 5, 6], 5));
        // "go" alone is one token, so the joint token "good" counts as prompt, and the target begins after it.
        let row = released.row(&tokenizer(), "is it go", "od yes").unwrap().unwrap();
        assert_eq!((row.ids, row.prompt), (vec![9, 1, 2, 3, 5], 4));
        assert!(released.row(&tokenizer(), "is it go", "od").unwrap_err().to_string().contains("no token"));
    }

    #[test]
    fn long_rows_follow_the_policy() {
        let options = |truncation| TokenizeOptions { max_tokens: 5, truncation, ..OPTIONS };
        let row = |truncation| options(truncation).row(&tokenizer(), "is it good ? # ", "yes");
        let kept = row(Truncation::KeepAnswer).unwrap().unwrap();
        assert_eq!(kept, TokenRow { ids: vec![9, 1, 4, 7, 5], prompt: 4, shortened: 2, cut: 0 });
        assert!(row(Truncation::Error).is_err());
        assert_eq!(row(Truncation::Skip).unwrap(), None);
        assert!(row(Truncation::Right).unwrap_err().to_string().contains("no target"));
        let right = TokenizeOptions { max_tokens: 5, truncation: Truncation::Right, ..OPTIONS };
        let row = right.row(&tokenizer(), "is it ", "yes no yes").unwrap().unwrap();
        assert_eq!((row.ids, row.prompt, row.cut), (vec![9, 1, 2, 5, 6], 3, 1));
    }
}
