//! Whole downloads against a small hub on this machine. Nothing here reads the environment or the user's cache.

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coin_hub::{Files, Hub, HubError, HubOptions, ProgressEvent, RepoId, RepoKind};
use server::{Fault, NAME, Server, downloads, etag};
use tempfile::TempDir;

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";
const INDEX: &str = r#"{"metadata": {"total_size": 8}, "weight_map": {
    "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}"#;
const SHARD_1: &str = "model-00001-of-00002.safetensors";
const SHARD_2: &str = "model-00002-of-00002.safetensors";

/// Two shards of weights among files that nobody asks for.
fn sharded() -> Server {
    Server::start(
        FIRST,
        &[
            (".gitattributes", b"*"),
            ("README.md", b"a model"),
            ("config.json", b"{}"),
            ("generation_config.json", b""),
            ("model.safetensors.index.json", INDEX.as_bytes()),
            (SHARD_1, b"the first shard"),
            (SHARD_2, b"the second shard"),
            ("model-extra.safetensors", b"unused"),
            ("pytorch_model.bin", b"the same weights again"),
            ("tokenizer.json", b"{\"model\": {}}"),
        ],
    )
}

fn options(server: &Server, cache: &TempDir) -> HubOptions {
    HubOptions {
        endpoint: server.endpoint(),
        retries: 0,
        timeout: Duration::from_secs(10),
        ..HubOptions::new(cache.path())
    }
}

fn repo() -> RepoId {
    RepoId::new(RepoKind::Model, NAME).unwrap()
}

fn fetch(server: &Server, cache: &TempDir) -> Result<PathBuf, HubError> {
    Hub::new(options(server, cache)).unwrap().folder(&repo(), Files::Model)
}

fn offline(cache: &TempDir, repo: &RepoId, files: Files<'_>) -> Result<PathBuf, HubError> {
    // Nothing listens at port 9 of this machine: a request would be an error of another kind.
    let options = HubOptions { offline: true, endpoint: "http://127.0.0.1:9".into(), ..HubOptions::new(cache.path()) };
    Hub::new(options).unwrap().folder(repo, files)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn blobs(cache: &TempDir) -> BTreeSet<String> {
    names(&cache.path().join("models--org--name/blobs"))
}

#[test]
fn a_model_of_two_shards_arrives_whole_and_nothing_else_does() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let folder = fetch(&server, &cache).unwrap();
    assert_eq!(folder, cache.path().join("models--org--name/snapshots").join(FIRST));
    let wanted =
        ["config.json", "generation_config.json", SHARD_1, SHARD_2, "model.safetensors.index.json", "tokenizer.json"];
    assert_eq!(names(&folder), wanted.map(str::to_owned).into());
    assert_eq!(fs::read(folder.join(SHARD_2)).unwrap(), b"the second shard");
    assert_eq!(fs::read(folder.join("generation_config.json")).unwrap(), b"");
    // Every file once, except the empty one, which needs no transfer.
    let mut fetched = downloads(&server.take_seen());
    fetched.sort();
    assert_eq!(fetched, ["config.json", SHARD_1, SHARD_2, "model.safetensors.index.json", "tokenizer.json"]);
    // A blob is named by its hash, and nothing half-made is left.
    assert!(blobs(&cache).contains(&etag(SHARD_1, b"the first shard")));
    assert!(blobs(&cache).contains(&etag("config.json", b"{}")));
    assert_eq!(blobs(&cache).len(), wanted.len());
}

#[test]
fn another_client_reads_the_same_cache() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let folder = fetch(&server, &cache).unwrap();
    let witness = hf_hub::Cache::new(cache.path().to_owned()).model(NAME.to_owned());
    assert_eq!(witness.get(SHARD_1), Some(folder.join(SHARD_1)));
    assert_eq!(witness.get("README.md"), None);
}

#[test]
fn a_second_call_fetches_no_file_and_a_commit_needs_no_request() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let folder = fetch(&server, &cache).unwrap();
    server.take_seen();
    assert_eq!(fetch(&server, &cache).unwrap(), folder);
    let seen = server.take_seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].path, format!("/api/models/{NAME}/revision/main"));

    let pinned = repo().with_revision(FIRST).unwrap();
    let hub = Hub::new(options(&server, &cache)).unwrap();
    assert_eq!(hub.folder(&pinned, Files::Model).unwrap(), folder);
    assert!(server.take_seen().is_empty());
}

#[test]
fn offline_works_with_the_server_gone() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let folder = fetch(&server, &cache).unwrap();
    drop(server);
    assert_eq!(offline(&cache, &repo(), Files::Model).unwrap(), folder);
    let pinned = repo().with_revision(FIRST).unwrap();
    assert_eq!(offline(&cache, &pinned, Files::Model).unwrap(), folder);
}

#[test]
fn offline_with_an_empty_cache_lists_what_is_missing_and_where_it_looked() {
    let cache = TempDir::new().unwrap();
    let error = offline(&cache, &repo(), Files::Model).unwrap_err();
    let HubError::NotCached { missing, cache: looked, .. } = &error else { panic!("{error}") };
    assert_eq!(missing[0], "config.json");
    assert_eq!(looked, cache.path());
    let message = error.to_string();
    for part in ["org/name", "config.json", "model.safetensors", cache.path().to_str().unwrap()] {
        assert!(message.contains(part), "{message}");
    }
    assert!(names(cache.path()).is_empty(), "looking leaves no trace");
}

#[test]
fn offline_does_not_take_a_part_for_the_whole() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    server.state().faults.insert(SHARD_2.to_owned(), Fault::Break(3));
    fetch(&server, &cache).unwrap_err();
    let error = offline(&cache, &repo(), Files::Model).unwrap_err();
    assert!(matches!(&error, HubError::NotCached { missing, .. } if missing == &[SHARD_2]), "{error}");
    // A free choice of files is checked against the list of the repository's files.
    let everything = Files::Matching(&|name| name.ends_with(".md") || name == "config.json");
    let error = offline(&cache, &repo(), everything).unwrap_err();
    assert!(matches!(&error, HubError::NotCached { missing, .. } if missing == &["README.md"]), "{error}");
}

#[test]
fn a_broken_transfer_is_an_error_and_the_next_call_goes_on() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    server.state().faults.insert(SHARD_1.to_owned(), Fault::BreakOnce(5));
    let error = fetch(&server, &cache).unwrap_err();
    let HubError::Transfer { file, received, expected, .. } = &error else { panic!("{error}") };
    assert_eq!((file.as_str(), *received, *expected), (SHARD_1, 5, Some(15)));
    assert!(error.to_string().contains("was interrupted after 5 of 15 bytes"), "{error}");
    let blob = etag(SHARD_1, b"the first shard");
    assert!(!blobs(&cache).contains(&blob) && blobs(&cache).contains(&format!("{blob}.incomplete")));
    assert!(!names(&cache.path().join("models--org--name/snapshots").join(FIRST)).contains(SHARD_1));

    server.take_seen();
    let folder = fetch(&server, &cache).unwrap();
    assert_eq!(fs::read(folder.join(SHARD_1)).unwrap(), b"the first shard");
    let ranges: Vec<_> = server.take_seen().into_iter().filter(|seen| seen.storage).map(|seen| seen.range).collect();
    assert_eq!(ranges, [Some("bytes=5-".to_owned()), None]);
    assert!(!blobs(&cache).iter().any(|name| name.ends_with(".incomplete")));
}

#[test]
fn a_broken_transfer_is_tried_again_within_a_call_and_progress_is_told() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    server.state().faults.insert(SHARD_1.to_owned(), Fault::BreakOnce(5));
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let progress = move |event: ProgressEvent<'_>| teller.lock().unwrap().push(format!("{event:?}"));
    let options = HubOptions { retries: 1, progress: Some(Arc::new(progress)), ..options(&server, &cache) };
    Hub::new(options).unwrap().folder(&repo(), Files::Model).unwrap();
    let told = told.lock().unwrap();
    let of_shard: Vec<_> = told.iter().skip_while(|event| !event.contains(SHARD_1)).take(6).collect();
    for (event, parts) in of_shard.iter().zip([
        ["Started", "size: Some(15), resumed_at: 0"],
        ["Advanced", "bytes: 5"],
        ["Retrying", "was interrupted"],
        ["Started", "size: Some(15), resumed_at: 5"],
        ["Advanced", "bytes: 10"],
        ["Finished", SHARD_1],
    ]) {
        assert!(parts.iter().all(|part| event.contains(part)), "{event} {parts:?}");
    }
    assert_eq!(of_shard.len(), 6);
}

#[test]
fn a_server_without_ranges_and_a_damaged_part_cost_a_new_start_only() {
    let content = b"the first shard";
    let blob = etag(SHARD_1, content);
    // Parts: a prefix, other bytes, as long as the file, longer than the file.
    let parts: [&[u8]; 4] = [b"the f", b"XXXXX", b"XXXXXXXXXXXXXXX", b"the first shard and more"];
    for (part, fault) in parts.into_iter().flat_map(|part| [(part, None), (part, Some(Fault::NoRanges))]) {
        let (server, cache) = (sharded(), TempDir::new().unwrap());
        let folder = cache.path().join("models--org--name/blobs");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{blob}.incomplete")), part).unwrap();
        server.state().faults.extend(fault.map(|fault| (SHARD_1.to_owned(), fault)));
        let snapshot = fetch(&server, &cache).unwrap();
        assert_eq!(fs::read(snapshot.join(SHARD_1)).unwrap(), content, "{part:?} {fault:?}");
    }
}

#[test]
fn wrong_bytes_are_refused_and_nothing_of_them_is_left() {
    for (file, algorithm) in [(SHARD_1, "sha256"), ("config.json", "git blob sha1")] {
        let (server, cache) = (sharded(), TempDir::new().unwrap());
        server.state().faults.insert(file.to_owned(), Fault::Wrong);
        let error = fetch(&server, &cache).unwrap_err();
        let HubError::Checksum { expected, found, .. } = &error else { panic!("{error}") };
        let content = server.state().commits[FIRST][file].clone();
        assert_eq!(expected, &etag(file, &content));
        let mut damaged = content;
        damaged[0] ^= 1;
        assert_eq!(found, &etag(file, &damaged));
        let message = error.to_string();
        for part in ["org/name", file, algorithm, expected.as_str(), found.as_str()] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!blobs(&cache).iter().any(|name| name.starts_with(expected.as_str())), "{:?}", blobs(&cache));
        assert!(!names(&cache.path().join("models--org--name/snapshots").join(FIRST)).contains(file));

        server.state().faults.clear();
        fetch(&server, &cache).unwrap();
    }
}

#[test]
fn a_body_longer_than_announced_is_not_taken() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    server.state().faults.insert(SHARD_1.to_owned(), Fault::Longer(50_000_000));
    let options = HubOptions { retries: 3, ..options(&server, &cache) };
    let error = Hub::new(options).unwrap().folder(&repo(), Files::Model).unwrap_err();
    assert!(error.to_string().contains("more than the 15 bytes that it announced"), "{error}");
    let blobs = cache.path().join("models--org--name/blobs");
    let kept = fs::metadata(blobs.join(format!("{}.incomplete", etag(SHARD_1, b"the first shard")))).unwrap();
    assert_eq!(kept.len(), 0);
    // It would be as long the next time.
    assert_eq!(downloads(&server.take_seen()).iter().filter(|name| *name == SHARD_1).count(), 1);
    server.state().faults.clear();
    fetch(&server, &cache).unwrap();
}

#[test]
fn a_password_in_the_endpoint_is_sent_and_not_shown() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let endpoint = server.endpoint().replace("http://", "http://me:hunter2@");
    let told = Arc::new(Mutex::new(String::new()));
    let teller = Arc::clone(&told);
    let progress = move |event: ProgressEvent<'_>| *teller.lock().unwrap() += &format!("{event:?}");
    let given = HubOptions { endpoint, progress: Some(Arc::new(progress)), ..options(&server, &cache) };
    let with = |retries| HubOptions { retries, ..given.clone() };
    let hub = Hub::new(with(0)).unwrap();
    hub.folder(&repo(), Files::Model).unwrap();
    let authorizations: BTreeSet<_> =
        server.take_seen().into_iter().filter(|seen| !seen.storage).map(|seen| seen.authorization).collect();
    // `me:hunter2` in Base64.
    assert_eq!(authorizations, BTreeSet::from([Some("Basic bWU6aHVudGVyMg==".to_owned())]));

    let mut shown = vec![format!("{hub:?}")];
    let mut fails = |retries, repo: &RepoId| {
        let error = Hub::new(with(retries)).unwrap().folder(repo, Files::Model).unwrap_err();
        shown.extend([error.to_string(), format!("{error:?}")]);
    };
    fails(0, &repo().with_revision("v9").unwrap());
    server.state().info_status = Some(503);
    fails(1, &repo());
    server.state().info_status = None;
    server.state().token = Some("hf_right".to_owned());
    fails(0, &repo());
    drop(server);
    fails(0, &repo());
    shown.push(told.lock().unwrap().clone());
    for text in shown {
        assert!(!text.contains("hunter2") && !text.contains("bWU6"), "{text}");
    }
}

#[test]
fn names_of_the_hub_are_shown_without_what_a_terminal_obeys() {
    let cache = TempDir::new().unwrap();
    let server = Server::start(FIRST, &[("config.json", b"{}"), ("a\\u001b]0;title\\u0007", b"")]);
    let message = fetch(&server, &cache).unwrap_err().to_string();
    assert!(message.contains("]0;title") && !message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn the_token_goes_to_the_endpoint_only_and_its_absence_is_explained() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    server.state().token = Some("hf_right".to_owned());
    let error = fetch(&server, &cache).unwrap_err();
    assert!(matches!(error, HubError::Refused { status: 401, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("org/name") && message.contains("HF_TOKEN"), "{message}");
    assert!(server.take_seen().iter().all(|seen| seen.authorization.is_none()));

    let with = |token: &str| {
        let options = HubOptions { token: Some(token.to_owned()), ..options(&server, &cache) };
        Hub::new(options).unwrap()
    };
    let message = with("hf_wrong").folder(&repo(), Files::Model).unwrap_err().to_string();
    assert!(message.contains("not valid") && !message.contains("hf_wrong"), "{message}");
    server.take_seen();

    let hub = with("hf_right");
    hub.folder(&repo(), Files::Model).unwrap();
    assert!(!format!("{hub:?}").contains("hf_right"));
    let (storage, endpoint): (Vec<_>, Vec<_>) = server.take_seen().into_iter().partition(|seen| seen.storage);
    assert_eq!(storage.len(), 2);
    assert!(storage.iter().all(|seen| seen.authorization.is_none()), "{storage:?}");
    assert!(endpoint.iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_right")), "{endpoint:?}");
}

#[test]
fn a_branch_and_a_commit_are_honored() {
    let cache = TempDir::new().unwrap();
    let server = Server::start(FIRST, &[("adapter_config.json", b"1"), ("adapter_model.safetensors", b"same")]);
    server.commit("feature/x", SECOND, &[("adapter_config.json", b"2"), ("adapter_model.safetensors", b"same")]);
    let hub = Hub::new(options(&server, &cache)).unwrap();
    let config = |revision: &str| {
        let folder = hub.folder(&repo().with_revision(revision).unwrap(), Files::Adapter).unwrap();
        fs::read_to_string(folder.join("adapter_config.json")).unwrap()
    };
    assert_eq!(config("main"), "1");
    assert_eq!(config("feature/x"), "2");
    assert_eq!(config(SECOND), "2");
    // Equal content is fetched once.
    let fetched = downloads(&server.take_seen());
    assert_eq!(fetched.iter().filter(|name| *name == "adapter_model.safetensors").count(), 1, "{fetched:?}");
    assert_eq!(names(&cache.path().join("models--org--name/refs")), ["feature", "main"].map(str::to_owned).into());

    server.commit("main", SECOND, &[("adapter_config.json", b"2"), ("adapter_model.safetensors", b"same")]);
    assert_eq!(config("main"), "2");
    assert_eq!(config(FIRST), "1");
}

#[test]
fn a_branch_that_moved_keeps_its_old_files_for_offline_use_until_the_new_ones_are_there() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let old = fetch(&server, &cache).unwrap();
    server.commit("main", SECOND, &[("config.json", b"{ }"), ("model.safetensors", b"new weights")]);
    server.state().faults.insert("model.safetensors".to_owned(), Fault::BreakOnce(2));
    fetch(&server, &cache).unwrap_err();
    assert_eq!(offline(&cache, &repo(), Files::Model).unwrap(), old);
    let new = fetch(&server, &cache).unwrap();
    assert_ne!(new, old);
    assert_eq!(offline(&cache, &repo(), Files::Model).unwrap(), new);
}

#[test]
fn a_data_set_arrives_from_its_own_addresses() {
    const TRAIN: &str = "rte/train-00000-of-00001.parquet";
    let cache = TempDir::new().unwrap();
    let server = Server::start(FIRST, &[("README.md", b""), (TRAIN, b"PAR1 rows"), ("wnli/train.tsv", b"other rows")]);
    let repo = RepoId::new(RepoKind::Dataset, NAME).unwrap();
    let wanted = |name: &str| name.starts_with("rte/");
    let files = Files::Matching(&wanted);
    let folder = Hub::new(options(&server, &cache)).unwrap().folder(&repo, files).unwrap();
    assert_eq!(folder, cache.path().join("datasets--org--name/snapshots").join(FIRST));
    assert_eq!(fs::read(folder.join(TRAIN)).unwrap(), b"PAR1 rows");
    assert_eq!(names(&folder), BTreeSet::from(["rte".to_owned()]));
    let asked: BTreeSet<String> =
        server.take_seen().into_iter().filter(|seen| !seen.storage).map(|seen| seen.path).collect();
    let resolved = format!("/datasets/org/name/resolve/{FIRST}/{TRAIN}");
    assert_eq!(asked, BTreeSet::from(["/api/datasets/org/name/revision/main".to_owned(), resolved]));
    assert_eq!(offline(&cache, &repo, files).unwrap(), folder);
    // The model of the same name is another repository.
    assert!(matches!(offline(&cache, &self::repo(), files), Err(HubError::NotCached { .. })));
}

#[test]
fn an_unknown_revision_or_name_is_named() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    let hub = Hub::new(options(&server, &cache)).unwrap();
    let message = hub.folder(&repo().with_revision("v9").unwrap(), Files::Model).unwrap_err().to_string();
    assert!(message.contains("`org/name`") && message.contains("`v9`"), "{message}");
    let other = RepoId::new(RepoKind::Model, "org/other").unwrap();
    let error = hub.folder(&other, Files::Model).unwrap_err();
    assert!(matches!(&error, HubError::NotFound { name, .. } if name == "org/other"), "{error}");
}

#[test]
fn a_repository_without_weights_and_an_index_of_absent_shards_are_errors() {
    let cache = TempDir::new().unwrap();
    let server = Server::start(FIRST, &[("config.json", b"{}"), ("README.md", b"")]);
    let error = fetch(&server, &cache).unwrap_err();
    assert!(matches!(&error, HubError::NoFiles { looked_for, .. } if looked_for.len() == 1), "{error}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");

    let index = ("model.safetensors.index.json", INDEX.as_bytes());
    server.commit("main", SECOND, &[("config.json", b"{}"), index, (SHARD_1, b"the first shard")]);
    let message = fetch(&server, &cache).unwrap_err().to_string();
    assert!(message.contains("model.safetensors.index.json") && message.contains(SHARD_2), "{message}");
    assert!(downloads(&server.take_seen()).iter().all(|name| name != SHARD_1), "no shard of a faulty index");
}

#[test]
fn trouble_of_the_server_and_a_server_that_is_not_there() {
    let (server, cache) = (sharded(), TempDir::new().unwrap());
    server.state().info_status = Some(503);
    let error = fetch(&server, &cache).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 503, .. }), "{error}");
    let once_more = HubOptions { retries: 1, ..options(&server, &cache) };
    server.take_seen();
    Hub::new(once_more).unwrap().folder(&repo(), Files::Model).unwrap_err();
    assert_eq!(server.take_seen().len(), 2);

    let gone = options(&server, &cache);
    drop(server);
    let error = Hub::new(gone).unwrap().folder(&repo(), Files::Model).unwrap_err();
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cache = TempDir::new().unwrap();
    let options = HubOptions {
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        retries: 0,
        timeout: Duration::from_millis(200),
        ..HubOptions::new(cache.path())
    };
    let error = Hub::new(options).unwrap().folder(&repo(), Files::Model).unwrap_err();
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
}
