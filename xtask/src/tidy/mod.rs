//! The house rules that rustc and clippy do not know, checked over every tracked file.
//!
//! Each finding names the place, the rule, its reason and the way out. Rules live in
//! [`crate::walls`] (who may import whom), [`source`] (what a syntax tree shows), [`lines`]
//! (what a line of text shows) and [`papers`] (what documents and settings must say).

mod constants;
mod finding;
mod fold;
mod lines;
mod papers;
mod source;

use anyhow::{Result, bail};

pub use finding::{Finding, Level};

use crate::project::Project;
use crate::walls;

/// Check the house rules that rustc and clippy do not know.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Only files and manifests whose path starts with this.
    #[arg(long, value_name = "PATH")]
    only: Option<String>,
    /// Fold comments that are too long before looking.
    #[arg(long)]
    fold: bool,
}

/// Prints all findings; an error if one of them must be mended.
pub fn run(args: &Args) -> Result<()> {
    let project = Project::open()?;
    if args.fold {
        fold_comments(&project, args.only.as_deref().unwrap_or_default())?;
    }
    let mut findings = check(&project)?;
    if let Some(prefix) = &args.only {
        findings.retain(|finding| finding.file.starts_with(prefix.as_str()));
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    let failures = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    let warnings = findings.len() - failures;
    if failures > 0 {
        bail!("tidy found {failures} to mend and {warnings} to think about");
    }
    println!("tidy: all in order, {warnings} to think about");
    Ok(())
}

fn fold_comments(project: &Project, prefix: &str) -> Result<()> {
    let rust = |file: &String| file.ends_with(".rs") && file.starts_with(prefix);
    for file in project.files()?.into_iter().filter(rust) {
        let text = project.read(&file)?;
        let folded = fold::fold(&text);
        if folded != text {
            std::fs::write(project.root.join(&file), folded)?;
            println!("folded {file}");
        }
    }
    Ok(())
}

fn check(project: &Project) -> Result<Vec<Finding>> {
    let mut findings = walls::check(&project.metadata, &project.root);
    for file in project.files()? {
        // Other people's words: licences, and what cargo writes.
        if file.starts_with("LICENSE") || file.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(project.root.join(&file)) else {
            continue; // Not text.
        };
        findings.extend(lines::check(&file, &text));
        if file.ends_with(".rs") {
            findings.extend(source::check(&file, &text));
        }
    }
    findings.extend(papers::check(project)?);
    Ok(findings)
}
