//! Tests of a remote model with a server that answers, and with servers that fail in various ways.

mod server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use coin_data::Prompt;
use coin_eval::openai::{Api, ApiKey, OpenAiModel, OpenAiOptions, Prices, Turns};
use coin_eval::{GenerateOptions, Generation, LanguageModel, LogLikelihood, ModelError};
use serde_json::json;
use server::{Answer, Seen, Server};

const GENERATE: GenerateOptions = GenerateOptions { max_new_tokens: 7, hidden: false };
const KEY: &str = "sk-very-secret";

fn options(server: &Server) -> OpenAiOptions {
    OpenAiOptions {
        first_pause: Duration::from_millis(1),
        ..OpenAiOptions::new(server.endpoint(), "m", Api::Completions)
    }
}

fn model(server: &Server, change: impl FnOnce(&mut OpenAiOptions)) -> OpenAiModel {
    let mut options = options(server);
    change(&mut options);
    OpenAiModel::new(options).unwrap()
}

/// Prompts whose texts are `0`, `1` and so on.
fn numbered(count: usize) -> Vec<Prompt> {
    (0..count).map(|index| Prompt::new("", index.to_string()).with_marker("")).collect()
}

fn generate(model: &mut OpenAiModel, count: usize) -> Result<Vec<String>, String> {
    let answers = model.generate_all(&numbered(count), &GENERATE, &|_| false);
    let texts = |answers: Vec<Generation>| answers.into_iter().map(|answer| answer.text).collect();
    answers.map(texts).map_err(|error| error.to_string())
}

/// Returns the answers that `model` delivers before it fails, and the error message.
fn until_it_fails(model: &mut OpenAiModel, prompts: &[Prompt]) -> (Vec<(usize, String)>, String) {
    let mut received = Vec::new();
    let error = model.generate(prompts, &GENERATE, &|_| false, &mut |finished| {
        received.extend(finished.into_iter().map(|(index, generation)| (index, generation.text)));
        Ok(())
    });
    (received, error.unwrap_err().to_string())
}

fn echoed(seen: &Seen) -> Answer {
    Answer::completion(&format!("answer {}", seen.prompt()))
}

#[test]
fn a_completion_is_asked_for_and_counted() {
    let server = Server::start(|seen, _| echoed(seen));
    let mut model = model(&server, |options| options.key = Some(ApiKey::new(KEY).unwrap()));
    assert_eq!(generate(&mut model, 1).unwrap(), ["answer 0"]);
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].path.as_str()), (1, "/v1/completions"));
    assert_eq!(seen[0].body, json!({"model": "m", "prompt": "0", "max_tokens": 7, "temperature": 0}));
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer sk-very-secret"));
    let usage = model.usage();
    assert_eq!((usage.requests, usage.retries, usage.prompt_tokens, usage.completion_tokens), (1, 0, 10, 2));
    assert_eq!(usage.served.into_iter().collect::<Vec<_>>(), ["m"]);
}

#[test]
fn a_chat_is_asked_for() {
    let reply = json!({"choices": [{"message": {"role": "assistant", "content": "fine"}}]});
    let server = Server::start(move |_, _| Answer::new(200, &reply));
    let mut model = model(&server, |options| options.api = Api::Chat(Turns::Many));
    assert_eq!(generate(&mut model, 1).unwrap(), ["fine"]);
    let seen = server.seen();
    assert_eq!((seen[0].path.as_str(), seen[0].authorization.as_deref()), ("/v1/chat/completions", None));
    assert_eq!(seen[0].body["messages"], json!([{"role": "user", "content": "0"}]));
    assert_eq!(model.usage().uncounted, 1);
}

#[test]
fn answers_out_of_order_find_their_prompts() {
    // Prompt 0 is answered only after all the others have been requested.
    let (asked, changed) = (Mutex::new(0), Condvar::new());
    let server = Server::start(move |seen, _| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        changed.notify_all();
        if seen.prompt() == "0" {
            drop(changed.wait_while(asked, |asked| *asked < 12).unwrap());
        }
        echoed(seen)
    });
    let mut model = model(&server, |options| options.concurrency = 3);
    let mut order = Vec::new();
    let finished = &mut |batch: Vec<(usize, Generation)>| {
        for (index, generation) in batch {
            assert_eq!(generation.text, format!("answer {index}"));
            order.push(index);
        }
        Ok(())
    };
    model.generate(&numbered(12), &GENERATE, &|_| false, finished).unwrap();
    order.sort();
    assert_eq!(order, (0..12).collect::<Vec<_>>());
}

#[test]
fn as_many_requests_are_under_way_as_allowed() {
    // No request is answered before four have arrived, so fewer would time out. More than four would be detected.
    let (state, changed) = (Mutex::new((0, 0)), Condvar::new());
    let most = Arc::new(AtomicUsize::new(0));
    let largest = Arc::clone(&most);
    let server = Server::start(move |seen, _| {
        let mut state_now = state.lock().unwrap();
        state_now.0 += 1;
        state_now.1 += 1;
        largest.fetch_max(state_now.1, Ordering::SeqCst);
        changed.notify_all();
        let mut state_now = changed.wait_while(state_now, |state| state.0 < 4).unwrap();
        // Decrement before the answer is sent, so that the next request cannot arrive first.
        state_now.1 -= 1;
        echoed(seen)
    });
    let mut model = model(&server, |options| options.concurrency = 4);
    assert_eq!(generate(&mut model, 20).unwrap().len(), 20);
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for() {
    let server = Server::start(|seen, number| match number {
        0 => Answer::new(429, json!({"error": {"message": "slow down"}})).header("Retry-After", "0.3"),
        // One second later by the server's clock, which is years behind.
        1 => Answer::new(503, "")
            .header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("Retry-After", "Sun, 06 Nov 1994 08:49:38 GMT"),
        _ => echoed(seen),
    });
    let mut model = model(&server, |_| ());
    let begun = Instant::now();
    assert_eq!(generate(&mut model, 1).unwrap(), ["answer 0"]);
    assert!(begun.elapsed() >= Duration::from_millis(1300), "{:?}", begun.elapsed());
    assert_eq!((model.usage().requests, model.usage().retries), (3, 2));
}

#[test]
fn a_wait_that_is_too_long_ends_the_run() {
    let server = Server::start(|_, _| Answer::new(429, "daily limit").header("Retry-After", "86400"));
    let error = generate(&mut model(&server, |_| ()), 1).unwrap_err();
    assert!(error.contains("86400 s") && error.contains("300 s") && error.contains("daily limit"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn what_passes_is_tried_again() {
    let server = Server::start(|seen, number| match number {
        0 => Answer::new(500, "oops"),
        1 => Answer::new(502, "<html>bad gateway</html>"),
        2 => echoed(seen).broken(),
        3 => Answer::new(200, r#"{"choices": [{"text": "ans"#),
        _ => echoed(seen),
    });
    let mut model = model(&server, |_| ());
    assert_eq!(generate(&mut model, 1).unwrap(), ["answer 0"]);
    let usage = model.usage();
    // The two truncated answers may have been charged.
    assert_eq!((usage.requests, usage.retries, usage.uncounted), (5, 4, 2));
}

#[test]
fn attempts_end() {
    let server = Server::start(|_, _| Answer::new(500, json!({"error": "out of memory"})));
    let error = generate(&mut model(&server, |options| options.attempts = 3), 1).unwrap_err();
    assert!(error.starts_with("prompt 0: ") && error.contains("status 500: out of memory"), "{error}");
    assert!(error.ends_with("(after 3 attempts)"), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_body_that_never_ends_meets_the_time_limit() {
    let server = Server::start(|seen, _| echoed(seen).stalled(Duration::from_secs(20)));
    let mut model = model(&server, |options| {
        options.request_timeout = Duration::from_millis(150);
        options.attempts = 2;
    });
    let begun = Instant::now();
    let error = generate(&mut model, 1).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(error.contains("no complete answer within 150ms (after 2 attempts)"), "{error}");
}

#[test]
fn nobody_listening_costs_nothing() {
    // The port of a service that has been obsolete for decades.
    let endpoint = "http://127.0.0.1:9";
    let mut options = OpenAiOptions::new(endpoint, "m", Api::Completions);
    options.attempts = 2;
    options.first_pause = Duration::from_millis(1);
    let mut model = OpenAiModel::new(options).unwrap();
    let error = generate(&mut model, 1).unwrap_err();
    assert!(error.contains(endpoint) && error.contains("(after 2 attempts)"), "{error}");
    assert_eq!((model.usage().requests, model.usage().uncounted), (2, 0));
}

#[test]
fn what_lasts_is_told_at_once_with_the_servers_words() {
    let quota = json!({"error": {"message": "no credit left", "code": "insufficient_quota"}});
    let cases = [
        (400, json!({"error": {"message": "bad temperature"}}), "status 400: bad temperature"),
        (404, json!({"message": "no model `m`"}), "status 404: no model `m`"),
        (422, json!({"detail": "too long"}), "status 422: too long"),
        (429, quota, "status 429: no credit left"),
        (200, json!("certainly"), "no choices"),
    ];
    for (status, body, expected) in cases {
        let server = Server::start(move |_, _| Answer::new(status, &body));
        let error = generate(&mut model(&server, |_| ()), 1).unwrap_err();
        assert!(error.starts_with("prompt 0: ") && error.contains(expected), "{error}");
        assert_eq!(server.seen().len(), 1, "{expected}");
    }
}

#[test]
fn a_key_that_the_server_repeats_is_not_shown() {
    for status in [401, 200] {
        let server = Server::start(move |seen, _| {
            let key = seen.authorization.clone().unwrap();
            // The text before the key is long enough that a cut at 200 characters would leave part of the key.
            Answer::new(status, format!("{} bad key {key}", "x".repeat(175)))
        });
        let mut model = model(&server, |options| options.key = Some(ApiKey::new(KEY).unwrap()));
        let error = model.generate_all(&numbered(1), &GENERATE, &|_| false).unwrap_err();
        for text in [error.to_string(), format!("{error:?}"), format!("{model:?}"), model.fingerprint()] {
            assert!(!text.contains("sk-") && !text.contains("secret"), "{text}");
        }
        assert_eq!(server.seen()[0].authorization.as_deref(), Some("Bearer sk-very-secret"));
    }
}

#[test]
fn a_key_that_the_server_writes_in_another_form_is_not_shown() {
    const KEY: &str = "sk-very/secret=";
    let forms =
        [r"sk-very\/secret=", r"\u0073k-very/secret\u003d", "sk-very%2Fsecret%3D", "QmVhcmVyIHNrLXZlcnkvc2VjcmV0PQ=="];
    for form in forms {
        for (status, body) in [
            (401, format!(r#"{{"error": {{"message": "bad key {form}"}}}}"#)),
            (200, format!(r#"{{"choices": [], "key": "{form}"}}"#)),
            (200, format!(r#"{{"choices": [{{"text": "it is {form}."}}], "model": "{form}"}}"#)),
        ] {
            let server = Server::start(move |_, _| Answer::new(status, &body));
            let mut model = model(&server, |options| options.key = Some(ApiKey::new(KEY).unwrap()));
            let outcome = model.generate_all(&numbered(1), &GENERATE, &|_| false);
            for text in [format!("{outcome:?}"), format!("{:?}", model.usage())] {
                assert!(!text.contains("secret") && !text.contains("sk-very") && !text.contains("c2VjcmV0"), "{text}");
            }
            assert!(format!("{outcome:?}").contains("(hidden)"), "{outcome:?}");
        }
    }
}

#[test]
fn counts_at_the_end_of_their_range_end_nothing() {
    let body = |prompt: u64, completion: u64| json!({"choices": [{"text": "yes"}], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}});
    for (prompt, completion) in [(u64::MAX, u64::MAX), (u64::MAX, 1), (1 << 40, 1 << 40)] {
        let server = Server::start(move |_, _| Answer::new(200, body(prompt, completion)));
        let mut model =
            model(&server, |options| options.prices = Some(Prices { prompt: 1.0, cached: None, completion: 1.0 }));
        assert_eq!(generate(&mut model, 20).unwrap(), ["yes"; 20]);
        assert!(model.usage().cost.unwrap().is_finite());
        assert_eq!(model.usage().uncounted, if prompt == 1 << 40 { 0 } else { 20 });
    }
}

#[test]
fn the_key_does_not_follow_a_redirection() {
    for status in [301, 302, 303, 307, 308] {
        let other = Server::start(|seen, _| echoed(seen));
        let location = format!("{}/v1/completions", other.endpoint());
        let server = Server::start(move |_, _| Answer::new(status, "").header("Location", &location));
        let mut model = model(&server, |options| options.key = Some(ApiKey::new(KEY).unwrap()));
        let error = generate(&mut model, 1).unwrap_err();
        assert!(error.contains(&format!("redirects (status {status})")), "{error}");
        assert!(other.seen().is_empty());
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn the_rate_is_kept_by_all_threads_together() {
    let server = Server::start(|seen, _| echoed(seen));
    // One request every 100 ms.
    let mut by_requests = model(&server, |options| options.requests_per_minute = Some(600.0));
    let begun = Instant::now();
    generate(&mut by_requests, 6).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());

    // The server counts 12 tokens per request: 20 ms each. One request at a time, so that its usage is known before the next.
    let mut by_tokens = model(&server, |options| {
        options.tokens_per_minute = Some(36_000.0);
        options.concurrency = 1;
    });
    let begun = Instant::now();
    generate(&mut by_tokens, 16).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[test]
fn a_budget_ends_the_run_before_it_is_exceeded() {
    let server = Server::start(|seen, _| echoed(seen));
    let prices = Prices { prompt: 1000.0, cached: None, completion: 10_000.0 };
    let mut model = model(&server, |options| {
        options.prices = Some(prices);
        options.budget = Some(0.3);
        options.concurrency = 1;
    });
    let (received, error) = until_it_fails(&mut model, &numbered(10));
    // A request costs 10 * 0.001 + 2 * 0.01 = 0.03. Its upper bound is bytes * 0.001 + 7 * 0.01.
    let bytes = server.seen()[0].body.to_string().len() as f64;
    let most = bytes * 0.001 + 0.07;
    let sent = (((0.3 - most) / 0.03).floor() + 1.0) as usize;
    assert!((2..10).contains(&sent));
    assert_eq!((received.len(), server.seen().len()), (sent, sent));
    assert!(error.contains(&format!("prompt {sent}: the budget of 0.3 is reached")), "{error}");
    let cost = model.usage().cost.unwrap();
    assert!((cost - sent as f64 * 0.03).abs() < 1e-9 && cost <= 0.3, "{cost}");
}

#[test]
fn a_run_goes_on_after_a_failure() {
    let is_mended = Arc::new(AtomicUsize::new(0));
    let mended = Arc::clone(&is_mended);
    let server = Server::start(move |seen, _| match (seen.prompt(), mended.load(Ordering::SeqCst)) {
        ("3", 0) => Answer::new(400, "not this one"),
        _ => echoed(seen),
    });
    let prompts = numbered(6);
    let mut model = model(&server, |options| options.concurrency = 1);
    let (mut received, error) = until_it_fails(&mut model, &prompts);
    assert!(error.starts_with("prompt 3: ") && error.ends_with("status 400: not this one"), "{error}");
    assert_eq!(received.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);

    is_mended.store(1, Ordering::SeqCst);
    let rest = model.generate_all(&prompts[received.len()..], &GENERATE, &|_| false).unwrap();
    received.extend(rest.into_iter().enumerate().map(|(index, generation)| (index + 3, generation.text)));
    assert_eq!(received, (0..6).map(|index| (index, format!("answer {index}"))).collect::<Vec<_>>());
    // No prompt with an answer was sent again.
    let asked: Vec<String> = server.seen().iter().map(|seen| seen.prompt().to_owned()).collect();
    assert_eq!(asked, ["0", "1", "2", "3", "3", "4", "5"]);
}

#[test]
fn who_cannot_keep_the_results_is_asked_no_more() {
    let server = Server::start(|seen, _| echoed(seen));
    let mut model = model(&server, |options| options.concurrency = 1);
    let finished = &mut |_: Vec<(usize, Generation)>| Err(ModelError::new("disk full"));
    let error = model.generate(&numbered(500), &GENERATE, &|_| false, finished).unwrap_err();
    assert_eq!(error.to_string(), "disk full");
    assert!(server.seen().len() < 500);
}

/// Echoes a prompt with one token per word, whose log-probability is minus its length, and adds one token at the end.
fn scored(seen: &Seen) -> Answer {
    let text = seen.prompt();
    let mut words: Vec<&str> = text.split_inclusive(' ').collect();
    words.push("!");
    let offset = |index: usize| words[..index].iter().map(|word| word.chars().count()).sum::<usize>();
    let offsets: Vec<usize> = (0..words.len()).map(offset).collect();
    let number = |index: usize| if index == 0 { json!(null) } else { json!(-(words[index].len() as f64)) };
    let numbers: Vec<_> = (0..words.len()).map(number).collect();
    let log_probabilities = json!({"tokens": words, "token_logprobs": numbers, "text_offset": offsets});
    Answer::new(200, json!({"choices": [{"text": format!("{text}!"), "logprobs": log_probabilities}]}))
}

#[test]
fn continuations_are_scored() {
    let server = Server::start(|seen, _| scored(seen));
    let mut scorer = model(&server, |_| ());
    let prompts = [Prompt::new("Is it: ", "").with_marker(""), Prompt::new("Or that: ", "").with_marker("")];
    let found = scorer.all_log_likelihoods(&prompts, &["fine".to_owned(), "very bad".to_owned()]).unwrap();
    // `fine`; `very ` and `bad`. The token after the text is ignored.
    let expected = vec![LogLikelihood { sum: -4.0, tokens: 1 }, LogLikelihood { sum: -8.0, tokens: 2 }];
    assert_eq!(found, [expected.clone(), expected]);
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    let body = seen.iter().map(|seen| &seen.body).find(|body| body["prompt"] == "Or that: very bad").unwrap();
    let whole = json!({
        "model": "m", "prompt": "Or that: very bad", "max_tokens": 1, "echo": true, "logprobs": 1, "temperature": 0
    });
    assert_eq!(*body, whole);
}

#[test]
fn servers_that_cannot_score_are_named() {
    let score = |server: &Server, change: fn(&mut OpenAiOptions)| {
        let found = model(server, change).all_log_likelihoods(&numbered(1), &["a".to_owned()]);
        found.unwrap_err().to_string()
    };
    let refusing = Server::start(|_, _| Answer::new(400, json!({"error": {"message": "no echo here"}})));
    let error = score(&refusing, |_| ());
    assert!(error.contains("cannot score continuations") && error.contains("no echo here"), "{error}");
    let ignoring = Server::start(|seen, _| echoed(seen));
    let error = score(&ignoring, |_| ());
    assert!(error.starts_with("prompt 0: ") && error.contains("does not repeat the text"), "{error}");
    let chat = score(&ignoring, |options| options.api = Api::Chat(Turns::Many));
    assert!(chat.contains("use the completions protocol"), "{chat}");
    assert_eq!(ignoring.seen().len(), 1);
}

#[test]
fn a_fingerprint_follows_what_changes_answers() {
    let print = |change: fn(&mut OpenAiOptions)| {
        let mut options = OpenAiOptions::new("https://models.example", "m", Api::Chat(Turns::Many));
        change(&mut options);
        OpenAiModel::new(options).unwrap().fingerprint()
    };
    let plain = print(|_| ());
    assert!(plain.starts_with("m at https://models.example/v1/chat/completions ("), "{plain}");
    let changes: [fn(&mut OpenAiOptions); 7] = [
        |options| options.model = "n".to_owned(),
        |options| options.endpoint = "https://models.example/v2".to_owned(),
        |options| options.api = Api::Completions,
        |options| options.api = Api::Chat(Turns::One),
        |options| options.send_marker = true,
        |options| options.seed = Some(1),
        |options| drop(options.parameters.insert("top_k".to_owned(), 1.into())),
    ];
    let prints: std::collections::BTreeSet<String> =
        changes.iter().map(|change| print(*change)).chain([plain.clone()]).collect();
    assert_eq!(prints.len(), 8);
    let same: [fn(&mut OpenAiOptions); 4] = [
        |options| options.endpoint = "https://Models.example/v1/".to_owned(),
        |options| options.key = Some(ApiKey::new("sk-another").unwrap()),
        |options| options.concurrency = 1,
        |options| options.attempts = 1,
    ];
    assert!(same.iter().all(|change| print(*change) == plain));
}
