//! What somebody means who names a content instead of showing a ticket: asked of the networks, and
//! of the person if there is a choice.

use std::io::{self, Write};

use potluck_api::{ApiError, Candidate, Candidates, Command, ErrorKind, Reply};

use super::Context;
use crate::door::Door;
use crate::error::{CliError, unexpected};
use crate::show::found;
use crate::signals::Interrupt;
use crate::ui::{Ui, shown};

/// Contents that are offered for a choice.
const OFFERED: usize = 20;

/// Finds the one content that a name stands for.
pub(super) async fn find(
    door: &mut Door<'_>,
    what: &str,
    network: Option<&str>,
    trusting: bool,
    context: &Context,
) -> Result<Candidate, CliError> {
    let networks = network.map(str::to_owned).into_iter().collect();
    let question = Command::Find { what: what.to_owned(), networks };
    let mut candidates = match door.run(question, |_| ()).await.map_err(with_hint)? {
        Reply::Candidates(Candidates { candidates, did_you_mean, failures }) => {
            for failure in &failures {
                context.ui.warn(&found::no_answer(failure));
            }
            if candidates.is_empty() {
                return Err(nothing(what, did_you_mean).into());
            }
            candidates
        }
        reply => return Err(unexpected(&reply)),
    };
    candidates.truncate(OFFERED);
    let chosen = match candidates.len() {
        1 => candidates.remove(0),
        _ => choose(what, candidates, context).await?,
    };
    if let Some(address) = &chosen.unverified
        && !trusting
    {
        agree(&chosen, address, context).await?;
    }
    context.ui.note(&found::candidate_summary(&chosen));
    Ok(chosen)
}

/// Where this node is in no network, a ticket may have been meant.
fn with_hint(error: ApiError) -> ApiError {
    match (error.kind, &error.hint) {
        (ErrorKind::NotFound, Some(hint)) => {
            let hint = format!("{hint}; a ticket begins with \"pot1\"");
            error.hint(hint)
        }
        _ => error,
    }
}

fn nothing(what: &str, did_you_mean: Option<String>) -> ApiError {
    let error = ApiError::new(ErrorKind::NotFound, format!("nothing is called {what:?}"));
    match did_you_mean {
        Some(words) => error.hint(found::did_you_mean("potluck get", &words)),
        None => error.hint("\"potluck search WORDS\" looks for parts of names, too"),
    }
}

async fn choose(
    what: &str,
    mut candidates: Vec<Candidate>,
    context: &Context,
) -> Result<Candidate, CliError> {
    let ui = &context.ui;
    if !ui.can_ask() {
        return Err(ambiguous(what, &candidates, ui).into());
    }
    for line in found::candidates(&candidates).lines() {
        ui.remark(&line);
    }
    loop {
        let question = format!("Which one? [1-{}, Enter for none] ", candidates.len());
        let answer = answer(&question, context).await?;
        match answer.trim().parse::<usize>() {
            Ok(number) if (1..=candidates.len()).contains(&number) => {
                return Ok(candidates.remove(number - 1));
            }
            _ if answer.trim().is_empty() => return Err(declined()),
            _ => ui.remark("That is none of them."),
        }
    }
}

fn ambiguous(what: &str, candidates: &[Candidate], ui: &Ui) -> ApiError {
    let error = ApiError::usage(format!("several contents are called {what:?}"));
    let error = error.hint("\"potluck get ID\" takes one of them");
    let lines = candidates.iter().map(found::candidate_line);
    if ui.is_json() {
        return ApiError { causes: lines.collect(), ..error };
    }
    for line in lines {
        ui.remark(&line);
    }
    error
}

/// Nobody vouches for what a provider without key sends: the person decides.
async fn agree(candidate: &Candidate, address: &str, context: &Context) -> Result<(), CliError> {
    let (name, address) = (shown(&candidate.name), shown(address));
    let problem = format!("{address} has no key: nobody vouches for what it sends as {name}");
    if !context.ui.can_ask() {
        let error = ApiError::new(ErrorKind::Denied, problem);
        return Err(error.hint("--unverified fetches it all the same").into());
    }
    context.ui.remark(&problem);
    let answer = answer("Fetch it all the same? [y/N] ", context).await?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(declined()),
    }
}

fn declined() -> CliError {
    ApiError::new(ErrorKind::Interrupted, "nothing was fetched").into()
}

/// A line that the person types; the end of the input is an empty one.
async fn answer(question: &str, context: &Context) -> Result<String, CliError> {
    context.ui.start_line(question);
    let (to, typed) = tokio::sync::oneshot::channel();
    // A thread of its own: nobody waits for it if the person presses Ctrl-C.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Whoever asked may be gone.
        let _ = to.send(read.map(|_| line));
    });
    tokio::select! {
        () = context.interrupt.wait() => {
            let _ = writeln!(io::stderr());
            Err(Interrupt::error().into())
        }
        typed = typed => match typed {
            Ok(Ok(line)) => Ok(line),
            _ => Ok(String::new()),
        },
    }
}
