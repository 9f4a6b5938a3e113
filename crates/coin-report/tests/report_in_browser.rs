//! Tests of the report in a real browser. Chromium renders the page without a network and without console messages, in the light
//! and dark schemes and at the width of a phone, and prints it.
//!
//! The browser is `COIN_CHROMIUM`, or the first of `chromium`, `chromium-browser`, `google-chrome` on the path. Without a browser
//! the tests report that they are skipped, or fail if both `CI` and `COIN_REQUIRE_CHROMIUM=1` are set. `COIN_KEEP_REPORT` names a
//! folder in which the page, Markdown, pictures and PDF are kept for inspection.

mod synthetic;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coin_report::Report;

/// Time limit of the browser for one page, which takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// A browser and a folder for its profile and output.
struct Browser {
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// The browser's output for a page.
struct Seen {
    /// The document after rendering.
    dom: String,
    /// All console messages. A page without scripts should not produce any.
    console: Vec<String>,
    /// Network requests made by the page, without those of the browser itself.
    requests: Vec<String>,
}

impl Browser {
    /// Finds the browser. Returns `None` if `test` is skipped.
    fn find(test: &str) -> Option<Browser> {
        let on_path = |name: &str| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
        };
        let program = match std::env::var_os("COIN_CHROMIUM") {
            Some(program) => Some(PathBuf::from(program)),
            None => ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path),
        };
        let Some(program) = program else {
            let required =
                std::env::var_os("CI").is_some() && std::env::var("COIN_REQUIRE_CHROMIUM").as_deref() == Ok("1");
            assert!(!required, "report_in_browser: {test}: no Chromium, which COIN_REQUIRE_CHROMIUM asks for");
            eprintln!("skipped: report_in_browser: {test}: no Chromium on the path and no COIN_CHROMIUM");
            return None;
        };
        Some(Browser { program, folder: tempfile::tempdir().unwrap() })
    }

    /// Opens `page` with `arguments` and returns standard output and standard error.
    fn open(&self, page: &Path, arguments: &[String]) -> (String, String) {
        let [out, log] = ["stdout", "stderr"].map(|name| self.folder.path().join(name));
        let mut child = Command::new(&self.program)
            // The sandbox is off, because it refuses to run as root, as in many containers. The page is trusted.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
            ])
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", self.folder.path().join("profile").display()))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the browser did not end within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let [out, log] = [out, log].map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        assert!(status.success(), "the browser failed ({status}):\n{log}");
        (out, log)
    }

    /// Returns the document, the console messages and the network requests of `page`.
    fn look(&self, page: &Path) -> Seen {
        let path = self.folder.path().join("network.json");
        let (dom, log) = self.open(page, &["--dump-dom".to_owned(), format!("--log-net-log={}", path.display())]);
        let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        // Each line is an event. The start of a request names its initiator, which is "not an origin" for the browser itself.
        let network = fs::read_to_string(path).unwrap();
        let of_page =
            |line: &&str| line.contains(r#""initiator":""#) && !line.contains(r#""initiator":"not an origin""#);
        let outside = |line: &&str| line.contains(r#""url":"http"#) || line.contains(r#""url":"ws"#);
        let requests = network.lines().filter(of_page).filter(outside).map(str::to_owned).collect();
        Seen { dom, console, requests }
    }

    /// Takes a picture of the top of the page, `dark` or light.
    fn picture(&self, page: &Path, dark: bool, [width, height]: [u32; 2]) -> Vec<u8> {
        let path = self.folder.path().join("picture.png");
        // Blink's numbering of schemes: 0 is dark, 1 is light.
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        self.open(
            page,
            &[scheme, format!("--window-size={width},{height}"), format!("--screenshot={}", path.display())],
        );
        fs::read(path).unwrap()
    }

    /// Prints the page to PDF.
    fn pdf(&self, page: &Path) -> Vec<u8> {
        let path = self.folder.path().join("page.pdf");
        self.open(page, &["--no-pdf-header-footer".to_owned(), format!("--print-to-pdf={}", path.display())]);
        fs::read(path).unwrap()
    }
}

/// Checks that a page is rendered, makes no network requests and writes nothing to the console.
fn check(seen: &Seen, headings: &[&str]) -> Result<(), String> {
    if !seen.console.is_empty() {
        return Err(seen.console.join("\n"));
    }
    if !seen.requests.is_empty() {
        return Err(seen.requests.join("\n"));
    }
    for heading in headings {
        let known = seen.dom.contains(&format!(">{heading}</h2>")) || seen.dom.contains(&format!(">{heading}</h1>"));
        if !known {
            return Err(format!("no heading `{heading}`"));
        }
    }
    Ok(())
}

fn page(folder: &Path, html: &str) -> PathBuf {
    let path = folder.join("planted.html");
    fs::write(&path, html).unwrap();
    path
}

#[test]
fn every_section_is_rendered_without_a_word_on_the_console() {
    let Some(browser) = Browser::find("every_section") else { return };
    let kept = std::env::var_os("COIN_KEEP_REPORT").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let path = kept.as_deref().unwrap_or(folder.path()).join("report.html");
    synthetic::report().write_html(&path).unwrap();

    let seen = browser.look(&path);
    let headings = [
        "Robustness to perturbed instructions",
        "By perturbation level",
        "Accuracy by level",
        "Accuracy by task and level",
        "Spread over instructions",
        "Answers that change with the wording",
        "Maps of hidden states",
        "Learning curves",
        "Settings",
    ];
    check(&seen, &headings).unwrap();
    assert!(check(&seen, &["Of another page"]).is_err());
    assert!(seen.dom.trim_end().ends_with("</html>"));

    let plain = folder.path().join("plain.html");
    Report::new(synthetic::summary()).write_html(&plain).unwrap();
    check(&browser.look(&plain), &["By perturbation level", "Settings"]).unwrap();

    let light = browser.picture(&path, false, [1000, 1400]);
    let dark = browser.picture(&path, true, [1000, 1400]);
    let phone = browser.picture(&path, false, [400, 1400]);
    for (name, picture) in [("light", &light), ("dark", &dark), ("phone", &phone)] {
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        // A blank picture of this size takes about 6 kB.
        assert!(picture.len() > 20_000, "{name}: {} bytes", picture.len());
    }
    assert_ne!(light, dark, "the page follows the reader's scheme");

    let pdf = browser.pdf(&path);
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 50_000, "{} bytes", pdf.len());
    if let Some(kept) = kept {
        synthetic::report().write_markdown(kept.join("report.md")).unwrap();
        for (name, bytes) in [("light.png", light), ("dark.png", dark), ("phone.png", phone), ("report.pdf", pdf)] {
            fs::write(kept.join(name), bytes).unwrap();
        }
    }
}

#[test]
fn the_check_catches_planted_errors() {
    let Some(browser) = Browser::find("planted_errors") else { return };
    let folder = tempfile::tempdir().unwrap();
    let planted =
        |body: &str| page(folder.path(), &format!("<!DOCTYPE html><title>planted</title><h1>Planted</h1>{body}"));
    check(&browser.look(&planted("<p>nothing wrong</p>")), &["Planted"]).unwrap();
    let error = check(&browser.look(&planted("<script>noSuchFunction()</script>")), &["Planted"]).unwrap_err();
    assert!(error.contains("noSuchFunction"), "{error}");
    let outside = planted("<img src=\"http://outside.example/picture.png\" alt=\"\">");
    let error = check(&browser.look(&outside), &["Planted"]).unwrap_err();
    assert!(error.contains("outside.example/picture.png"), "what the page would need from the network: {error}");
}
