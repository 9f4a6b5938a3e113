//! The verbs that instructions begin with.

/// A verb in its base form and its gerund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verb {
    pub base: &'static str,
    pub gerund: &'static str,
    /// True if the verb requests the answer.
    pub answers: bool,
}

const fn asks(base: &'static str, gerund: &'static str) -> Verb {
    Verb { base, gerund, answers: false }
}

const fn answers(base: &'static str, gerund: &'static str) -> Verb {
    Verb { base, gerund, answers: true }
}

const VERBS: &[Verb] = &[
    answers("answer", "answering"),
    answers("choose", "choosing"),
    answers("give", "giving"),
    answers("output", "outputting"),
    answers("pick", "picking"),
    answers("print", "printing"),
    answers("reply", "replying"),
    answers("respond", "responding"),
    answers("return", "returning"),
    answers("say", "saying"),
    answers("select", "selecting"),
    answers("write", "writing"),
    asks("analyze", "analyzing"),
    asks("appraise", "appraising"),
    asks("assess", "assessing"),
    asks("categorize", "categorizing"),
    asks("check", "checking"),
    asks("classify", "classifying"),
    asks("compare", "comparing"),
    asks("consider", "considering"),
    asks("contrast", "contrasting"),
    asks("decide", "deciding"),
    asks("describe", "describing"),
    asks("determine", "determining"),
    asks("establish", "establishing"),
    asks("evaluate", "evaluating"),
    asks("examine", "examining"),
    asks("explain", "explaining"),
    asks("find", "finding"),
    asks("go", "going"),
    asks("hold", "holding"),
    asks("identify", "identifying"),
    asks("indicate", "indicating"),
    asks("infer", "inferring"),
    asks("inspect", "inspecting"),
    asks("judge", "judging"),
    asks("label", "labeling"),
    asks("look", "looking"),
    asks("mark", "marking"),
    asks("point", "pointing"),
    asks("predict", "predicting"),
    asks("rate", "rating"),
    asks("read", "reading"),
    asks("recognize", "recognizing"),
    asks("review", "reviewing"),
    asks("scrutinize", "scrutinizing"),
    asks("sort", "sorting"),
    asks("specify", "specifying"),
    asks("state", "stating"),
    asks("study", "studying"),
    asks("take", "taking"),
    asks("tell", "telling"),
    asks("think", "thinking"),
    asks("verify", "verifying"),
    asks("weigh", "weighing"),
    asks("work", "working"),
];

/// The verb whose base form is `word`, in any case.
pub(super) fn of_base(word: &str) -> Option<Verb> {
    VERBS.iter().copied().find(|verb| verb.base.eq_ignore_ascii_case(word))
}

/// The verb whose gerund is `word`, in any case.
pub(super) fn of_gerund(word: &str) -> Option<Verb> {
    VERBS.iter().copied().find(|verb| verb.gerund.eq_ignore_ascii_case(word))
}

/// The verb that `text` begins with, unless its first word is protected in `text`.
pub(super) fn leading(text: &str, free: &[crate::words::Word<'_>]) -> Option<Verb> {
    let first = free.first().filter(|word| word.start == 0)?;
    debug_assert!(text.starts_with(first.text));
    of_base(first.text)
}
