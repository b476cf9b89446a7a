//! The thread that takes its time: it reads keystores, asks AWS and rotates. No answer to a program waits for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use zeroize::Zeroizing;

use super::board::Board;
use super::rotations::{self, Rotations};
use super::schedule::{self, Scheduler};
use crate::app::App;
use crate::failure::{Exit, Failed};
use crate::incident::quarantine;
use crate::serving::Serving;
use crate::serving::sessions::{Sessions, Turns};
use crate::serving::supply::{self, Supply};
use crate::store::keystore::Keystore;

/// What the engine's thread is told.
#[derive(Debug)]
pub enum Order {
    /// A profile's ledger was changed: serve what it says, and say when that is done.
    TakeUp(String, oneshot::Sender<()>),
    /// A person did something about a profile's rotation.
    Wake(String),
    /// A person's command wants the engine's lock of a profile.
    Yield(String),
    /// A program that holds a profile's credential says that AWS refuses it. Answered by whether that counts now.
    Report(String, String, oneshot::Sender<bool>),
    /// A person gave an MFA code for a profile.
    Mfa(String, Zeroizing<String>, oneshot::Sender<Result<(), String>>),
    /// The configuration was changed; what is served is swapped already.
    Configure(Box<App>),
    /// The keys are served: rotations may begin.
    Rotate,
    /// Stop; rotations are left as they are.
    End,
}

/// Tells the engine's thread what to do.
pub type Orders = mpsc::UnboundedSender<Order>;

/// The engine's thread.
#[derive(Debug)]
pub struct Engine {
    orders: Orders,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Begins. `started` is told when each key is served, or cannot be for now.
    pub fn start(
        app: App,
        serving: Arc<ArcSwap<Serving>>,
        board: Arc<Board>,
        poll: Duration,
        started: oneshot::Sender<Result<(), Failed>>,
    ) -> Result<Self, Failed> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let cannot = |error: std::io::Error| {
            Failed::new(Exit::Failed, format!("cannot start the engine: {error}"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(cannot)?;
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let local = LocalSet::new();
                runtime.block_on(local.run_until(run(app, serving, board, poll, inbox, started)));
                // A command or a keystore that hangs must not hold up the end.
                runtime.shutdown_background();
            })
            .map_err(cannot)?;
        Ok(Self { orders, thread })
    }

    /// Whoever may tell it something.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Whether it has ended; it should not, by itself.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, after the calls to AWS that are under way, or at the deadline.
    pub async fn end(self, deadline: Duration) {
        let _ = self.orders.send(Order::End);
        let ended = async {
            while !self.thread.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            tracing::warn!("the engine did not end in time; the journal has where it was");
        }
    }
}

/// The tasks of one key.
struct Worker {
    supply: mpsc::UnboundedSender<supply::Order>,
    rotations: mpsc::UnboundedSender<rotations::Order>,
    quarantine: mpsc::UnboundedSender<Rc<App>>,
    yielding: Rc<Cell<bool>>,
}

/// Everything that the tasks need.
struct Workshop {
    app: Rc<App>,
    keystore: Rc<dyn Keystore>,
    serving: Arc<ArcSwap<Serving>>,
    poll: Duration,
    workers: HashMap<String, Worker>,
    turns: Turns,
    /// What looks for a quarantine share.
    looks: quarantine::Looks,
    /// Whose turn it is to rotate.
    rotating: Rc<RefCell<schedule::Turns>>,
    /// What the schedulers are doing.
    board: Arc<Board>,
    tasks: JoinSet<()>,
    /// Rotations that may not begin yet, and their orders.
    waiting: Vec<(Rotations, mpsc::UnboundedReceiver<rotations::Order>)>,
    may_rotate: bool,
    ending: Rc<Cell<bool>>,
}

async fn run(
    app: App,
    serving: Arc<ArcSwap<Serving>>,
    board: Arc<Board>,
    poll: Duration,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    started: oneshot::Sender<Result<(), Failed>>,
) {
    let keystore: Rc<dyn Keystore> = match app.keystore() {
        Ok(keystore) => keystore.into(),
        Err(failed) => {
            let _ = started.send(Err(failed));
            return;
        }
    };
    let mut workshop = Workshop {
        app: Rc::new(app),
        looks: quarantine::Looks::new(Rc::clone(&keystore)),
        keystore,
        serving,
        board,
        poll,
        workers: HashMap::new(),
        turns: Turns::default(),
        rotating: Rc::default(),
        tasks: JoinSet::new(),
        waiting: Vec::new(),
        may_rotate: false,
        ending: Rc::new(Cell::new(false)),
    };
    let first = workshop.open();
    tokio::task::spawn_local(async move {
        for one in first {
            let _ = one.await;
        }
        let _ = started.send(Ok(()));
    });
    loop {
        let order = tokio::select! {
            order = inbox.recv() => match order {
                Some(order) => order,
                None => break,
            },
            Some(ended) = workshop.tasks.join_next(), if !workshop.tasks.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task ended: start the agent again, and report this");
                }
                continue;
            }
        };
        if workshop.obey(order).is_break() {
            break;
        }
    }
    workshop.end().await;
}

impl Workshop {
    /// Carries out an order; the last one breaks off.
    fn obey(&mut self, order: Order) -> ControlFlow<()> {
        match order {
            Order::TakeUp(profile, done) => self.supply(&profile, supply::Order::TakeUp(done)),
            Order::Wake(profile) => self.wake(&profile),
            Order::Yield(profile) => {
                if let Some(worker) = self.worker(&profile) {
                    worker.yielding.set(true);
                }
            }
            Order::Report(profile, what, done) => {
                if let Some(worker) = self.worker(&profile) {
                    let _ = worker.rotations.send(rotations::Order::Report(what, done));
                }
            }
            Order::Mfa(profile, code, done) => {
                self.supply(&profile.clone(), supply::Order::Mfa(profile.clone(), code, done));
                self.wake(&profile);
            }
            Order::Configure(app) => self.configure(*app),
            Order::Rotate => self.rotate(),
            Order::End => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Gives each key that has none its tasks; those of keys that are gone end by themselves.
    fn open(&mut self) -> Vec<oneshot::Receiver<()>> {
        let serving = self.serving.load_full();
        self.workers.retain(|holder, _| serving.keys.contains_key(holder));
        let mut started = Vec::new();
        for holder in serving.keys.keys() {
            if self.workers.contains_key(holder) {
                continue;
            }
            let app = Rc::new(self.app.for_profile(holder));
            let (supply, supply_inbox) = mpsc::unbounded_channel();
            let (rotations, rotations_inbox) = mpsc::unbounded_channel();
            let (done, first) = oneshot::channel();
            let task = Supply {
                holder: holder.clone(),
                serving: Arc::clone(&self.serving),
                app: Rc::clone(&app),
                keystore: Rc::clone(&self.keystore),
                poll: self.poll,
                sessions: Sessions::new(self.turns.clone()),
            };
            self.tasks.spawn_local(task.run(supply_inbox, done));
            let (quarantine, configured) = mpsc::unbounded_channel();
            let looks = self.looks.clone();
            self.tasks.spawn_local(quarantine::watch(Rc::clone(&app), looks, configured));
            let ending = Rc::clone(&self.ending);
            let yielding = Rc::new(Cell::new(false));
            let rotation = Rotations {
                holder: holder.clone(),
                app,
                keystore: Rc::clone(&self.keystore),
                ending,
                yielding: Rc::clone(&yielding),
                scheduler: Scheduler::new(holder),
                turns: Rc::clone(&self.rotating),
                board: Arc::clone(&self.board),
                said: None,
            };
            self.waiting.push((rotation, rotations_inbox));
            self.workers.insert(holder.clone(), Worker { supply, rotations, quarantine, yielding });
            started.push(first);
        }
        if self.may_rotate {
            self.rotate();
        }
        started
    }

    fn rotate(&mut self) {
        self.may_rotate = true;
        for (rotation, inbox) in std::mem::take(&mut self.waiting) {
            self.tasks.spawn_local(rotation.run(inbox));
        }
    }

    fn configure(&mut self, app: App) {
        self.app = Rc::new(app);
        drop(self.open());
        for (holder, worker) in &self.workers {
            let app = Rc::new(self.app.for_profile(holder));
            let _ = worker.supply.send(supply::Order::Configure(Rc::clone(&app)));
            let _ = worker.quarantine.send(Rc::clone(&app));
            let _ = worker.rotations.send(rotations::Order::Configure(app));
        }
    }

    fn worker(&self, profile: &str) -> Option<&Worker> {
        let serving = self.serving.load();
        self.workers.get(&serving.key_of.get(profile)?.name)
    }

    /// Has a profile's rotation looked at.
    fn wake(&self, profile: &str) {
        if let Some(worker) = self.worker(profile) {
            let _ = worker.rotations.send(rotations::Order::Wake);
        }
    }

    fn supply(&self, profile: &str, order: supply::Order) {
        if let Some(worker) = self.worker(profile) {
            let _ = worker.supply.send(order);
        }
    }

    /// Ends the tasks: nobody can tell them anything any more.
    async fn end(&mut self) {
        self.ending.set(true);
        self.waiting.clear();
        self.workers.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}
