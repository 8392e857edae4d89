//! What settings and documents must say: lints, bans, the table of dependencies, numbers in
//! specifications.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::Metadata;

use super::Finding;
use super::constants::{self, Constants};
use crate::project::Project;

/// Crates without IO, clock or dice of their own.
const PURE: [&str; 4] = ["base", "content", "identity", "proto"];

/// What the `clippy.toml` of each of them bans, at least.
const BANS: [&str; 9] = [
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs::File",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::thread::spawn",
    "std::println",
];

/// Where every dependency is listed with its reason.
const DEPENDENCIES: &str = "docs/dependencies.md";

/// Where limits have their names.
const LIMITS: &str = "crates/base/src/limits.rs";

/// All findings about settings and documents.
pub fn check(project: &Project) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in PURE {
        let file = format!("crates/{name}/clippy.toml");
        findings.extend(bans(&file, &project.read(&file).unwrap_or_default()));
    }
    for package in project.metadata.workspace_packages() {
        let file = package.manifest_path.strip_prefix(&project.metadata.workspace_root);
        let file = file.context("a member outside the checkout")?.to_string();
        findings.extend(manifest(&file, &project.read(&file)?)?);
    }
    let table = project.read(DEPENDENCIES).unwrap_or_default();
    findings.extend(dependencies(&table, &wanted(project)?));
    let limits = constants::read(&project.read(LIMITS)?)?;
    for file in project.files()?.iter().filter(|file| file.ends_with(".md")) {
        findings.extend(numbers(file, &project.read(file)?, &limits));
    }
    Ok(findings)
}

fn bans(file: &str, text: &str) -> Vec<Finding> {
    let missing = BANS.iter().filter(|ban| !text.contains(&format!("\"{ban}\"")));
    let finding = |ban: &&str| {
        Finding::fail(
            (file, 1),
            format!("{ban} is not banned"),
            "a machine that reads a clock, a disk or a random order cannot be replayed from a seed",
            "add it to the disallowed-… lists; a crate's file replaces the root one",
        )
    };
    missing.map(finding).collect()
}

/// A member must take lints and versions from the workspace.
fn manifest(file: &str, text: &str) -> Result<Vec<Finding>> {
    let parsed: toml::Table = text.parse().with_context(|| format!("parsing {file}"))?;
    let mut findings = Vec::new();
    if !from_workspace(parsed.get("lints")) {
        findings.push(Finding::fail(
            (file, 1),
            "no `[lints] workspace = true`",
            "the same lints hold everywhere",
            "add it",
        ));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(table) = parsed.get(section).and_then(toml::Value::as_table) else {
            continue;
        };
        for (name, _) in table.iter().filter(|(_, value)| !from_workspace(Some(value))) {
            let line = text.lines().position(|line| line.starts_with(name.as_str()));
            findings.push(Finding::fail(
                (file, line.map_or(1, |index| index + 1)),
                format!("`{name}` has its own version here"),
                "one version of everything, chosen in one place",
                "move it to [workspace.dependencies] and write `workspace = true`",
            ));
        }
    }
    Ok(findings)
}

fn from_workspace(value: Option<&toml::Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}

/// What the table of dependencies must say of one of them.
struct Wanted {
    name: String,
    version: String,
    licence: String,
    used: bool,
}

fn wanted(project: &Project) -> Result<Vec<Wanted>> {
    let root: toml::Table = project.read("Cargo.toml")?.parse().context("parsing Cargo.toml")?;
    let listed = root
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .context("no [workspace.dependencies]")?;
    let members = project.metadata.workspace_packages();
    let used: BTreeSet<&str> = members
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .collect();
    let mut wanted = Vec::new();
    for (name, value) in listed.iter().filter(|(_, value)| value.get("path").is_none()) {
        let version = value.get("version").unwrap_or(value).as_str().unwrap_or_default();
        wanted.push(Wanted {
            name: name.clone(),
            version: version.to_owned(),
            licence: licence(&project.metadata, name),
            used: used.contains(name.as_str()),
        });
    }
    Ok(wanted)
}

/// The licence that the newest locked version declares; empty if it is not locked.
fn licence(metadata: &Metadata, name: &str) -> String {
    let versions = metadata.packages.iter().filter(|package| package.name.as_str() == name);
    let newest = versions.max_by(|a, b| a.version.cmp(&b.version));
    newest.and_then(|package| package.license.clone()).unwrap_or_default()
}

fn dependencies(table: &str, wanted: &[Wanted]) -> Vec<Finding> {
    let rows = rows(table);
    let mut findings = Vec::new();
    for one in wanted {
        let why = "a dependency is somebody else's code in our name";
        if !one.used {
            let what = format!("no crate uses `{}`", one.name);
            let mend = "take it out of [workspace.dependencies]";
            findings.push(Finding::fail(("Cargo.toml", 1), what, why, mend));
        }
        let Some((line, cells)) = rows.get(one.name.as_str()) else {
            let what = format!("`{}` is not listed", one.name);
            let mend = format!(
                "add | `{}` | {} | {} | why it is here |",
                one.name, one.version, one.licence
            );
            findings.push(Finding::fail((DEPENDENCIES, 1), what, why, mend));
            continue;
        };
        let at = (DEPENDENCIES, *line);
        let has = |index: usize, text: &str| cells.get(index).is_some_and(|cell| *cell == text);
        if !has(1, &one.version) || !(one.licence.is_empty() || has(2, &one.licence)) {
            let what = format!("`{}` has another version line or licence", one.name);
            let mend = format!("write | {} | {} |", one.version, one.licence);
            findings.push(Finding::fail(at, what, why, mend));
        }
        if cells.get(3).is_none_or(|reason| reason.len() < 8) {
            let what = format!("`{}` has no reason", one.name);
            findings.push(Finding::fail(at, what, why, "say what it does for us"));
        }
    }
    for (name, (line, _)) in rows {
        if !wanted.iter().any(|one| one.name == name) {
            let what = format!("`{name}` is listed and not in [workspace.dependencies]");
            let why = "a list with leftovers is not believed";
            findings.push(Finding::fail((DEPENDENCIES, line), what, why, "delete the row"));
        }
    }
    findings
}

/// The rows of a Markdown table whose first cell is a name in backticks: name to line and cells.
fn rows(table: &str) -> BTreeMap<&str, (usize, Vec<&str>)> {
    let mut rows = BTreeMap::new();
    for (index, line) in table.lines().enumerate() {
        let Some(inner) = line.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|'))
        else {
            continue;
        };
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        if let Some(name) = cells[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) {
            rows.insert(name, (index + 1, cells));
        }
    }
    rows
}

/// Limits that a document names: they must exist, and have the value that stands behind `=`.
fn numbers(file: &str, text: &str, limits: &Constants) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (start, prefix) in line.match_indices("limits::") {
            let rest = &line[start + prefix.len()..];
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
            if name.is_empty() {
                continue;
            }
            let stated = constants::stated(&rest[name.len()..]);
            let problem = match (limits.get(name), stated) {
                (None, _) => "does not exist".to_owned(),
                (Some(Some(real)), Some(said)) if *real != said => format!("is {real}, not {said}"),
                _ => continue,
            };
            findings.push(Finding::fail(
                (file, index + 1),
                format!("limits::{name} {problem}"),
                "a specification that differs from the code helps nobody",
                format!("compare with {LIMITS}; both change in the same commit"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.what).collect()
    }

    fn wants(used: bool) -> [Wanted; 1] {
        let text = |text: &str| text.to_owned();
        [Wanted { name: text("serde"), version: text("1"), licence: text("MIT"), used }]
    }

    #[test]
    fn a_listed_dependency_passes() {
        let table =
            "| name | version |\n|---|---|\n| `serde` | 1 | MIT | reads and writes values |\n";
        assert!(dependencies(table, &wants(true)).is_empty());
    }

    #[test]
    fn the_table_of_dependencies_is_complete_true_and_without_leftovers() {
        assert_eq!(whats(dependencies("", &wants(true))), ["`serde` is not listed"]);
        let other = ["`serde` has another version line or licence"];
        let table = "| `serde` | 2 | MIT | reads and writes values |\n";
        assert_eq!(whats(dependencies(table, &wants(true))), other);
        let table = "| `serde` | 1 | GPL-3.0 | reads and writes values |\n";
        assert_eq!(whats(dependencies(table, &wants(true))), other);
        let table = "| `serde` | 1 | MIT | |\n";
        assert_eq!(whats(dependencies(table, &wants(true))), ["`serde` has no reason"]);
        let table = "| `serde` | 1 | MIT | reads and writes values |\n";
        assert_eq!(whats(dependencies(table, &wants(false))), ["no crate uses `serde`"]);
        let leftover = "`serde` is listed and not in [workspace.dependencies]";
        assert_eq!(whats(dependencies(table, &[])), [leftover]);
    }

    #[test]
    fn a_pure_crate_without_its_bans_is_found() {
        let all: String = BANS.map(|ban| format!("{{ path = \"{ban}\" }}\n")).concat();
        assert!(bans("crates/base/clippy.toml", &all).is_empty());
        let without_clock = all.replace("std::time::Instant", "std::time::Other");
        let what = ["std::time::Instant is not banned"];
        assert_eq!(whats(bans("crates/base/clippy.toml", &without_clock)), what);
        assert_eq!(bans("crates/base/clippy.toml", "").len(), BANS.len());
    }

    #[test]
    fn a_member_takes_lints_and_versions_from_the_workspace() {
        let good = "[lints]\nworkspace = true\n[dependencies]\nserde = { workspace = true }\n";
        assert!(manifest("Cargo.toml", good).expect("is TOML").is_empty());
        let bad = "[dependencies]\nserde = \"1\"\n";
        let found = manifest("Cargo.toml", bad).expect("is TOML");
        assert_eq!(found[1].line, 2);
        let what = ["no `[lints] workspace = true`", "`serde` has its own version here"];
        assert_eq!(whats(found), what);
    }

    #[test]
    fn a_number_in_a_document_is_the_number_in_the_code() {
        let limits =
            constants::read("pub const FRAME_BYTES: usize = 512 * 1024;").expect("is Rust");
        let found = |text: &str| whats(numbers("docs/spec/01.md", text, &limits));
        assert!(found("at most `limits::FRAME_BYTES` bytes").is_empty());
        assert!(found("`limits::FRAME_BYTES` = 524,288 bytes").is_empty());
        assert!(found("`limits::FRAME_BYTES` = 512 KiB").is_empty());
        let wrong = ["limits::FRAME_BYTES is 524288, not 1048576"];
        assert_eq!(found("limits::FRAME_BYTES = 1 MiB"), wrong);
        assert_eq!(found("limits::FRAMES"), ["limits::FRAMES does not exist"]);
    }
}
