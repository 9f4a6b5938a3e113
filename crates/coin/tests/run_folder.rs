//! Run folders that cannot be used: a full disk, missing permissions, another owner, another process, a finished run.
#![cfg(unix)]

mod training;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use coin::core::output_folder::MARKER;
use training::{run_file, train};

/// A user who owns nothing.
const NOBODY: u32 = 65534;

/// A small file system in memory, unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output();
        status.is_ok_and(|output| output.status.success()).then_some(SmallDisk(path))
    }

    fn enlarge(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_loses_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let path = dir.path().join("disk");
    // A checkpoint of the demo's model takes about 2 MB.
    let Some(disk) = SmallDisk::mount(&path, "size=7m") else {
        eprintln!("skipped: a_full_disk_loses_no_checkpoint needs the right to mount a file system");
        return;
    };
    let keep_all = ["--set", "train.keep_checkpoints=1000", "--set", "train.steps=10"];
    let out = path.join("run");
    let output = train(&config, &out, &keep_all).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("No space left on device") && message.contains("/disk/run/"), "{message}");
    let checkpoints = || std::fs::read_dir(out.join("checkpoints")).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = checkpoints().collect();
    assert!((1..10).contains(&left.len()), "{left:?}");
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("step-")), "incomplete checkpoint: {left:?}");

    disk.enlarge("size=64m");
    let output = train(&config, &out, &[&keep_all[..], &["--resume"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole = dir.path().join("whole");
    assert!(train(&config, &whole, &keep_all).output().unwrap().status.success());
    let adapter = |out: &Path| std::fs::read(out.join("adapter/adapter_model.safetensors")).unwrap();
    assert!(adapter(&out) == adapter(&whole), "a run resumed after a full disk must end like an uninterrupted one");
}

#[test]
fn folders_without_write_permission_are_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let open = |path: &Path, mode: u32| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    open(dir.path(), 0o755);
    let is_root = std::fs::metadata(dir.path()).unwrap().uid() == 0;
    let attempt = |out: &Path| {
        let mut command = train(&config, out, &["--set", "train.steps=2"]);
        // Permissions do not restrict the superuser.
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output()
    };
    let locked = dir.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    open(&locked, 0o555);
    let Ok(output) = attempt(&locked.join("run")) else {
        eprintln!(
            "skipped: folders_without_write_permission_are_refused_before_any_work needs a program that other users may run"
        );
        return;
    };
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("locked/run") && message.contains("ermission denied"), "{message}");

    // The run folder can be written, but not the folder of an earlier run's adapter.
    let run = dir.path().join("run");
    std::fs::create_dir_all(run.join("adapter")).unwrap();
    for name in ["config.resolved.toml", MARKER] {
        std::fs::write(run.join(name), "").unwrap();
        open(&run.join(name), 0o666);
    }
    open(&run, 0o777);
    open(&run.join("adapter"), 0o555);
    let output = attempt(&run).unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("run/adapter") && message.contains("ermission denied"), "{message}");
    assert!(!run.join("metrics.jsonl").exists());
}

/// Exit code, standard output and standard error of a run.
fn outcome(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_folder_that_this_program_did_not_create_is_left_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let names = ["config.resolved.toml", "metrics.jsonl", "failed-batch.json", "report.html"];
    let folders = ["adapter", "adapter-best", "checkpoints", "tensorboard"];
    for (index, name) in names.iter().chain(&folders).enumerate() {
        let out = dir.path().join(format!("foreign-{index}"));
        let mine = match folders.contains(name) {
            true => out.join(name).join("mine.txt"),
            false => out.join(name),
        };
        std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
        std::fs::write(&mine, "mine").unwrap();
        for more in [&[][..], &["--resume"]] {
            let (code, _, told) = outcome(train(&config, &out, more));
            assert!(
                code == Some(2) && told.contains(&format!("contains {name} but was not created by this program")),
                "{told}"
            );
        }
        assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn two_processes_do_not_train_into_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let out = dir.path().join("run");
    let steps = ["--set", "train.steps=12"];
    let both = [(); 2].map(|()| train(&config, &out, &steps).spawn().unwrap());
    let ended = both.map(|child| child.wait_with_output().unwrap());
    let told = ended.each_ref().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let mut codes = ended.map(|output| output.status.code());
    codes.sort();
    assert_eq!(codes, [Some(0), Some(2)], "{told:?}");
    // The reason depends on how far the first process had come.
    let reasons = ["another process is writing to this folder", "earlier run", "contains a finished run"];
    assert!(told.iter().any(|told| reasons.iter().any(|reason| told.contains(reason))), "{told:?}");
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let steps = metrics.lines().filter(|line| line.starts_with("{\"step\":")).count();
    assert_eq!(steps, 12);
}

#[test]
fn a_finished_run_is_reported_and_left_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let out = dir.path().join("run");
    // A report that cannot be written does not fail the run.
    std::fs::create_dir_all(out.join("report.html")).unwrap();
    std::fs::write(out.join(MARKER), "").unwrap();
    let short = ["--set", "train.steps=2", "--set", "train.checkpoint_every=0", "--resume"];
    let (code, said, told) = outcome(train(&config, &out, &short));
    assert_eq!(code, Some(0), "{told}");
    assert!(said.contains("adapter written to") && told.contains("the report could not be written"), "{said}{told}");
    let metrics = || std::fs::read(out.join("metrics.jsonl")).unwrap();
    let first = metrics();
    let (code, said, told) = outcome(train(&config, &out, &short));
    assert_eq!((code, told.as_str()), (Some(0), ""), "{told}");
    assert!(said.contains("the run is finished"), "{said}");
    for (more, words) in [
        (&["--set", "objective.lambda=7"][..], "objective.lambda (1000.0 -> 7"),
        (&["--set", "out="], "out must name a folder"),
        (&["--set", "objective.lambda=1e300"], "lambda must be from 0 to 1e15"),
    ] {
        let (code, _, told) = outcome(train(&config, &out, &[&short[..], more].concat()));
        assert!(code == Some(2) && told.contains(words), "{words}: {told}");
    }
    let (code, _, told) = outcome(train(&config, &out, &short[..4]));
    assert!(code == Some(2) && told.contains("contains a finished run"), "{told}");
    assert_eq!(metrics(), first);
    let (code, _, told) = outcome(train(&config, &out, &["--ranks", "2", "--rank", "2", "--address", "127.0.0.1:9"]));
    assert!(code == Some(2) && told.contains("--rank 2") && told.contains("--ranks 2"), "{told}");
}
