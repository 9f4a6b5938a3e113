//! The request: a prompt as one text or as chat messages, with generation settings.

use coin_data::Prompt;
use serde_json::{Map, Value, json};

use super::meter::Bound;
use super::{Api, OpenAiError, OpenAiOptions, OptionField, Turns};

/// The body of a request and the maximum number of tokens it can use.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: String,
    pub(super) bound: Bound,
}

impl Request {
    /// Creates a request for at most `max_tokens` tokens after `prompt`.
    pub(super) fn generate(options: &OpenAiOptions, prompt: &Prompt, max_tokens: usize) -> Result<Self, OpenAiError> {
        let mut body = Map::new();
        match options.api {
            Api::Completions => {
                body.insert("prompt".to_owned(), prompt.render().into());
                if options.margins {
                    body.insert("logprobs".to_owned(), 2.into());
                }
            }
            Api::Chat(turns) => {
                body.insert("messages".to_owned(), messages(prompt, turns, options.send_marker));
                if options.margins {
                    body.insert("logprobs".to_owned(), true.into());
                    body.insert("top_logprobs".to_owned(), 2.into());
                }
            }
        }
        body.insert("max_tokens".to_owned(), max_tokens.into());
        Self::finish(options, body)
    }

    /// Creates a request for the log-probability of every token of `text`, and one token after it. Servers disagree about a
    /// limit of 0 (OpenAI: no token; llama-cpp-python: as many as fit; some reject it), but all accept 1.
    pub(super) fn echo(options: &OpenAiOptions, text: &str) -> Result<Self, OpenAiError> {
        let body = json!({"prompt": text, "max_tokens": 1, "echo": true, "logprobs": 1});
        Self::finish(options, body.as_object().cloned().unwrap_or_default())
    }

    /// Adds the fields common to all requests. The caller's parameters come last and override the others.
    fn finish(options: &OpenAiOptions, mut body: Map<String, Value>) -> Result<Self, OpenAiError> {
        body.insert("model".to_owned(), options.model.clone().into());
        body.insert("temperature".to_owned(), 0.into());
        if let Some(seed) = options.seed {
            body.insert("seed".to_owned(), seed.into());
        }
        for (name, value) in &options.parameters {
            match value {
                Value::Null => drop(body.remove(name)),
                value => drop(body.insert(name.clone(), value.clone())),
            }
        }
        let limit = ["max_tokens", "max_completion_tokens"].iter().filter_map(|name| body.get(*name)?.as_u64()).max();
        if limit.is_none() && options.budget.is_some() {
            let reason = "a budget needs `max_tokens` or `max_completion_tokens`".to_owned();
            return Err(OpenAiError::Option { option: OptionField::Parameters, reason });
        }
        let body = Value::Object(body).to_string();
        let bound = Bound { prompt: body.len() as u64, completion: limit.unwrap_or(0) };
        Ok(Request { body, bound })
    }
}

/// Converts the prompt's parts into chat messages.
fn messages(prompt: &Prompt, turns: Turns, send_marker: bool) -> Value {
    let marker = if send_marker { prompt.marker.as_str() } else { "" };
    let mut messages: Vec<Value> = Vec::new();
    messages.extend(prompt.system.as_ref().map(|system| json!({"role": "system", "content": system})));
    match turns {
        Turns::Many => {
            let question = |input: &str| json!({"role": "user", "content": prompt.question(input) + marker});
            for shown in &prompt.demonstrations {
                messages.push(question(&shown.input));
                messages.push(json!({"role": "assistant", "content": shown.answer}));
            }
            messages.push(question(&prompt.input));
        }
        Turns::One => {
            let body = Prompt { system: None, ..prompt.clone() }.body();
            messages.push(json!({"role": "user", "content": body + marker}));
        }
    }
    Value::Array(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_data::Demonstration;

    fn prompt() -> Prompt {
        let mut prompt = Prompt::new("Judge: ", "He left.").with_marker("\nAnswer:");
        prompt.system = Some("Be brief.".to_owned());
        prompt.demonstrations.push(Demonstration { input: "She ran.".to_owned(), answer: "fine".to_owned() });
        prompt
    }

    fn sent(options: &OpenAiOptions) -> Value {
        serde_json::from_str(&Request::generate(options, &prompt(), 7).unwrap().body).unwrap()
    }

    #[test]
    fn a_completion_continues_the_rendered_text() {
        let mut options = OpenAiOptions::new("http://localhost", "base", Api::Completions);
        let text = "Be brief.\n\nJudge: She ran.\nAnswer:fine\n\nHe left.\nAnswer:";
        let plain = json!({"model": "base", "prompt": text, "temperature": 0, "max_tokens": 7});
        assert_eq!(sent(&options), plain);
        options.margins = true;
        options.seed = Some(5);
        assert_eq!((&sent(&options)["logprobs"], &sent(&options)["seed"]), (&json!(2), &json!(5)));
    }

    #[test]
    fn a_demonstration_becomes_a_turn() {
        let mut options = OpenAiOptions::new("http://localhost", "chat", Api::Chat(Turns::Many));
        let turns = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Judge: She ran."},
            {"role": "assistant", "content": "fine"},
            {"role": "user", "content": "Judge: He left."},
        ]);
        let plain = json!({"model": "chat", "messages": turns, "temperature": 0, "max_tokens": 7});
        assert_eq!(sent(&options), plain);
        options.send_marker = true;
        options.margins = true;
        let body = sent(&options);
        assert_eq!(body["messages"][1]["content"], "Judge: She ran.\nAnswer:");
        assert_eq!(body["messages"][2]["content"], "fine");
        assert_eq!(body["messages"][3]["content"], "Judge: He left.\nAnswer:");
        assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(2)));
    }

    #[test]
    fn a_prompt_can_be_one_turn() {
        let mut options = OpenAiOptions::new("http://localhost", "chat", Api::Chat(Turns::One));
        let body = "Judge: She ran.\nAnswer:fine\n\nHe left.";
        let one = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": body}]);
        assert_eq!(sent(&options)["messages"], one);
        options.send_marker = true;
        assert_eq!(sent(&options)["messages"][1]["content"], format!("{body}\nAnswer:"));
    }

    #[test]
    fn parameters_have_the_last_word_and_bound_the_cost() {
        let mut options = OpenAiOptions::new("http://localhost", "m", Api::Chat(Turns::Many));
        options.parameters = json!({"temperature": null, "max_tokens": null, "max_completion_tokens": 900, "top_k": 1})
            .as_object()
            .cloned()
            .unwrap();
        let body = sent(&options);
        assert!(body.get("temperature").is_none() && body.get("max_tokens").is_none());
        assert_eq!((&body["max_completion_tokens"], &body["top_k"]), (&json!(900), &json!(1)));
        let request = Request::generate(&options, &prompt(), 7).unwrap();
        assert_eq!(request.bound, Bound { prompt: request.body.len() as u64, completion: 900 });
        options.parameters.remove("max_completion_tokens");
        options.budget = Some(1.0);
        assert!(Request::generate(&options, &prompt(), 7).unwrap_err().to_string().contains("max_completion_tokens"));
    }
}
