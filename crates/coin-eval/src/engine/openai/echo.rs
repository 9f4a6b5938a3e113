//! Log-likelihoods of continuations, from a server that echoes a text's tokens with their log-probabilities.
//!
//! `log p(continuation | prompt) = sum over its tokens t of log p(t | all tokens before it)`.
//!
//! The tokenizer sees the prompt and the continuation as one text, and a token may span the boundary: after `is it`, the
//! continuation ` fine` may be one token or share one. All continuations of a prompt are therefore conditioned on the
//! same tokens: the longest prefix of tokens that lie inside the prompt and are the same for all continuations. The
//! remaining tokens are summed. For every continuation they cover the same end of the prompt and the continuation.

use coin_core::quote::cut;
use serde_json::Value;

use crate::engine::model::LogLikelihood;

use super::reply::Reply;

/// One token of an echoed text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    text: String,
    /// The start and end of the token, in characters of the text.
    start: usize,
    end: usize,
    /// `None` for the first token, which has no context.
    log_probability: Option<f64>,
}

/// Returns the tokens of `sent` as reported in `reply`.
///
/// # Errors
/// A clause that describes what is missing or wrong.
pub(super) fn tokens(reply: &Reply, sent: &str) -> Result<Vec<Token>, String> {
    if !reply.text.starts_with(sent) {
        return Err("the answer does not repeat the text that was sent".to_owned());
    }
    let list = |name: &str| match &reply.log_probabilities[name] {
        Value::Array(values) => Ok(values),
        _ => Err(format!("the answer has no list `logprobs.{name}`")),
    };
    let (texts, numbers, offsets) = (list("tokens")?, list("token_logprobs")?, list("text_offset")?);
    if texts.len() != numbers.len() || texts.len() != offsets.len() {
        let (texts, numbers, offsets) = (texts.len(), numbers.len(), offsets.len());
        return Err(format!(
            "the answer has {texts} tokens, {numbers} log-probabilities and {offsets} offsets, expected equal numbers"
        ));
    }
    let length = sent.chars().count();
    let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap_or_default()).collect();
    let offset = |value: &Value| value.as_u64().and_then(|offset| usize::try_from(offset).ok());
    let mut offsets: Vec<usize> = offsets
        .iter()
        .map(offset)
        .collect::<Option<_>>()
        .ok_or("`logprobs.text_offset` contains a value that is not a whole number")?;
    if let (Some(first), [0, second, ..]) = (texts.first(), &offsets[..])
        && *second == first.chars().count()
    {
        let shift = added(first, sent);
        offsets.iter_mut().for_each(|offset| *offset = offset.saturating_sub(shift));
    }
    // The server counts the tokens it generated after the text. Without a count, they begin where the text ends.
    let echoed = match reply.tokens {
        Some(counted) => texts.len().saturating_sub(usize::try_from(counted.completion).unwrap_or(usize::MAX)),
        None => offsets.iter().position(|offset| *offset == length).unwrap_or(offsets.len()),
    };
    let is_sorted = offsets.is_sorted();
    offsets.truncate(echoed);
    // Offsets that count the names of byte tokens, such as `<0x0A>` for a line break, are wrong by the last token.
    let fits = |last: usize, text: &str| {
        let is_part = text.is_empty() || text.contains('\u{fffd}') || text.starts_with("bytes:");
        last <= length && (is_part || last + text.chars().count() == length)
    };
    if !is_sorted || !offsets.iter().zip(&texts).next_back().is_none_or(|(last, text)| fits(*last, text)) {
        return Err("`logprobs.text_offset` does not match the text that was sent".to_owned());
    }
    let ends = offsets.iter().skip(1).copied().chain([length]);
    let tokens = offsets.iter().zip(ends).zip(texts.iter().zip(numbers));
    Ok(tokens
        .map(|((start, end), (text, number))| Token {
            text: (*text).to_owned(),
            start: *start,
            end,
            log_probability: number.as_f64(),
        })
        .collect())
}

/// Counts the characters of a text's first token that are not in the text: a space that the tokenizer prepended, or all
/// of a token such as `<s>`, which is shown by its name. They shift the offsets of the following tokens.
fn added(first: &str, sent: &str) -> usize {
    let bare = first.trim_start();
    let extra = if sent.starts_with(first) {
        ""
    } else if sent.starts_with(bare) {
        &first[..first.len() - bare.len()]
    } else {
        first
    };
    extra.chars().count()
}

/// Returns the log-likelihood of each continuation of `prompt`. Each row of `rows` holds the tokens of the prompt followed
/// by one continuation.
///
/// # Errors
/// A clause that names the token without a usable log-probability.
pub(super) fn likelihoods(rows: &[Vec<Token>], prompt: &str) -> Result<Vec<LogLikelihood>, String> {
    let boundary = prompt.chars().count();
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let is_shared = |index: usize, token: &Token| {
        let same = |other: &Token| (other.start, other.end, &other.text) == (token.start, token.end, &token.text);
        token.end <= boundary && rows.iter().all(|row| row.get(index).is_some_and(same))
    };
    let condition = first.iter().enumerate().take_while(|(index, token)| is_shared(*index, token)).count();
    let likelihood = |row: &Vec<Token>| {
        let mut sum = 0.0;
        for token in &row[condition..] {
            let told = token.log_probability.filter(|number| *number <= 0.0);
            sum += told.ok_or_else(|| match token.log_probability {
                None => {
                    format!(
                        "token `{}` has no log-probability; a server returns none for the first token of a text",
                        cut(&token.text)
                    )
                }
                Some(number) => {
                    format!("token `{}` has the log-probability {number}, expected at most 0", cut(&token.text))
                }
            })?;
        }
        Ok(LogLikelihood { sum, tokens: row.len() - condition })
    };
    rows.iter().map(likelihood).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::openai::meter::Tokens;
    use serde_json::json;

    /// An echo of `pieces`. The last piece is generated by the server; the first has no log-probability.
    fn echo(pieces: &[(&str, f64)]) -> Reply {
        let lengths: Vec<usize> = pieces.iter().map(|(piece, _)| piece.chars().count()).collect();
        let offsets: Vec<usize> = (0..pieces.len()).map(|index| lengths[..index].iter().sum()).collect();
        let numbers: Vec<Value> =
            pieces.iter().enumerate().map(|(i, (_, n))| if i == 0 { Value::Null } else { json!(n) }).collect();
        let texts: Vec<&str> = pieces.iter().map(|(piece, _)| *piece).collect();
        Reply {
            text: texts.concat(),
            log_probabilities: json!({"tokens": texts, "token_logprobs": numbers, "text_offset": offsets}),
            ..Reply::default()
        }
    }

    /// Reads the tokens of every answer, then computes the likelihoods, as a client does.
    fn read(replies: &[Reply], sent: &[&str], prompt: &str) -> Result<Vec<LogLikelihood>, String> {
        let rows = replies.iter().zip(sent).map(|(reply, sent)| tokens(reply, sent)).collect::<Result<Vec<_>, _>>()?;
        likelihoods(&rows, prompt)
    }

    #[test]
    fn tokens_after_the_prompt_are_summed() {
        let replies = [
            echo(&[("Is", 0.0), (" it", -1.0), (" fi", -0.5), ("ne", -0.25), ("!", -9.0)]),
            echo(&[("Is", 0.0), (" it", -1.0), (" bad", -2.0), ("!", -9.0)]),
        ];
        let found = read(&replies, &["Is it fine", "Is it bad"], "Is it").unwrap();
        assert_eq!(found, [LogLikelihood { sum: -0.75, tokens: 2 }, LogLikelihood { sum: -2.0, tokens: 1 }]);
    }

    #[test]
    fn a_token_over_the_boundary_is_summed_for_all() {
        // The prompt is `x: a`. Before `b` its last letter is part of a longer token; before `c` it is a separate token.
        let replies = [
            echo(&[("x", 0.0), (":", -1.0), (" ab", -3.0), ("!", -9.0)]),
            echo(&[("x", 0.0), (":", -1.0), (" a", -0.5), ("c", -1.5), ("!", -9.0)]),
        ];
        let sent = ["x: ab", "x: ac"];
        let found = read(&replies, &sent, "x: a").unwrap();
        assert_eq!(found, [LogLikelihood { sum: -3.0, tokens: 1 }, LogLikelihood { sum: -2.0, tokens: 2 }]);
        // Alone, the second is conditioned on the whole prompt.
        assert_eq!(read(&replies[1..], &sent[1..], "x: a").unwrap(), [LogLikelihood { sum: -1.5, tokens: 1 }]);
    }

    #[test]
    fn a_prompt_cut_in_two_ways_is_conditioned_on_where_they_part() {
        let replies = [
            echo(&[("a", 0.0), ("bc", -1.0), ("d", -2.0), ("!", -9.0)]),
            echo(&[("a", 0.0), ("b", -0.5), ("c", -0.25), ("e", -4.0), ("!", -9.0)]),
        ];
        let found = read(&replies, &["abcd", "abce"], "abc").unwrap();
        assert_eq!(found, [LogLikelihood { sum: -3.0, tokens: 2 }, LogLikelihood { sum: -4.75, tokens: 3 }]);
    }

    #[test]
    fn characters_are_counted_and_the_beginning_has_a_name() {
        // A server that shows a beginning-of-text token, whose name is not part of the text.
        let mut reply = echo(&[("<s>", 0.0), ("Süß", -1.0), (":", -2.0), (" ja", -0.5), ("!", -9.0)]);
        reply.text = "Süß: ja!".to_owned();
        let sent = ["Süß: ja"];
        assert_eq!(read(&[reply], &sent, "Süß:").unwrap(), [LogLikelihood { sum: -0.5, tokens: 1 }]);
        // A server whose tokenizer prepends a space to the text.
        let mut reply = echo(&[(" Süß", 0.0), (":", -2.0), (" ja", -0.25), ("!", -9.0)]);
        reply.text = "Süß: ja!".to_owned();
        assert_eq!(read(&[reply], &sent, "Süß:").unwrap(), [LogLikelihood { sum: -0.25, tokens: 1 }]);
    }

    #[test]
    fn the_servers_count_tells_pieces_of_the_last_character_from_what_it_wrote() {
        // The smiley is two tokens; the second begins where the text already ends.
        let mut reply = echo(&[("a:", 0.0), ("☺", -1.0), ("", -0.5), ("!", -9.0)]);
        let sent = ["a:☺"];
        reply.tokens = Some(Tokens { prompt: 3, cached: 0, completion: 1 });
        assert_eq!(read(&[reply], &sent, "a:").unwrap(), [LogLikelihood { sum: -1.5, tokens: 2 }]);
        // A server that generated nothing after the text.
        let mut exact = echo(&[("a:", 0.0), ("☺", -1.0)]);
        exact.tokens = Some(Tokens { prompt: 2, cached: 0, completion: 0 });
        assert_eq!(read(&[exact], &sent, "a:").unwrap(), [LogLikelihood { sum: -1.0, tokens: 1 }]);
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let sent = ["a b"];
        let fault = |change: &dyn Fn(&mut Reply)| {
            let mut reply = echo(&[("a", 0.0), (" b", -1.0), ("!", -9.0)]);
            change(&mut reply);
            read(&[reply], &sent, "a").unwrap_err()
        };
        assert!(fault(&|reply| reply.text = " b!".to_owned()).contains("does not repeat"));
        assert!(fault(&|reply| reply.log_probabilities = Value::Null).contains("`logprobs.tokens`"));
        assert!(fault(&|reply| reply.log_probabilities["text_offset"] = json!([0, 1])).contains("2 offsets"));
        assert!(
            fault(&|reply| reply.log_probabilities["text_offset"] = json!([0, 9, 1]))
                .contains("does not match the text")
        );
        assert!(
            fault(&|reply| reply.log_probabilities["text_offset"] = json!([0, 9, 9]))
                .contains("does not match the text")
        );
        assert!(fault(&|reply| reply.log_probabilities["text_offset"] = json!([0, "1", 3])).contains("whole"));
        let mut named = echo(&[("a", 0.0), ("<0x0A>", -1.0), ("bcdefgh", -2.0), ("!", -9.0)]);
        named.text = "a\nbcdefgh!".to_owned();
        named.tokens = Some(Tokens { prompt: 3, cached: 0, completion: 1 });
        assert!(read(&[named], &["a\nbcdefgh"], "a\n").unwrap_err().contains("does not match the text"));
        assert!(fault(&|reply| reply.log_probabilities["token_logprobs"] = json!([null, 0.5, 0])).contains("0.5"));
        let reply = echo(&[("a", 0.0), (" b", -1.0), ("!", -9.0)]);
        assert!(read(&[reply], &sent, "").unwrap_err().contains("has no log-probability"));
    }
}
