//! Files of P2P-CI peers: fetched in clear text, vouched for by nobody.

use std::time::Instant;

use potluck_api::{ApiError, Event, GetCommand, GetResult, Progress, Reply, Stage};
use potluck_base::{ContentId, RelPath};
use potluck_service::p2p_ci::{Wanted, fetch_and_place};
use potluck_store::Placing;
use tokio::sync::mpsc;

use crate::dispatch::{place, store_on_exists};
use crate::failure;
use crate::node::NodeHandle;
use crate::search::OUTSIDE;

/// The most bytes that are taken from a peer that proves nothing: 1 TiB.
const LIMIT: u64 = 1 << 40;

impl NodeHandle {
    /// Fetches what `find` told of a P2P-CI peer.
    pub(crate) async fn get_outside(
        &self,
        what: GetCommand,
        events: &mpsc::Sender<Event>,
    ) -> Result<Reply, ApiError> {
        let started = Instant::now();
        let (wanted, title) = read(&what.ticket)?;
        let (folder, chosen) = place(what.output)?;
        let on_exists = store_on_exists(what.on_exists);
        let placing = Placing { folder, name: title, chosen, on_exists };
        self.tell(events, Event::Stage { content: None, stage: Stage::Fetching }).await;
        let progress = |done, total: Option<u64>| {
            let rate_bps = done as f64 / started.elapsed().as_secs_f64().max(1e-3);
            // Whoever draws slowly misses some.
            let _ = events.try_send(Event::Progress(Progress {
                content: ContentId([0; 32]),
                done,
                total: total.unwrap_or(done),
                rate_bps,
                eta_s: None,
                peers: 1,
                files_done: 0,
                files_total: 1,
            }));
        };
        let placed = fetch_and_place(&self.inner.store, &wanted, placing, progress).await;
        let placed = placed.map_err(failure::of_service)?;
        Ok(Reply::Got(GetResult {
            path: placed.path,
            id: placed.content,
            bytes: placed.bytes,
            files: 1,
            missing: Vec::new(),
            elapsed_ms: started.elapsed().as_millis() as u64,
            fetched_bytes: placed.bytes,
            from_peers: Vec::new(),
            resumed_bytes: 0,
            duplicate_bytes: 0,
        }))
    }
}

/// Reads `p2p-ci:HOST:PORT/NUMBER/TITLE`.
fn read(text: &str) -> Result<(Wanted, RelPath), ApiError> {
    let bad = || {
        ApiError::usage("this is no file of a P2P-CI peer")
            .hint("\"potluck search WORDS\" lists such files with their places")
    };
    let rest = text.strip_prefix(OUTSIDE).ok_or_else(bad)?;
    let mut parts = rest.splitn(3, '/');
    let (place, number) = (parts.next().ok_or_else(bad)?, parts.next().ok_or_else(bad)?);
    let (host, port) = place.rsplit_once(':').ok_or_else(bad)?;
    let number: u32 = number.parse().map_err(|_| bad())?;
    let title = parts.next().unwrap_or_default();
    let name = RelPath::parse_name(title).or_else(|_| RelPath::parse_name(&format!("rfc{number}")));
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.parse().map_err(|_| bad())?;
    Ok((Wanted { host, port, number, limit: LIMIT }, name.map_err(|_| bad())?))
}
