use super::*;
use crate::engine::model::{Decided, Finished, FinishedLikelihoods};
use crate::parser::AnswerParser;
use crate::setup::context::PromptContext;
use crate::setup::instructions::InstructionSet;
use crate::setup::settings::LongPrompts;
use coin_data::{DataError, Instance, Task};

/// Answers `acceptable` to prompts with `please`, and otherwise the correct word with a quote; writes letter by letter.
struct Fake {
    calls: usize,
    fails_at: Option<usize>,
}

impl LanguageModel for Fake {
    fn generate(
        &mut self,
        prompts: &[Prompt],
        options: &GenerateOptions,
        decided: Decided<'_>,
        finished: Finished<'_>,
    ) -> Result<(), ModelError> {
        self.calls += 1;
        let failure = || ModelError::new("out of memory");
        let answer = |prompt: &Prompt| {
            let prompt = prompt.render();
            let please = prompt.contains("please");
            let right = if prompt.contains("good") { "acceptable" } else { "unacceptable" };
            let mut text = String::new();
            for c in format!("'{}' I think", if please { "acceptable" } else { right }).chars() {
                if decided(&text) {
                    break;
                }
                text.push(c);
            }
            let hidden = options.hidden.then(|| vec![1.0, if please { 1.0 } else { 0.0 }]);
            Generation { token_ids: vec![0; text.len()], text, hidden, ..Generation::default() }
        };
        // One answer at a time, starting with the last.
        for (index, prompt) in prompts.iter().enumerate().rev() {
            if self.fails_at == Some(0) {
                return Err(failure());
            }
            self.fails_at = self.fails_at.map(|left| left - 1);
            finished(vec![(index, answer(prompt))])?;
        }
        Ok(())
    }

    fn log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        words: &[String],
        finished: FinishedLikelihoods<'_>,
    ) -> Result<(), ModelError> {
        let likely = |prompt: &Prompt, word: &String| {
            let good = prompt.input == "good" && word == "acceptable";
            LogLikelihood { sum: if good { -1.0 } else { -2.0 }, tokens: word.len() }
        };
        let row = |(index, prompt)| (index, words.iter().map(|word| likely(prompt, word)).collect());
        finished(prompts.iter().enumerate().map(row).collect())
    }

    fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
        Ok((prompt.render().split_whitespace().count() + new_tokens).saturating_sub(20))
    }

    fn fingerprint(&self) -> String {
        "fake".to_owned()
    }
}

fn instances(task: &Task) -> Result<Vec<Instance>, DataError> {
    let word = |row: usize| if row.is_multiple_of(2) { "good" } else { "bad" };
    Ok((0..10).map(|row| Instance::new(&task.name, row, [("sentence", word(row))], 1 - row % 2)).collect())
}

fn evaluation() -> Evaluation {
    let json = r#"{"clean": {"cola": ["Judge: ", "Say: "]}, "semantic": {"cola": ["Judge please: ", "Tell: "]}}"#;
    let set = InstructionSet::parse(json, "inline").unwrap();
    let mut evaluation = Evaluation::new(vec![Task::named("cola").unwrap()], set);
    evaluation.levels = vec!["semantic".to_owned(), "clean".to_owned()];
    evaluation.samples = 4;
    evaluation
}

fn run(evaluation: &Evaluation) -> (Vec<Record>, Vec<(usize, usize)>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
    let (mut steps, mut model) = (Vec::new(), Fake { calls: 0, fails_at: None });
    let records =
        evaluation.run(&mut model, &instances, &mut ledger, &mut |done, total| steps.push((done, total))).unwrap();
    let mut written = Ledger::read(ledger.path()).unwrap();
    let plan = evaluation.plan(&instances).unwrap();
    written.sort_by_key(|record| plan.order(record));
    assert_eq!(written, records);
    (records, steps, model.calls)
}

#[test]
fn strict_pairs_levels_and_compares_hidden_states() {
    let (records, steps, calls) = run(&evaluation());
    assert_eq!(calls, 4);
    assert_eq!(steps, (0..=16).map(|done| (done, 16)).collect::<Vec<_>>());
    let rows = |level: &str, instruction| -> Vec<usize> {
        let chosen = records.iter().filter(|r| r.level == level && r.instruction == instruction);
        chosen.map(|r| r.row).collect()
    };
    assert_eq!(rows("clean", 0), rows("semantic", 1));
    for record in &records {
        let please = record.level == "semantic" && record.instruction == 0;
        let cosine = if please { Some(std::f32::consts::FRAC_1_SQRT_2) } else { Some(1.0) };
        match record.level.as_str() {
            CLEAN => assert_eq!(record.cosine_to_clean, None),
            _ => assert!((record.cosine_to_clean.unwrap() - cosine.unwrap()).abs() < 1e-6),
        }
        assert_eq!(record.pred, if please { 1 } else { record.gold as i64 });
        assert!(record.raw_pred.ends_with("cceptable"), "stopped once decided: {}", record.raw_pred);
    }
}

#[test]
fn full_decode_writes_on_and_reads_the_same() {
    let stopped = run(&evaluation()).0;
    let full = run(&Evaluation { full_decode: true, ..evaluation() }).0;
    assert!(full.iter().all(|record| record.raw_pred.ends_with("I think")));
    assert!(stopped.iter().zip(&full).all(|(a, b)| a.pred == b.pred && a.key != b.key));
}

#[test]
fn paper_draws_examples_for_every_level() {
    let paper = Evaluation { preset: Preset::Paper, marker: Preset::Paper.marker().to_owned(), ..evaluation() };
    let records = run(&paper).0;
    let rows = |level: &str| -> Vec<usize> { records.iter().filter(|r| r.level == level).map(|r| r.row).collect() };
    assert_ne!(rows("clean"), rows("semantic"));
    assert!(records.iter().all(|record| record.cosine_to_clean.is_none()));
    let plan = paper.plan(&instances).unwrap();
    assert!(records.iter().all(|record| plan.input_text(record).unwrap().ends_with("d### Response:")));
}

#[test]
fn what_is_missing_is_found_before_the_model_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
    let mut model = Fake { calls: 0, fails_at: None };
    let mut wrong = evaluation();
    wrong.levels.push("textfooler".to_owned());
    let error = wrong.run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("no instructions for level `textfooler`"));
    let twice = |task: &Task| Ok([instances(task)?, instances(task)?].concat());
    let error = evaluation().run(&mut model, &twice, &mut ledger, &mut |_, _| ()).unwrap_err();
    assert_eq!(error.to_string(), "task `cola` has two examples with row 0");
    assert_eq!(model.calls, 0);
}

#[test]
fn a_run_that_broke_anywhere_goes_on_and_ends_alike() {
    let whole = run(&evaluation()).0;
    for broken_after in 0..16 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut model = Fake { calls: 0, fails_at: Some(broken_after) };
        let mut ledger = Ledger::open(&path).unwrap();
        let error = evaluation().run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().ends_with("out of memory"), "{error}");
        drop(ledger);
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.found().len(), broken_after);
        let (mut asked, mut model) = (0, Fake { calls: 0, fails_at: None });
        let progress = &mut |done, _| asked = asked.max(done);
        assert_eq!(evaluation().run(&mut model, &instances, &mut ledger, progress).unwrap(), whole);
        assert_eq!((asked, Ledger::read(&path).unwrap().len()), (16, 16));
        // A finished evaluation does not query the model.
        drop(ledger);
        let (mut ledger, mut model) = (Ledger::open(&path).unwrap(), Fake { calls: 0, fails_at: Some(0) });
        assert_eq!(evaluation().run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap(), whole);
    }
}

#[test]
fn a_larger_evaluation_takes_over_the_answers_of_a_smaller_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let go = |evaluation: &Evaluation| {
        let mut model = Fake { calls: 0, fails_at: None };
        evaluation.run(&mut model, &instances, &mut Ledger::open(&path).unwrap(), &mut |_, _| ())
    };
    go(&evaluation()).unwrap();
    let large = Evaluation { samples: 6, ..evaluation() };
    assert_eq!(go(&large).unwrap(), run(&large).0);
    let error = go(&evaluation()).unwrap_err().to_string();
    assert!(
        error.contains("the ledger holds 8 answers that this evaluation does not request, such as task `cola`"),
        "{error}"
    );
}

#[test]
fn a_ledger_of_another_evaluation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let refused = |evaluation: &Evaluation| {
        let (mut model, mut ledger) = (Fake { calls: 0, fails_at: None }, Ledger::open(&path).unwrap());
        let error = evaluation.run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
        assert_eq!(model.calls, 0);
        error.to_string()
    };
    let records = run(&evaluation()).0;
    Ledger::create(&path).unwrap().append(&records[..3]).unwrap();
    let message = refused(&Evaluation { max_new_tokens: 9, ..evaluation() });
    assert!(message.contains("level `clean`, instruction 0") && message.contains("different settings"), "{message}");
    let theirs = Record { model: "another".to_owned(), ..records[0].clone() };
    Ledger::create(&path).unwrap().append(&[theirs]).unwrap();
    assert!(refused(&evaluation()).contains("line 1 was answered by the model `another`, but this model is `fake`"));
    Ledger::create(&path).unwrap().append(&[records[0].clone(), records[0].clone()]).unwrap();
    assert!(refused(&evaluation()).contains("line 2 is a second answer to task `cola`"));
}

#[test]
fn label_words_can_be_scored_instead() {
    let records = run(&Evaluation { parser: AnswerParser::Likelihood, ..evaluation() }).0;
    assert!(records.iter().all(|record| record.pred == record.gold as i64 && record.raw_pred.is_empty()));
    assert_eq!(records[0].likelihoods.as_ref().unwrap().len(), 2);
    // If the sums are tied, the longer word has the higher likelihood per token, for any input.
    let records = run(&Evaluation { parser: AnswerParser::LikelihoodPerToken, ..evaluation() }).0;
    assert!(records.iter().any(|record| record.gold == 1) && records.iter().any(|record| record.pred == 0));
}

#[test]
fn long_prompts_are_refused_shortened_or_left_out() {
    let long = |task: &Task| {
        let mut all = instances(task)?;
        all[3]
            .fields
            .insert("sentence".to_owned(), "one two three four five six seven eight nine ten eleven".to_owned());
        Ok(all)
    };
    let evaluation = |long_prompts| Evaluation { long_prompts, samples: 10, ..evaluation() };
    let go = |evaluation: &Evaluation| -> Result<(Vec<Record>, usize), EvalError> {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
        let mut model = Fake { calls: 0, fails_at: None };
        let mut plan = evaluation.plan(&long)?;
        plan.fit(&model)?;
        Ok((plan.run(&mut model, &mut ledger, &mut |_, _| ())?, plan.left_out()))
    };
    // 20 words fit: `Judge: ` and the marker take 3, the answer takes 7, so ten are left.
    let message = go(&evaluation(LongPrompts::Refuse)).unwrap_err().to_string();
    assert!(message.contains("the prompt of example 3 is 1 tokens too long"), "{message}");
    let (records, left_out) = go(&evaluation(LongPrompts::Shorten)).unwrap();
    assert_eq!((records.len(), left_out), (40, 0));
    assert!(records.iter().all(|record| record.shortened == (record.row == 3)));
    let (records, left_out) = go(&evaluation(LongPrompts::Skip)).unwrap();
    assert_eq!((records.len(), left_out), (36, 1));
    assert!(records.iter().all(|record| record.row != 3));
    let none = Evaluation { max_new_tokens: 18, ..evaluation(LongPrompts::Shorten) };
    assert!(go(&none).unwrap_err().to_string().contains("even if the input is cut to one word"));
}

#[test]
fn system_text_and_demonstrations_are_perturbed_in_place_of_instructions() {
    use coin_data::{Component, Demonstration};
    let shown = |input: &str| vec![Demonstration { input: input.to_owned(), answer: "acceptable".to_owned() }];
    let system = [("clean", "Be exact."), ("semantic", "Be precise.")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let levels = [("clean".to_owned(), shown("fine")), ("semantic".to_owned(), shown("f1ne"))].into();
    let demonstrations = [("cola".to_owned(), levels)].into();
    let around = PromptContext { system: system.into(), demonstrations };
    let texts = |component| -> Vec<String> {
        let evaluation = Evaluation { component, context: around.clone(), ..evaluation() };
        let plan = evaluation.plan(&instances).unwrap();
        let text = |unit: Unit<'_>| plan.prompt(&unit, &unit.examples[0]).unwrap().render();
        plan.units().map(text).collect()
    };
    let system = texts(Component::System);
    assert!(system[0].starts_with("Be exact.\n\nJudge: fine\n\n### Response:\nacceptable\n\n"), "{}", system[0]);
    assert!(system[1].starts_with("Be precise.\n\nJudge: fine"), "{}", system[1]);
    assert!(texts(Component::Demonstrations)[1].starts_with("Be exact.\n\nJudge: f1ne"));
    assert!(texts(Component::Instruction)[1].starts_with("Be exact.\n\nJudge please: fine"));
    let evaluation = Evaluation { component: Component::Input, ..evaluation() };
    assert!(evaluation.plan(&instances).unwrap_err().to_string().contains("the input cannot be perturbed"));
}
