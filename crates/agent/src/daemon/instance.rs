//! There is one agent: its lock and its sockets, its own or those that systemd opened for it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use listenfd::ListenFd;
use rotakey_endpoint::server;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Paths;
use crate::failure::{Exit, Failed};
use crate::proc;
use crate::store::disk::{self, System};
use crate::store::durable::{Disk, Lock};

/// Another one may be on its way out.
const PATIENCE: Duration = Duration::from_secs(3);

/// Both sockets may be full of connections, and the agent needs files of its own. Most systems give a process 1024.
const FILES: u64 = 4096;

/// What the TCP sockets are called, in `config.toml` and in `LISTEN_FDNAMES`.
const HTTP: &str = "listen";
const PROXY: &str = "proxy_listen";

/// Makes room for files, as far as the system allows it.
pub(super) fn make_room_for_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |most| most.min(FILES));
    if current.is_some_and(|current| current < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if let Err(error) = raised {
            tracing::warn!(%error, "the agent may run out of files");
        }
    }
}

/// The lock that only one agent has. It goes when the process goes.
pub(super) fn lock(paths: &Paths) -> Result<Lock, Failed> {
    let unusable = |error: std::io::Error| {
        let run = paths.run.display();
        Failed::new(Exit::Failed, format!("cannot use {run}: {error}"))
            .hint("make the folder yours alone (chmod 700), or set ROTAKEY_HOME")
    };
    disk::create_private_dir(&paths.run).map_err(unusable)?;
    disk::check_private(&paths.run).map_err(unusable)?;
    let path = paths.run.join("agent.lock");
    if let Some(lock) = System.lock(&path, Duration::ZERO).map_err(unusable)? {
        return Ok(lock);
    }
    let holder = System.lock_holder(&path);
    tracing::info!(?holder, "another agent runs; waiting for it to end");
    System.lock(&path, PATIENCE).map_err(unusable)?.ok_or_else(|| {
        let pid = holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        Failed::new(Exit::Failed, format!("another agent runs already{pid}"))
            .hint("`rotakey status` shows it; SIGHUP makes it read its configuration again")
    })
}

/// Where programs and people reach the agent.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Programs, over HTTP; `None` if no source needs it.
    pub(super) http: Option<TcpListener>,
    /// Programs that sign with placeholders; `None` if there is no proxy.
    pub(super) proxy: Option<TcpListener>,
    /// Those that were handed over, not yet told apart, and what they are called.
    inherited: Vec<(String, TcpListener)>,
    /// `credential-process` and the command line.
    pub(super) control: Option<UnixListener>,
}

impl Sockets {
    /// Takes over the sockets that systemd holds for us (`sd_listen_fds(3)`), if it does. While we are restarted it keeps
    /// them open, so that no connection is refused.
    pub(super) fn inherited() -> Self {
        // Only the names are taken from here: sockets are made of descriptors by listenfd, without unsafe code.
        let names = sd_notify::listen_fds_with_names().map(|fds| fds.map(|(_, name)| name));
        let mut names = names.ok().into_iter().flatten();
        let mut fds = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..fds.len() {
            let name = names.next().unwrap_or_default();
            if let Ok(Some(unix)) = fds.take_unix_listener(index) {
                sockets.control.get_or_insert(unix);
            } else if let Ok(Some(tcp)) = fds.take_tcp_listener(index) {
                sockets.inherited.push((name, tcp));
            }
        }
        sockets
    }

    /// Opens what was not inherited. Needs a runtime.
    pub(super) fn open(
        mut self,
        paths: &Paths,
        listen: Option<SocketAddr>,
        proxy: Option<SocketAddr>,
    ) -> Result<Self, Failed> {
        self.proxy = proxy.map(|at| self.tcp(at, PROXY, true)).transpose()?;
        self.http = listen.map(|at| self.tcp(at, HTTP, false)).transpose()?;
        if self.control.is_none() {
            let path = paths.socket();
            // We have the lock: a socket that is there was left behind.
            let unix = disk::bind_private(&path).map_err(|error| {
                Failed::new(Exit::Failed, format!("cannot listen at {}: {error}", path.display()))
                    .hint("the path may be too long for a socket (108 bytes): set ROTAKEY_HOME to a shorter one")
            })?;
            self.control = Some(unix);
        }
        for result in [
            self.http.as_ref().map(|tcp| tcp.set_nonblocking(true)),
            self.proxy.as_ref().map(|tcp| tcp.set_nonblocking(true)),
            self.control.as_ref().map(|unix| unix.set_nonblocking(true)),
        ] {
            result.transpose().map_err(|error| {
                Failed::new(Exit::Failed, format!("cannot use a socket: {error}"))
            })?;
        }
        Ok(self)
    }

    /// A socket that was handed over, or a new one. By the key's name, if one is called so, wherever it listens; else by its
    /// address (for the proxy only one at its very address): all sockets of one unit of systemd have one name.
    fn tcp(&mut self, at: SocketAddr, key: &str, exact: bool) -> Result<TcpListener, Failed> {
        let is_it = |(name, tcp): &(String, TcpListener)| {
            let is_of_other = name == HTTP || name == PROXY;
            !is_of_other && (!exact || tcp.local_addr().is_ok_and(|addr| addr == at))
        };
        let named = self.inherited.iter().position(|(name, _)| name == key);
        let Some(found) = named.or_else(|| self.inherited.iter().position(is_it)) else {
            let tcp = server::listen_tcp(at).and_then(tokio::net::TcpListener::into_std);
            return tcp.map_err(|error| taken(at, key, &error));
        };
        let (_, inherited) = self.inherited.remove(found);
        if inherited.local_addr().is_ok_and(|at| at.ip().is_loopback()) {
            return Ok(inherited);
        }
        let message = "the socket that was handed over is not a loopback one";
        Err(Failed::new(Exit::Usage, message)
            .hint("ListenStream=127.0.0.1:PORT in the socket unit"))
    }
}

fn taken(at: SocketAddr, key: &str, error: &std::io::Error) -> Failed {
    let owner =
        (error.kind() == std::io::ErrorKind::AddrInUse).then(|| proc::listener_at(at)).flatten();
    let owner = owner.map(|found| match proc::owner_of(found.inode) {
        Some(program) => {
            let exe = program.exe.as_deref().unwrap_or("?");
            format!("; pid {} ({exe}) listens there", program.pid)
        }
        None => "; another user's process listens there".to_owned(),
    });
    Failed::new(
        Exit::Failed,
        format!("cannot listen at {at}: {error}{}", owner.unwrap_or_default()),
    )
    .hint(format!("choose another port in config.toml: [agent] {key} = \"127.0.0.1:PORT\""))
}
