//! stub
use super::Context; use crate::error::CliError;
/// x
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {}
pub(crate) async fn run(_: DemoArgs, _: &Context) -> Result<(), CliError> { Ok(()) }
