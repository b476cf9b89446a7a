//! `rotakey agent`: serves programs, rotates keys, and answers people, in the foreground.
//!
//! In this order: the sockets are open, so that nobody is refused; the keys are taken up; programs are answered; what was
//! begun before goes on; then the scheduler. It ends the other way round. An engine that stops does not stop the serving.

mod answers;
mod board;
mod desk;
mod engine;
mod gather;
mod instance;
mod orders;
mod presign;
pub mod reach;
mod rotations;
pub mod schedule;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rotakey_endpoint::drain::{Drain, Drainer};
use rotakey_endpoint::proxy::keys::Endpoint;
use rotakey_endpoint::proxy::listener::{self, serve_proxy};
use rotakey_endpoint::proxy::{Proxy, roots};
use rotakey_endpoint::server::{self, Limits};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

pub use self::answers::{Control, Programs};
pub use self::board::Board;
pub use self::desk::{Desk, Listening};
pub use self::engine::{Engine, Order, Orders};
use self::instance::Sockets;
use crate::app::App;
use crate::audit::refusals::Refusals;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Sources};
use crate::failure::{Exit, Failed};
use crate::iam::aws::{NO_ROOTS, ROOTS_HINT};
use crate::metrics::Counters;
use crate::serving::books::Books;
use crate::serving::holders::Holders;
use crate::serving::leases::LeaseWriter;
use crate::serving::proxying::Ring;
use crate::serving::{Serving, connecting, token};
use crate::wording::counted;

/// How long the start waits for keystores: programs that ask meanwhile wait, too.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long answers and calls that are under way may take at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const END_TIMEOUT: Duration = Duration::from_secs(12);

/// How often the ledger is looked at without having been told to.
const POLL: Duration = Duration::from_secs(15);

/// All that can happen to the agent as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// SIGTERM or SIGINT.
    End,
    /// SIGHUP.
    Reload,
    /// A socket's task ended, which it does not do by itself.
    SocketLost,
    /// Look whether the engine is there, and tell systemd that we are.
    Tick,
}

/// A process that serves from memory: what is served, and what it takes to serve it.
#[derive(Debug)]
pub struct Service {
    /// What is served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// The engine's thread.
    pub engine: Engine,
    /// What the sockets answer from.
    pub desk: Arc<Desk>,
    leases: LeaseWriter,
}

impl Service {
    /// Takes the keys of `names` up; when this returns, they are served, or cannot be for now.
    pub async fn start(
        app: &App,
        names: &[String],
        sources: Sources,
        listen: Listening,
        poll: Duration,
    ) -> Result<Self, Failed> {
        let clock = SystemClock::new();
        let now = clock.now();
        let serving = Serving::build(app, names, sources, &Serving::default(), &now)?;
        let serving = Arc::new(ArcSwap::from_pointee(serving));
        let (started, wait) = oneshot::channel();
        let board = Arc::new(Board::default());
        let engine =
            Engine::start(app.clone(), Arc::clone(&serving), Arc::clone(&board), poll, started)?;
        let orders = engine.orders();
        let cannot = |error: std::io::Error| {
            Failed::new(Exit::Failed, format!("cannot start a thread: {error}"))
        };
        let superseded = move |key: &crate::serving::ServedKey| {
            let (done, _) = oneshot::channel();
            let _ = orders.send(Order::TakeUp(key.name.clone(), done));
        };
        let leases = LeaseWriter::start(Arc::downgrade(&serving), clock.clone(), superseded);
        let leases = leases.map_err(cannot)?;
        let holders = Holders::start(clock.clone()).map_err(cannot)?;
        match tokio::time::timeout(START_TIMEOUT, wait).await {
            Ok(Ok(Err(failed))) => return Err(failed),
            Ok(_) => {}
            Err(_) => tracing::warn!("not all keys are there yet; serving begins"),
        }
        let counters = Arc::new(Counters::default());
        let books = Books::new(
            Arc::clone(&serving),
            leases.asker(),
            holders.clone(),
            clock.clone(),
            Arc::clone(&counters),
            Refusals::start(app.audit(), holders.clone(), clock.clone()).map_err(cannot)?,
        );
        let desk = Arc::new(Desk {
            books: Arc::new(books),
            counters,
            app: ArcSwap::from_pointee(app.clone()),
            serving: Arc::clone(&serving),
            holders,
            imds_tokens: rotakey_endpoint::imds::Tokens::new(token::imds_key(&app.paths.state)?),
            since: now.wall,
            listen,
            state: app.paths.state.clone(),
            engine: Some(engine.orders()),
            board,
            clock,
        });
        Ok(Self { serving, engine, desk, leases })
    }

    /// The re-signing proxy for what is served.
    pub fn proxy(&self) -> Result<Arc<Proxy<Ring>>, Failed> {
        self.check_roots()?;
        let ring = Ring {
            serving: Arc::clone(&self.serving),
            books: Arc::clone(&self.desk.books),
            clock: self.desk.clock.clone(),
        };
        let proxy = Proxy::new(Arc::new(ring));
        proxy.map(Arc::new).map_err(|error| {
            Failed::new(Exit::Failed, format!("the proxy cannot use TLS: {error}"))
        })
    }

    /// Without root certificates no server of AWS's can be asked, but those that a profile has without TLS.
    fn check_roots(&self) -> Result<(), Failed> {
        if !roots::usable().is_empty() {
            return Ok(());
        }
        let serving = self.serving.load();
        let mut profiles = serving.keys.values().flat_map(|key| &key.profiles);
        let is_plain = |endpoint: Option<Endpoint>| endpoint.is_some_and(|own| own.is_plain());
        if profiles.any(|profile| is_plain(profile.proxied.anywhere())) {
            tracing::warn!("{NO_ROOTS}: the proxy can ask no server that has TLS");
            return Ok(());
        }
        let message = format!("the proxy can believe no server: {NO_ROOTS}");
        Err(Failed::new(Exit::Failed, message).hint(ROOTS_HINT))
    }

    /// Ends the engine's thread and the writing of leases.
    pub async fn end(self) {
        self.engine.end(END_TIMEOUT).await;
        drop(self.leases);
    }
}

/// Runs until it is told to end.
pub async fn run(mut app: App) -> Result<(), Failed> {
    let _instance = instance::lock(&app.paths)?;
    instance::make_room_for_files();
    let agent = app.config.agent.clone();
    let mut events = events()?;
    let sources = agent.sources;
    let listen = (sources.container || sources.imds).then_some(agent.listen);
    let proxy = sources.proxy.then_some(agent.proxy_listen);
    let sockets = Sockets::inherited().open(&app.paths, listen, proxy)?;
    let at =
        |tcp: &Option<std::net::TcpListener>| tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
    let listening = Listening { http: at(&sockets.http), proxy: at(&sockets.proxy) };
    let names: Vec<String> = app.config.profile_names().map(str::to_owned).collect();
    let service = Service::start(&app, &names, sources, listening, POLL).await?;

    let (drainer, drain) = Drain::new();
    let mut tasks = open(sockets, &service, &drain)?;
    // Only now is anybody answered.
    let now = app.clock.now();
    service.serving.load().keys.values().for_each(|key| key.failed(&now));
    let where_to =
        listening.http.map_or_else(|| "the Unix socket".to_owned(), |at| format!("http://{at}"));
    if let Some(at) = listening.proxy {
        app.printer.say(&format!("the proxy is at http://{at}"));
    }
    let profiles = counted(names.len(), "profile");
    app.printer.say(&format!("serving {profiles} at {where_to}"));
    notify(&[sd_notify::NotifyState::Ready]);
    let _ = service.engine.orders().send(Order::Rotate);

    let mut looked = app.clock.now().wall.to_zoned(TimeZone::UTC).date();
    let mut tick = tokio::time::interval(watchdog_interval());
    loop {
        let event = tokio::select! {
            Some(event) = events.recv() => event,
            Some(_) = tasks.join_next() => Event::SocketLost,
            _ = tick.tick() => Event::Tick,
        };
        match event {
            Event::End => break,
            Event::Reload => reload(&mut app, &service),
            Event::Tick if service.engine.is_over() => {
                tracing::error!("the engine has ended; programs are served on, nothing is rotated");
            }
            Event::Tick => {
                renew_authority(&app, &service, &mut looked);
                notify(&[sd_notify::NotifyState::Watchdog]);
            }
            Event::SocketLost => {
                return Err(Failed::new(Exit::Failed, "a socket was lost")
                    .hint("start the agent again; its log says more"));
            }
        }
    }
    end(service, tasks, drainer).await;
    Ok(())
}

fn open(sockets: Sockets, service: &Service, drain: &Drain) -> Result<JoinSet<()>, Failed> {
    let desk = &service.desk;
    let cannot =
        |error: std::io::Error| Failed::new(Exit::Failed, format!("cannot use a socket: {error}"));
    let mut tasks = JoinSet::new();
    if let Some(tcp) = sockets.http {
        let tcp = TcpListener::from_std(tcp).map_err(cannot)?;
        let programs = Arc::new(Programs(Arc::clone(desk)));
        tasks.spawn(server::serve_tcp(tcp, programs, Limits::default(), drain.clone()));
    }
    if let Some(tcp) = sockets.proxy {
        let tcp = TcpListener::from_std(tcp).map_err(cannot)?;
        tasks.spawn(serve_proxy(tcp, service.proxy()?, listener::limits(), drain.clone()));
    }
    if let Some(unix) = sockets.control {
        let unix = UnixListener::from_std(unix).map_err(cannot)?;
        let control = Arc::new(Control(Arc::clone(desk)));
        tasks.spawn(server::serve_unix(unix, control, Limits::default(), drain.clone()));
    }
    Ok(tasks)
}

/// The signals, as events.
fn events() -> Result<mpsc::UnboundedReceiver<Event>, Failed> {
    let (sender, events) = mpsc::unbounded_channel();
    for (kind, event) in [
        (SignalKind::terminate(), Event::End),
        (SignalKind::interrupt(), Event::End),
        (SignalKind::hangup(), Event::Reload),
    ] {
        let mut signals = signal(kind).map_err(|error| {
            Failed::new(Exit::Failed, format!("cannot wait for signals: {error}"))
        })?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
    }
    Ok(events)
}

/// Takes up the configuration as it is now. One that is wrong changes nothing.
fn reload(app: &mut App, service: &Service) {
    let began = sd_notify::NotifyState::monotonic_usec_now();
    notify(&[sd_notify::NotifyState::Reloading]);
    if let Ok(began) = began {
        notify(&[began]);
    }
    match configured(app, service) {
        // Into the log, which waits for nobody. Standard error may be a pipe that is full.
        Ok(()) => tracing::info!("the configuration was read again"),
        Err(failed) => {
            let hint = failed.hint.as_deref();
            tracing::error!(error = failed.message, hint, "the configuration stays as it was");
        }
    }
    notify(&[sd_notify::NotifyState::Ready]);
}

fn configured(app: &mut App, service: &Service) -> Result<(), Failed> {
    let config = Config::load(&app.paths.config)?;
    if config.agent != app.config.agent {
        return Err(Failed::new(Exit::Usage, "[agent] was changed, which takes a restart")
            .hint("start the agent again, or change [agent] back"));
    }
    if config.store != app.config.store {
        return Err(Failed::new(Exit::Usage, "[store] was changed, which takes a restart")
            .hint("start the agent again, or change [store] back"));
    }
    let mut next = app.clone();
    next.config = Arc::new(config);
    let names: Vec<String> = next.config.profile_names().map(str::to_owned).collect();
    let sources = next.config.agent.sources;
    let (before, now) = (service.serving.load_full(), app.clock.now());
    let serving = Serving::build(&next, &names, sources, &before, &now)?;
    service.serving.store(Arc::new(serving));
    service.desk.app.store(Arc::new(next.clone()));
    let _ = service.engine.orders().send(Order::Configure(Box::new(next.clone())));
    *app = next;
    Ok(())
}

/// Once a day: the next authority is made, and used, in good time.
fn renew_authority(app: &App, service: &Service, looked: &mut Date) {
    let now = app.clock.now();
    let today = now.wall.to_zoned(TimeZone::UTC).date();
    if std::mem::replace(looked, today) == today {
        return;
    }
    let serving = service.serving.load();
    let names: Vec<String> = app.config.profile_names().map(str::to_owned).collect();
    let before = serving.connecting.load();
    match connecting::of(app, &names, app.config.agent.sources, before.as_deref(), &now) {
        Ok(next) => serving.connecting.store(next),
        Err(failed) => tracing::error!(error = failed.message, "the authority stays as it was"),
    }
}

async fn end(service: Service, mut tasks: JoinSet<()>, drainer: Drainer) {
    notify(&[sd_notify::NotifyState::Stopping]);
    drainer.drain(DRAIN_TIMEOUT);
    while tasks.join_next().await.is_some() {}
    service.end().await;
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

fn watchdog_interval() -> Duration {
    let asked = sd_notify::watchdog_enabled().map(|interval| interval / 2);
    asked.unwrap_or(Duration::from_secs(30)).max(Duration::from_millis(500))
}
