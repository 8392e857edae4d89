//! The way to the node: one that runs already, of this home, or one of our own. Commands are the
//! same over both.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::{Duration, Instant};

use potluck_api::{ApiError, Command, ErrorKind, Event, Reply};
use potluck_client::Client;
use potluck_http::ApiServer;
use potluck_node::{Config, Node, NodeHandle};
use tokio::sync::{broadcast, mpsc};

use crate::commands::Context;
use crate::signals::Interrupt;

/// Events that may wait to be drawn.
const EVENTS_QUEUED: usize = 256;
/// How long a home may be in use by a node that does not answer: it is just starting, or ending.
const BUSY_TIME: Duration = Duration::from_secs(5);
/// Pause between two looks at such a home.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a command is taken over from nodes that end under it, before it is told.
const TAKEOVERS_MAX: u32 = 5;

/// What a node of our own would be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A quick question.
    Ask,
    /// Work that lasts; other commands of the same home can join meanwhile.
    Work,
}

/// An open way to a node.
pub(crate) struct Door<'a> {
    context: &'a Context,
    purpose: Purpose,
    node: Way,
}

enum Way {
    /// Somebody else's process.
    Joined(Client),
    /// This one.
    Own(Box<Own>),
}

/// A node in this process.
pub(crate) struct Own {
    node: Node,
    handle: NodeHandle,
    api: Option<ApiServer>,
}

/// A hold on a node for those who only ask, as often as they like.
#[derive(Clone)]
pub(crate) enum Asker {
    /// Somebody else's process.
    Joined(Client),
    /// This one.
    Own(NodeHandle),
}

impl Asker {
    /// Asks a quick question.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, ApiError> {
        match self {
            Asker::Joined(client) => client.run(command, |_| ()).await,
            Asker::Own(handle) => {
                // Nobody listens to what happens on the way.
                let (to, _) = mpsc::channel(1);
                handle.run(command, to).await
            }
        }
    }
}

impl<'a> Door<'a> {
    /// Joins the node that runs on this home, or starts one.
    pub(crate) async fn open(context: &'a Context, purpose: Purpose) -> Result<Self, ApiError> {
        let node = tokio::select! {
            biased;
            () = context.interrupt.wait() => return Err(Interrupt::error()),
            node = find_or_start(context, purpose) => node?,
        };
        Ok(Self { context, purpose, node })
    }

    /// Starts a node that goes on until it is told to stop.
    pub(crate) async fn serve(context: &'a Context, config: Config) -> Result<Self, ApiError> {
        let node = Node::start(config).await?;
        let handle = node.handle();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match potluck_http::serve_daemon(handle.clone(), any).await {
            Ok(api) => {
                let own = Own { node, handle, api: Some(api) };
                Ok(Self { context, purpose: Purpose::Work, node: Way::Own(Box::new(own)) })
            }
            Err(error) => {
                node.stop().await;
                Err(error.into())
            }
        }
    }

    /// A hold on the node for those who only ask.
    pub(crate) fn asker(&self) -> Asker {
        match &self.node {
            Way::Joined(client) => Asker::Joined(client.clone()),
            Way::Own(own) => Asker::Own(own.handle.clone()),
        }
    }

    /// The process that runs the node, if it is not this one.
    pub(crate) fn joined(&self) -> Option<&Client> {
        match &self.node {
            Way::Joined(client) => Some(client),
            Way::Own(_) => None,
        }
    }

    /// Runs a command to its end. If the node's process ends under it, another node goes on.
    pub(crate) async fn run(
        &mut self,
        command: Command,
        mut on_event: impl FnMut(Event),
    ) -> Result<Reply, ApiError> {
        for _ in 0..TAKEOVERS_MAX {
            let result = tokio::select! {
                biased;
                () = self.context.interrupt.wait() => return Err(Interrupt::error()),
                result = self.node.run(command.clone(), &mut on_event) => result,
            };
            match result {
                Err(error) if error.kind == ErrorKind::Interrupted && self.joined().is_some() => {
                    self.reopen().await?;
                }
                result => return result,
            }
        }
        Err(ApiError::new(ErrorKind::Interrupted, "the nodes of this home keep ending")
            .hint("run the same command again to continue"))
    }

    /// Asks a quick question beside a command that runs.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, ApiError> {
        self.node.run(command, |_| ()).await
    }

    /// Everything that happens in the node from now on; ends with the node.
    pub(crate) fn events(&self) -> mpsc::Receiver<Event> {
        let (to, events) = mpsc::channel(EVENTS_QUEUED);
        match &self.node {
            Way::Joined(client) => {
                let client = client.clone();
                tokio::spawn(async move {
                    let told = client.watch(|event| {
                        // Whoever draws slowly misses some; nothing is counted by them.
                        let _ = to.try_send(event);
                    });
                    tokio::select! {
                        _ = told => {}
                        () = to.closed() => {}
                    }
                });
            }
            Way::Own(own) => {
                tokio::spawn(pass_on(own.handle.subscribe(), to));
            }
        }
        events
    }

    /// Waits until another process asks the node in this one to stop.
    pub(crate) async fn stopped(&self) {
        match &self.node {
            Way::Joined(_) => std::future::pending().await,
            Way::Own(own) => own.handle.stopped().await,
        }
    }

    /// Joins or starts another node after the joined one ended.
    pub(crate) async fn reopen(&mut self) -> Result<(), ApiError> {
        *self = Self::open(self.context, self.purpose).await?;
        Ok(())
    }

    /// Leaves; a node of our own is stopped in order.
    pub(crate) async fn close(self) {
        if let Way::Own(own) = self.node {
            own.stop().await;
        }
    }
}

impl Way {
    async fn run(
        &self,
        command: Command,
        mut on_event: impl FnMut(Event),
    ) -> Result<Reply, ApiError> {
        match self {
            Way::Joined(client) => client.run(command, on_event).await,
            Way::Own(own) => own.run(command, &mut on_event).await,
        }
    }
}

impl Own {
    /// Starts a node; with `serve`, its API too.
    async fn start(context: &Context, purpose: Purpose) -> Result<Self, ApiError> {
        let config = context.settings.load()?;
        let node = match purpose {
            Purpose::Ask => Node::start(config).await?,
            Purpose::Work => Node::start_working(config).await?,
        };
        let handle = node.handle();
        let api = match purpose {
            Purpose::Ask => None,
            Purpose::Work => {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                match potluck_http::serve(handle.clone(), any).await {
                    Ok(api) => Some(api),
                    Err(error) => {
                        node.stop().await;
                        return Err(error.into());
                    }
                }
            }
        };
        Ok(Self { node, handle, api })
    }

    async fn run(
        &self,
        command: Command,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Reply, ApiError> {
        let (to, mut events) = mpsc::channel(EVENTS_QUEUED);
        let mut running = pin!(self.handle.run(command, to));
        let result = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => on_event(event),
                result = &mut running => break result,
            }
        };
        while let Ok(event) = events.try_recv() {
            on_event(event);
        }
        result
    }

    async fn stop(self) {
        // Commands of other doors end first and go elsewhere; the file goes last, when the home is
        // free.
        if let Some(api) = &self.api {
            api.end_commands();
        }
        self.node.stop().await;
        if let Some(api) = self.api {
            api.stop().await;
        }
    }
}

async fn find_or_start(context: &Context, purpose: Purpose) -> Result<Way, ApiError> {
    let home = context.settings.load()?.home;
    let started = Instant::now();
    loop {
        if let Some(client) = Client::from_home(&home).await? {
            return Ok(Way::Joined(client));
        }
        match Own::start(context, purpose).await {
            Ok(own) => return Ok(Way::Own(Box::new(own))),
            Err(error) if error.kind == ErrorKind::Busy && started.elapsed() < BUSY_TIME => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn pass_on(mut events: broadcast::Receiver<Event>, to: mpsc::Sender<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if to.send(event).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
