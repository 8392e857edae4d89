//! Plays the cases of `tests/cases/*.toml`: what is typed, what is printed, with which status it
//! ends.
//!
//! A case runs in a folder of its own, which holds `a file.txt` and `tree/`, with an empty home on
//! loopback. In what is expected, `[..]` stands for anything within a line, a line `...` for any
//! number of lines, `[HOME]` and `[HERE]` for the case's home and folder. What is not said is
//! expected to be empty.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A sentence.
    name: String,
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    stdin: String,
    /// The home's `config.toml`.
    config: Option<String>,
    status: i32,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
}

#[test]
fn every_case_of_the_command_line_ends_as_written() {
    let mut failures = Vec::new();
    let mut played = 0;
    for file in files() {
        let text = fs::read_to_string(&file).expect("a case file");
        let cases: Cases =
            toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for case in cases.case {
            played += 1;
            if let Err(why) = play(&case) {
                let name = file.file_name().expect("a file has a name").to_string_lossy();
                failures.push(format!(
                    "{name}: {}\n$ potluck {}\n{why}",
                    case.name,
                    case.args.join(" ")
                ));
            }
        }
    }
    assert!(played > 30, "only {played} cases were found");
    assert!(
        failures.is_empty(),
        "{} of {played} failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = fs::read_dir(folder).expect("the folder of cases");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a case file").path()).collect();
    files.sort();
    files
}

fn play(case: &Case) -> Result<(), String> {
    let folder = || tempfile::tempdir().expect("a temporary folder");
    let (home, here) = (folder(), folder());
    fs::write(here.path().join("a file.txt"), "hello\n").expect("a file for the case");
    fs::create_dir(here.path().join("tree")).expect("a folder for the case");
    if let Some(config) = &case.config {
        fs::write(home.path().join("config.toml"), config).expect("a configuration for the case");
    }
    let output = run(case, home.path(), here.path());
    let local = |expected: &str| {
        expected
            .replace("[HOME]", &home.path().to_string_lossy())
            .replace("[HERE]", &here.path().to_string_lossy())
    };
    let mut wrong = Vec::new();
    if output.status.code() != Some(case.status) {
        wrong.push(format!("status {:?}, expected {}", output.status.code(), case.status));
    }
    for (name, expected, found) in
        [("stdout", &case.stdout, &output.stdout), ("stderr", &case.stderr, &output.stderr)]
    {
        let (expected, found) = (local(expected), String::from_utf8_lossy(found));
        if !fits(&expected, &found) {
            wrong.push(format!("--- expected {name}\n{expected}\n--- {name}\n{found}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn run(case: &Case, home: &Path, here: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potluck"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POTLUCK_")) {
        command.env_remove(name);
    }
    command.args(&case.args).current_dir(here).env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
    command.env("POTLUCK_HOME", home).env("POTLUCK_LISTEN", "127.0.0.1:0").envs(&case.env);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(case.stdin.as_bytes());
    child.wait_with_output().expect("the program ends")
}

/// Whether a text is as expected; trailing white space does not matter.
fn fits(expected: &str, found: &str) -> bool {
    let lines = |text: &str| text.trim_end().lines().map(|l| l.trim_end().to_owned()).collect();
    let (expected, found): (Vec<String>, Vec<String>) = (lines(expected), lines(found));
    fit_lines(&expected, &found)
}

fn fit_lines(expected: &[String], found: &[String]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=found.len()).any(|skipped| fit_lines(rest, &found[skipped..]))
        }
        Some((first, rest)) => match found.split_first() {
            Some((line, more)) => fit_line(first, line) && fit_lines(rest, more),
            None => false,
        },
    }
}

fn fit_line(expected: &str, found: &str) -> bool {
    let Some((start, rest)) = expected.split_once("[..]") else {
        return expected == found;
    };
    let Some(found) = found.strip_prefix(start) else {
        return false;
    };
    let mut ends = found.char_indices().map(|(at, _)| at).chain([found.len()]);
    ends.any(|at| fit_line(rest, &found[at..]))
}

#[test]
fn expectations_are_strict_where_they_say_nothing() {
    assert!(fits("a [..] c\n", "a b c"));
    assert!(fits("...\nend", "1\n2\nend\n"));
    assert!(fits("a\n...", "a"));
    assert!(!fits("", "a"));
    assert!(!fits("a", "a\nb"));
    assert!(!fits("a [..] c", "a b d"));
    assert!(!fits("a\nb", "a"));
}

#[test]
fn version_help_and_completions_need_no_home() {
    let here = tempfile::tempdir().unwrap();
    let home = here.path().join("not made");
    for args in [&["--version"][..], &["--help"], &["completions", "bash"], &["share", "--help"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_potluck"));
        let output = command.args(args).env("POTLUCK_HOME", &home).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}: {output:?}");
        assert!(!home.exists(), "{args:?} made a home");
    }
}

#[test]
fn a_pipe_that_is_closed_by_its_reader_is_success() {
    for args in [&["completions", "bash"][..], &["id"], &["id", "--json"], &["--help"]] {
        let home = tempfile::tempdir().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_potluck"));
        command.args(args).env("POTLUCK_HOME", home.path()).env("POTLUCK_LISTEN", "127.0.0.1:0");
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}
