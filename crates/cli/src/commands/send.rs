//! `potluck send PATH... [--count N]`

use potluck_api::{ApiError, Command, Reply, ShareInfo};

use super::Context;
use super::share::{What, share};
use crate::door::{Door, Purpose};
use crate::error::{CliError, unexpected};
use crate::signals::Interrupt;
use crate::ui::counted;
use crate::ui::progress::Meter;

/// What to type after `send`.
#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    what: What,
    /// How many receivers
    #[arg(short, long, env = "POTLUCK_COUNT", value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

/// Shares, and ends when as many receivers as wanted have everything.
pub(crate) async fn run(args: SendArgs, context: &Context) -> Result<(), CliError> {
    let mut what = args.what.to_command()?;
    // What goes to somebody is for nobody else to find, unless the person says so.
    what.unlisted |= what.networks.is_empty() && what.to.is_empty();
    let command = Command::Share(what);
    let mut door = Door::open(context, Purpose::Work).await?;
    let result = match share(&mut door, command, context).await {
        Ok(info) => send(&mut door, &info, &args, context).await,
        Err(error) => Err(error),
    };
    door.close().await;
    result
}

async fn send(
    door: &mut Door<'_>,
    info: &ShareInfo,
    args: &SendArgs,
    context: &Context,
) -> Result<(), CliError> {
    args.what.show_ticket(info, &context.ui)?;
    let mut meter = Meter::new(&context.ui);
    meter.status(&format!("waiting for {}; Ctrl-C stops", counted(args.count, "receiver")));
    let count = info.receivers_done.saturating_add(args.count);
    let result = await_receivers(door, info, count, &mut meter).await;
    let output = meter.finish();
    // Sent is sent: only what was shared before goes on being shared.
    if !info.known_before {
        let _ = door.ask(Command::Unshare { id: info.id.to_string() }).await;
    }
    let reply = match result {
        Ok(reply) => reply,
        Err(error) if error.message == Interrupt::error().message => {
            return Err(error
                .hint("the same command sends it again, under the same ticket")
                .into());
        }
        Err(error) => return Err(error.into()),
    };
    output?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Received(_) = reply else {
        return Err(unexpected(&reply));
    };
    let have = if args.count == 1 { "has" } else { "have" };
    context.ui.note(&format!("{} {have} everything.", counted(args.count, "receiver")));
    Ok(())
}

async fn await_receivers(
    door: &mut Door<'_>,
    info: &ShareInfo,
    count: u64,
    meter: &mut Meter,
) -> Result<Reply, ApiError> {
    let command = Command::AwaitReceivers { id: info.id, count };
    door.run(command, |event| meter.event(&event)).await
}
