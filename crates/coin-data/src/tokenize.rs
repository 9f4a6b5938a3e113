//! Prompt and target as token ids, with the boundary between them.
//!
//! Prompt and target are tokenised together, and the boundary is found from the tokens' offsets: a token is supervised
//! if any of its text belongs to the target. (The released program counts the tokens of the prompt alone, which can
//! disagree where a token spans the boundary.)

use tokenizers::Tokenizer;

use crate::DataError;

/// A tokenised prompt with its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The ids: BOS if there is one, prompt, target.
    pub ids: Vec<u32>,
    /// Number of ids before the first supervised one.
    pub prompt: usize,
    /// Number of prompt tokens cut out of the middle to fit.
    pub shortened: usize,
}

impl TokenRow {
    /// Number of supervised tokens.
    pub fn supervised(&self) -> usize {
        self.ids.len() - self.prompt
    }
}

/// What to do with a row longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncation {
    /// Keep the whole target and cut the prompt's middle (default; preset `strict`).
    #[default]
    KeepAnswer,
    /// Cut on the right, target included (preset `paper`); a row left without target is an error here.
    Right,
    /// Refuse the row.
    Error,
}

/// How rows are tokenised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenizeOptions {
    /// Id put before the prompt, if any.
    pub bos: Option<u32>,
    /// Longest row, in tokens. Default 256 (the released program's).
    pub max_tokens: usize,
    /// What happens to longer rows.
    pub truncation: Truncation,
}

impl TokenizeOptions {
    /// Tokenises `prompt` followed by `target`.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if no token would be supervised, if the target alone exceeds the limit, or if the
    /// tokenizer refuses the text.
    pub fn row(&self, tokenizer: &Tokenizer, prompt: &str, target: &str) -> Result<TokenRow, DataError> {
        let text = format!("{prompt}{target}");
        let encoding = tokenizer
            .encode(text.as_str(), false)
            .map_err(|error| DataError::Invalid(format!("cannot tokenize {text:?}: {error}")))?;
        let mut ids: Vec<u32> = self.bos.into_iter().collect();
        let mut boundary = None;
        for (&id, &(_, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            if end > prompt.len() && boundary.is_none() {
                boundary = Some(ids.len());
            }
            ids.push(id);
        }
        let Some(mut prompt_tokens) = boundary else {
            return Err(DataError::Invalid(format!("target {target:?} has no token to learn from")));
        };
        let excess = ids.len().saturating_sub(self.max_tokens);
        let mut shortened = 0;
        if excess > 0 {
            let too_long = |what: &str| {
                DataError::Invalid(format!(
                    "{what}: {} tokens, at most {} allowed: {text:.60?}",
                    ids.len(),
                    self.max_tokens
                ))
            };
            match self.truncation {
                Truncation::Error => return Err(too_long("row too long")),
                Truncation::Right => {
                    if prompt_tokens >= self.max_tokens {
                        return Err(too_long("truncation on the right leaves no target"));
                    }
                    ids.truncate(self.max_tokens);
                }
                Truncation::KeepAnswer => {
                    // BOS and at least one prompt token on either side of the cut remain.
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
        Ok(TokenRow { ids, prompt: prompt_tokens, shortened })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::pre_tokenizers::whitespace::Whitespace;

    fn tokenizer() -> Tokenizer {
        let words = ["[UNK]", "is", "it", "good", "?", "yes", "no", "#"];
        let vocab = words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id as u32)).collect();
        let model = WordLevel::builder().vocab(vocab).unk_token("[UNK]".to_owned()).build().unwrap();
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(Whitespace {}));
        tokenizer
    }

    const OPTIONS: TokenizeOptions =
        TokenizeOptions { bos: Some(1), max_tokens: 256, truncation: Truncation::KeepAnswer };

    #[test]
    fn the_boundary_is_where_the_target_begins() {
        let row = OPTIONS.row(&tokenizer(), "is it good ?\n", "yes no").unwrap();
        assert_eq!(row, TokenRow { ids: vec![1, 1, 2, 3, 4, 5, 6], prompt: 5, shortened: 0 });
        // A token that spans the boundary is supervised: "go" + "od".
        let row = OPTIONS.row(&tokenizer(), "is it go", "od").unwrap();
        assert_eq!((row.ids, row.prompt), (vec![1, 1, 2, 3], 3));
        assert!(OPTIONS.row(&tokenizer(), "is it ", " ").unwrap_err().to_string().contains("no token"));
    }

    #[test]
    fn long_rows_follow_the_policy() {
        let options = |truncation| TokenizeOptions { max_tokens: 5, truncation, ..OPTIONS };
        let row = |truncation| options(truncation).row(&tokenizer(), "is it good ? # ", "yes");
        let kept = row(Truncation::KeepAnswer).unwrap();
        assert_eq!(kept, TokenRow { ids: vec![1, 1, 4, 7, 5], prompt: 4, shortened: 2 });
        assert!(row(Truncation::Error).is_err());
        assert!(row(Truncation::Right).unwrap_err().to_string().contains("no target"));
    }
}
