//! The server's response: its text, its margin and its token counts.
//!
//! The answer of a chat message is its `content` only; separate reasoning is ignored. A message with reasoning but without
//! content is an unfinished thought ([`thought::UNFINISHED`]). An answer withheld by the content filter or by a refusal is
//! an empty text and is counted. It does not name a class.

use coin_core::quote::cut;
use serde_json::Value;

use super::OpenAiError;
use super::error::start;
use super::meter::Tokens;
use crate::parser::thought;

/// The largest plausible token count. A larger one is a server error: no context is even a thousandth as long.
const MOST_TOKENS: u64 = 1 << 40;

/// An answer with a success status.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) text: String,
    /// True if the text was withheld.
    pub(super) filtered: bool,
    /// The smallest difference between the two largest log-probabilities at any token.
    pub(super) margin: Option<f32>,
    /// The `logprobs` of the choice. Null if absent.
    pub(super) log_probabilities: Value,
    /// The server's token counts.
    pub(super) tokens: Option<Tokens>,
    /// The model's name and the server's `system_fingerprint`.
    pub(super) served: Option<String>,
}

impl Reply {
    /// Parses `answer` from `url`.
    ///
    /// # Errors
    /// [`OpenAiError::Connection`] if it is incomplete, which may be temporary; otherwise [`OpenAiError::Malformed`].
    pub(super) fn read(url: &str, answer: &str) -> Result<Self, OpenAiError> {
        let malformed = |fault: String| OpenAiError::Malformed { url: url.to_owned(), fault, start: start(answer) };
        let value: Value = serde_json::from_str(answer).map_err(|error| {
            if error.is_eof() && !answer.trim().is_empty() {
                let reason = format!("the answer ends after {} bytes, in the middle of its JSON", answer.len());
                return OpenAiError::Connection { url: url.to_owned(), reason };
            }
            let is_page = answer.trim_start().starts_with('<');
            malformed(if is_page { "HTML instead of JSON".to_owned() } else { format!("not JSON ({error})") })
        })?;
        let Some(choice) = value["choices"].get(0) else {
            return Err(malformed("no choices".to_owned()));
        };
        let message = &choice["message"];
        let filtered = choice["finish_reason"] == "content_filter" || message["refusal"].is_string();
        let (name, text) = match message {
            Value::Null => ("text", &choice["text"]),
            message => ("content", &message["content"]),
        };
        let text = match text {
            _ if filtered => String::new(),
            Value::Null | Value::String(_)
                if text.as_str().unwrap_or_default().trim().is_empty() && has_reasoning(&value, choice) =>
            {
                thought::UNFINISHED.to_owned()
            }
            Value::String(text) => text.clone(),
            Value::Null => return Err(malformed(format!("the `{name}` of the choice is null or missing"))),
            _ => return Err(malformed(format!("the `{name}` of the choice is not text"))),
        };
        let usage = &value["usage"];
        // An implausible count is ignored.
        let count = |value: &Value| value.as_u64().filter(|count| *count <= MOST_TOKENS);
        let completion = match &usage["completion_tokens"] {
            Value::Number(_) => count(&usage["completion_tokens"]),
            _ => Some(0),
        };
        let tokens = count(&usage["prompt_tokens"]).zip(completion);
        let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]).unwrap_or(0);
        let served = value["model"].as_str().map(|model| match value["system_fingerprint"].as_str() {
            Some(fingerprint) => format!("{} ({})", cut(model), cut(fingerprint)),
            None => cut(model).into_owned(),
        });
        Ok(Reply {
            text,
            filtered,
            margin: margin(&choice["logprobs"]),
            log_probabilities: choice["logprobs"].clone(),
            tokens: tokens.map(|(prompt, completion)| Tokens { prompt, cached, completion }),
            served,
        })
    }
}

/// Returns true if the message of `choice` has reasoning, or if it reached its token limit and the server counted reasoning
/// that it does not show.
fn has_reasoning(answer: &Value, choice: &Value) -> bool {
    let is_text = |name: &str| choice["message"][name].as_str().is_some_and(|text| !text.is_empty());
    let counted = answer["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or(0) > 0;
    is_text("reasoning_content") || is_text("reasoning") || counted && choice["finish_reason"] == "length"
}

/// Returns the smallest difference between the two largest log-probabilities at any token. Reads both forms that servers
/// use: a list of objects that map tokens to numbers, and a list of tokens that each have a list.
fn margin(log_probabilities: &Value) -> Option<f32> {
    let tops: Vec<Vec<f64>> = if let Some(tops) = log_probabilities["top_logprobs"].as_array() {
        let values = |top: &Value| Some(top.as_object()?.values().filter_map(Value::as_f64).collect());
        tops.iter().map(values).collect::<Option<_>>()?
    } else {
        let value = |alternative: &Value| alternative["logprob"].as_f64();
        let values = |token: &Value| Some(token["top_logprobs"].as_array()?.iter().filter_map(value).collect());
        log_probabilities["content"].as_array()?.iter().map(values).collect::<Option<_>>()?
    };
    let mut margin: Option<f64> = None;
    for mut top in tops {
        top.sort_by(|a, b| b.total_cmp(a));
        let [first, second, ..] = top[..] else { return None };
        margin = Some(margin.map_or(first - second, |least| least.min(first - second)));
    }
    margin.map(|margin| margin as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{AnswerParser, Unparsable};
    use serde_json::json;

    fn read(answer: Value) -> Result<Reply, String> {
        Reply::read("http://x", &answer.to_string()).map_err(|error| error.to_string())
    }

    fn chat(choice: Value) -> Result<Reply, String> {
        read(json!({"choices": [choice]}))
    }

    #[test]
    fn a_completion_with_its_count() {
        let reply = read(json!({
            "model": "m-1", "system_fingerprint": "fp_9",
            "choices": [{"text": " yes", "finish_reason": "length", "logprobs": {
                "top_logprobs": [{" yes": -0.25, " no": -1.75}, {".": -0.5, "!": -1.0}]
            }}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}
        }))
        .unwrap();
        assert_eq!((reply.text.as_str(), reply.filtered, reply.margin), (" yes", false, Some(0.5)));
        assert_eq!(reply.tokens, Some(Tokens { prompt: 12, cached: 8, completion: 2 }));
        assert_eq!(reply.served.as_deref(), Some("m-1 (fp_9)"));
    }

    #[test]
    fn a_count_that_no_answer_has_is_none() {
        for (name, other) in [("prompt_tokens", "completion_tokens"), ("completion_tokens", "prompt_tokens")] {
            let reply = read(json!({"choices": [{"text": "y"}], "usage": {name: u64::MAX - 1, other: 1}})).unwrap();
            assert_eq!(reply.tokens, None);
        }
    }

    #[test]
    fn only_content_counts() {
        let reply = chat(json!({
            "message": {"content": "yes", "reasoning_content": "no, or is it"},
            "logprobs": {"content": [{"top_logprobs": [{"logprob": -2.0}, {"logprob": -0.25}, {"logprob": -3.0}]}]}
        }));
        let reply = reply.unwrap();
        assert_eq!((reply.text.as_str(), reply.margin, reply.tokens), ("yes", Some(1.75), None));
        assert_eq!(chat(json!({"message": {"content": ""}})).unwrap().text, "");
    }

    #[test]
    fn reasoning_without_content_is_an_unfinished_thought() {
        let task = coin_data::Task::named("cola").unwrap();
        let unfinished = |reply: Reply| {
            let parsed = AnswerParser::Released.parse_after(&task, &reply.text, false);
            (parsed.class, parsed.unparsable) == (None, Some(Unparsable::UnfinishedThought))
        };
        for content in [json!(null), json!(""), json!("\n")] {
            for name in ["reasoning", "reasoning_content"] {
                let message = json!({"content": content, name: "It is </think> acceptable"});
                assert!(unfinished(chat(json!({"message": message, "finish_reason": "length"})).unwrap()), "{message}");
            }
            // Some servers count reasoning but do not return it.
            let hidden = |reasoning: u64, finish: &str| {
                read(json!({
                    "choices": [{"message": {"content": content}, "finish_reason": finish}],
                    "usage": {"completion_tokens_details": {"reasoning_tokens": reasoning}}
                }))
            };
            assert!(unfinished(hidden(7, "length").unwrap()));
            assert!(!hidden(0, "length").is_ok_and(unfinished) && !hidden(7, "stop").is_ok_and(unfinished));
        }
        let missing = chat(json!({"message": {"reasoning": "let me think"}, "finish_reason": "length"}));
        assert!(unfinished(missing.unwrap()));
    }

    #[test]
    fn what_was_withheld_is_empty_and_told() {
        let filtered = [
            json!({"message": {"content": null}, "finish_reason": "content_filter"}),
            json!({"message": {"content": "ye"}, "finish_reason": "content_filter"}),
            json!({"message": {"content": null, "refusal": "I will not"}, "finish_reason": "stop"}),
            json!({"text": "ye", "finish_reason": "content_filter"}),
        ];
        for choice in filtered {
            let reply = chat(choice.clone()).unwrap();
            assert!(reply.filtered && reply.text.is_empty(), "{choice}");
        }
    }

    #[test]
    fn malformed_answers_are_named_and_shown() {
        let cases = [
            ("<html>Sign in</html>", "HTML instead of JSON", "<html>Sign in"),
            ("", "not JSON", ""),
            ("certainly!", "not JSON", "certainly!"),
            (r#"{"error": "busy"}"#, "no choices", "busy"),
            (r#"{"choices": []}"#, "no choices", ""),
            ("[1]", "no choices", ""),
            (r#"{"choices": [{"message": {"content": null}}]}"#, "`content` of the choice is null", ""),
            (r#"{"choices": [{"message": {"content": ["a"]}}]}"#, "`content` of the choice is not text", ""),
            (r#"{"choices": [{"finish_reason": "stop"}]}"#, "`text` of the choice is null or missing", ""),
        ];
        for (answer, fault, shown) in cases {
            let error = Reply::read("http://x", answer).unwrap_err();
            let message = error.to_string();
            assert!(matches!(error, OpenAiError::Malformed { .. }), "{answer}: {message}");
            assert!(message.contains("http://x") && message.contains(fault) && message.contains(shown), "{message}");
        }
        let long = Reply::read("http://x", &"ü".repeat(1000)).unwrap_err();
        assert!(
            matches!(long, OpenAiError::Malformed { start, .. } if start == format!("{}… (1000 characters)", "ü".repeat(200)))
        );
        let escapes = Reply::read("http://x", "\u{1b}]0;title\u{7}").unwrap_err().to_string();
        assert!(escapes.contains("]0;title") && !escapes.contains('\u{1b}'), "{escapes:?}");
    }

    #[test]
    fn an_answer_that_breaks_off_may_pass() {
        let error = Reply::read("http://x", r#"{"choices": [{"text": "y"#).unwrap_err();
        assert!(matches!(error, OpenAiError::Connection { .. }), "{error}");
    }

    #[test]
    fn a_margin_needs_two_values_at_every_token() {
        assert_eq!(margin(&json!(null)), None);
        assert_eq!(margin(&json!({"top_logprobs": [{"a": -1.0, "b": -2.0}, {"a": -1.0}]})), None);
        assert_eq!(margin(&json!({"top_logprobs": [null]})), None);
        assert_eq!(margin(&json!({"top_logprobs": []})), None);
    }
}
