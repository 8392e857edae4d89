//! `potluck demo [PATH]`: a whole trip on one machine, with real processes: one provider, receivers
//! that help each other, and a judge who compares every byte.

mod actor;
mod judge;
mod stage;
mod tree;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use potluck_api::{ApiError, ErrorKind, GetResult, Reply, ShareInfo};
use potluck_base::{Bytes, Rate, escape};
use tokio::task::JoinSet;

use super::Context;
use crate::error::CliError;
use crate::signals::Interrupt;
use crate::ui::{Ui, counted, shown_path, spoken};

use self::actor::Actor;
use self::judge::Verdict;
use self::stage::{Row, Stage};

/// Differences that are named one by one.
const DIFFERENCES_SHOWN: usize = 20;

/// What to type after `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// The file or folder to send; a folder with all kinds of names and files is made up if there
    /// is none
    path: Option<PathBuf>,
    /// How many receivers
    #[arg(long, env = "POTLUCK_RECEIVERS", value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=16))]
    receivers: u64,
    /// Size of the largest file of the made-up folder, in MiB
    #[arg(long, env = "POTLUCK_SIZE", value_name = "MIB", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    size: u64,
    /// Where the temporary folder is made [default: the system's place]
    #[arg(long, env = "POTLUCK_TEMP", value_name = "FOLDER")]
    temp: Option<PathBuf>,
}

/// Plays the trip and tells how it went.
pub(crate) async fn run(args: DemoArgs, context: &Context) -> Result<(), CliError> {
    let stage = Stage::build(args.temp.as_deref())?;
    let result = tokio::select! {
        biased;
        () = context.interrupt.wait() => Err(Interrupt::error().hint("nothing is left behind")),
        result = play(&args, &stage, &context.ui) => result,
    };
    // The processes are gone by now: each ends with the value that holds it.
    let cleared = stage.clear();
    let (trip, verdict) = result?;
    cleared?;
    tell(&trip, &verdict, &context.ui)
}

/// What happened.
#[derive(Debug)]
struct Trip {
    shared: ShareInfo,
    /// By receiver.
    got: Vec<GetResult>,
    elapsed: Duration,
}

async fn play(args: &DemoArgs, stage: &Stage, ui: &Ui) -> Result<(Trip, Verdict), ApiError> {
    let source = source(args, stage, ui).await?;
    let rows = stage.rows(ui, args.receivers as usize);
    let mut provider = Actor::provider(stage, &source)?;
    let (shared, left_out) = share(&mut provider, &rows[0]).await?;
    let started = Instant::now();
    let mut receivers = JoinSet::new();
    for (index, row) in rows.iter().enumerate().skip(1) {
        let receiver = Actor::receiver(stage, index, &shared.ticket)?;
        let row = row.clone();
        receivers.spawn(async move { (index, receive(receiver, &row).await) });
    }
    let mut got = vec![None; args.receivers as usize];
    while let Some(ended) = receivers.join_next().await {
        let (index, result) = ended.map_err(|error| ApiError::internal(error.to_string()))?;
        got[index - 1] = Some(result?);
    }
    let elapsed = started.elapsed();
    provider.end().await;
    rows.iter().for_each(Row::clear);
    let got: Vec<GetResult> = got.into_iter().flatten().collect();
    let copies: Vec<PathBuf> = got.iter().map(|got| got.path.clone()).collect();
    ui.note("Comparing every byte of every copy with the original.");
    let verdict = tokio::task::spawn_blocking(move || judge::judge(&source, &copies, &left_out))
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?
        .map_err(|error| ApiError::internal("the copies cannot be compared").because(&error))?;
    Ok((Trip { shared, got, elapsed }, verdict))
}

/// What is sent: the person's own path, or a folder made up for it.
async fn source(args: &DemoArgs, stage: &Stage, ui: &Ui) -> Result<PathBuf, ApiError> {
    if let Some(path) = &args.path {
        let shown = shown_path(path);
        return match path.symlink_metadata().and_then(|_| std::path::absolute(path)) {
            Ok(path) => Ok(path),
            Err(error) => {
                let message = format!("{shown} cannot be read");
                Err(ApiError::new(ErrorKind::NotFound, message).because(&error))
            }
        };
    }
    let folder = stage.path().join("original").join("Potluck demo");
    let size = args.size << 20;
    ui.note(&format!("Making up a folder with all kinds of names and a file of {}.", Bytes(size)));
    let into = folder.clone();
    tokio::task::spawn_blocking(move || tree::grow(&into, size))
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?
        .map_err(|error| {
            let message = format!("the folder cannot be made up in {}", shown_path(stage.path()));
            ApiError::new(ErrorKind::Denied, message).because(&error)
        })?;
    Ok(folder)
}

/// Waits for the ticket; tells also what the provider left out.
async fn share(provider: &mut Actor, row: &Row) -> Result<(ShareInfo, Vec<PathBuf>), ApiError> {
    let mut left_out = Vec::new();
    let reply = provider
        .outcome(|event| {
            row.event(event);
            if let potluck_api::Event::Warning { path: Some(path), .. } = event {
                left_out.push(PathBuf::from(path));
            }
        })
        .await?;
    let Reply::Shared(shared) = reply else {
        return Err(ApiError::internal("the provider did not answer with a share"));
    };
    let (files, bytes) = (counted(shared.files, "file"), Bytes(shared.bytes));
    row.done(&format!("shares {}: {files}, {bytes}", escape(&shared.name, 40)));
    Ok((shared, left_out))
}

async fn receive(mut receiver: Actor, row: &Row) -> Result<GetResult, ApiError> {
    let reply = receiver.outcome(|event| row.event(event)).await;
    receiver.end().await;
    let Reply::Got(got) = reply? else {
        return Err(ApiError::internal("a receiver did not answer with a download"));
    };
    row.done(&told(&got));
    Ok(got)
}

/// How a receiver fared.
fn told(got: &GetResult) -> String {
    let elapsed = Duration::from_millis(got.elapsed_ms);
    let rate = Rate(got.bytes as f64 / elapsed.as_secs_f64().max(0.001));
    let (provider, others) = sources(got);
    format!(
        "has {} in {} ({rate}): {} from the provider, {} from other receivers",
        Bytes(got.bytes),
        spoken(elapsed),
        Bytes(provider),
        Bytes(others)
    )
}

/// Bytes from the provider, and from others.
fn sources(got: &GetResult) -> (u64, u64) {
    let of = |in_ticket| {
        got.from_peers
            .iter()
            .filter(|peer| peer.in_ticket == in_ticket)
            .map(|peer| peer.bytes)
            .sum()
    };
    (of(true), of(false))
}

fn tell(trip: &Trip, verdict: &Verdict, ui: &Ui) -> Result<(), CliError> {
    let (bytes, copies) = (trip.shared.bytes, trip.got.len() as u64);
    let (provider, others) =
        trip.got.iter().map(sources).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if ui.is_json() {
        ui.json(&serde_json::json!({
            "type": "demo",
            "equal": verdict.is_equal(),
            "differences": verdict.differences.iter().map(|d| escape(d, 1000)).collect::<Vec<_>>(),
            "files": trip.shared.files,
            "bytes": bytes,
            "elapsed_ms": trip.elapsed.as_millis() as u64,
            "from_provider_bytes": provider,
            "from_receivers_bytes": others,
            "receivers": trip.got,
        }))?;
    } else {
        let rate = Rate((bytes * copies) as f64 / trip.elapsed.as_secs_f64().max(0.001));
        let elapsed = spoken(trip.elapsed);
        ui.out(&format!(
            "{} arrived {} in {elapsed}, {rate} in all: \
             {} from the provider, {} from other receivers.",
            Bytes(bytes),
            if copies == 1 { "once".to_owned() } else { format!("{copies} times") },
            Bytes(provider),
            Bytes(others)
        ))?;
        verdict_lines(verdict, copies, ui)?;
    }
    let missing = trip.got.iter().any(|got| !got.missing.is_empty());
    if verdict.is_equal() && !missing { Ok(()) } else { Err(CliError::Told(ErrorKind::Corrupt)) }
}

fn verdict_lines(verdict: &Verdict, copies: u64, ui: &Ui) -> Result<(), CliError> {
    if verdict.left_out > 0 {
        ui.out(&format!("{} of the original cannot travel.", counted(verdict.left_out, "thing")))?;
    }
    if verdict.is_equal() {
        let compared = counted(verdict.compared, "entry");
        let copies = if copies == 1 { "The copy equals" } else { "All copies equal" };
        ui.out(&format!(
            "{copies} the original: {compared}, names, bytes, executable bits and links. PASSED"
        ))?;
        return Ok(());
    }
    for difference in verdict.differences.iter().take(DIFFERENCES_SHOWN) {
        ui.out(&format!("  {}", escape(difference, 1000)))?;
    }
    let count = counted(verdict.differences.len() as u64, "difference");
    Ok(ui.out(&format!("The copies are not what was sent: {count}. FAILED"))?)
}

/// A path below another, as text for a person.
fn below(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
