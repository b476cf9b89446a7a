//! The one module that looks into `/proc`: which process is at the other end, and which boot this is.
#![allow(clippy::disallowed_methods, reason = "/proc is no file system that anything is kept in")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since the boot.
    pub started: u64,
    /// Its executable, if that can be read.
    pub exe: Option<String>,
}

/// What names this boot, if the kernel says so.
pub fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// This very program, as it can be run. After an upgrade the kernel calls the file that we were started from deleted;
/// the one that took its place does as well.
pub fn own_program() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let text = path.to_str().and_then(|text| text.strip_suffix(" (deleted)"));
    Ok(text.map_or(path.clone(), PathBuf::from))
}

/// Whether a program is rotakey: it asks its own sources when it verifies that they serve a new key.
pub fn is_own(program: &Program) -> bool {
    let exe = program.exe.as_deref().map(|exe| exe.strip_suffix(" (deleted)").unwrap_or(exe));
    exe.is_some_and(|exe| own_program().is_ok_and(|own| own == Path::new(exe)))
}

/// Shells that stand between an SDK and the `credential_process` it runs.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "busybox", "fish"];

/// The program that ran a process: its parent, past a shell.
pub fn runner(pid: u32) -> Option<Program> {
    let (mut parent, _) = stat(pid)?;
    for _ in 0..2 {
        let found = program(parent)?;
        let name = found.exe.as_deref().and_then(|exe| exe.rsplit('/').next()).unwrap_or_default();
        // A shell without a command of its own is somebody's terminal, and the best that there is to name.
        let runs_a_command = || {
            let line = read_file(parent, "cmdline").unwrap_or_default();
            line.windows(4).any(|window| window == b"\0-c\0")
        };
        if !SHELLS.contains(&name) || !runs_a_command() {
            return Some(found);
        }
        parent = stat(parent)?.0;
    }
    program(parent)
}

/// What can be told of a process.
pub fn program(pid: u32) -> Option<Program> {
    let (_, started) = stat(pid)?;
    Some(Program { pid, started, exe: exe(pid) })
}

/// What a process was started with. It may hold secrets, and is wiped when dropped.
#[derive(Debug)]
pub struct Started {
    /// Which process.
    pub program: Program,
    /// `NAME=value`, each ended by a zero byte.
    pub environ: Zeroizing<Vec<u8>>,
    /// The arguments, each ended by a zero byte.
    pub arguments: Zeroizing<Vec<u8>>,
}

/// Shows the processes of this user, one after the other; answers how many would not be looked into.
pub fn own_processes(mut show: impl FnMut(Started)) -> usize {
    let us = rustix::process::getuid().as_raw().to_string();
    let mut closed = 0;
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // The folder's owner is root for a process that lets nobody look into it.
        let status = read_file(pid, "status").unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let mut lines = status.lines().filter_map(|line| line.strip_prefix("Uid:"));
        if lines.next().and_then(|ids| ids.split_whitespace().next()) != Some(us.as_str()) {
            continue;
        }
        let read = |name| read_file(pid, name).map(Zeroizing::new);
        match (program(pid), read("environ"), read("cmdline")) {
            (Some(program), Some(environ), Some(arguments)) => {
                show(Started { program, environ, arguments });
            }
            // It ended meanwhile; or it is the kernel's, and was started with nothing.
            (None, _, _) => {}
            (_, _, Some(arguments)) if arguments.is_empty() => {}
            _ => closed += 1,
        }
    }
    closed
}

/// A process's parent, and when it began.
pub fn stat(pid: u32) -> Option<(u32, u64)> {
    let bytes = read_file(pid, "stat")?;
    // The name, in parentheses, may hold anything.
    let text = String::from_utf8_lossy(&bytes);
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    // The 22nd field of proc(5), counted from the 3rd.
    let started = fields.nth(17)?.parse().ok()?;
    Some((parent, started))
}

/// The processes above one: its parent, that one's, and so on.
pub fn ancestors(pid: u32) -> Vec<u32> {
    let mut above = Vec::new();
    let mut at = pid;
    while let Some((parent, _)) = stat(at)
        // A number may be somebody else's by now.
        && parent != 0
        && !above.contains(&parent)
    {
        above.push(parent);
        at = parent;
    }
    above
}

/// The process that has a socket open, among those that may be looked into. It goes through all of them: milliseconds.
pub fn owner_of(inode: u64) -> Option<Program> {
    owners_of(&HashSet::from([inode]), &[]).remove(&inode)
}

/// The same for many sockets, in the same time as for one. It looks into the processes `likely` before it goes through all.
pub fn owners_of(inodes: &HashSet<u64>, likely: &[u32]) -> HashMap<u64, Program> {
    let mut owners = HashMap::new();
    let all = std::iter::once_with(|| fs::read_dir("/proc")).flatten().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in likely.iter().copied().chain(all) {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let sockets = files.flatten().filter_map(|file| socket(&fs::read_link(file.path()).ok()?));
        let found: Vec<u64> = sockets.filter(|inode| inodes.contains(inode)).collect();
        if !found.is_empty()
            && let Some(program) = program(pid)
        {
            owners.extend(found.into_iter().map(|inode| (inode, program.clone())));
        }
        if owners.len() == inodes.len() {
            break;
        }
    }
    owners
}

/// The inode of an open file that is a socket: `socket:[<inode>]`.
fn socket(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its inode, by which [`owner_of`] finds its process.
    pub inode: u64,
    /// Whose it is.
    pub uid: u32,
}

/// Whoever listens at an address of this machine, or at all of them with its port.
pub fn listener_at(at: SocketAddr) -> Option<Listener> {
    let mut everywhere = None;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            // sl, local address, remote address, state (0A: listening), ..., uid (8th), timeout, inode (10th).
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, "0A", ..] = fields[..] else { continue };
            let Some(local) = address(local).filter(|local| local.port() == at.port()) else {
                continue;
            };
            let (uid, inode) = (fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?);
            if local.ip() == at.ip() {
                return Some(Listener { inode, uid });
            }
            if local.ip().is_unspecified() {
                everywhere.get_or_insert(Listener { inode, uid });
            }
        }
    }
    everywhere
}

/// An address as the kernel writes it: words of 32 bits in this machine's order, in hexadecimal, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?.to_ne_bytes()),
        32 => {
            let mut bytes = [0; 16];
            for (n, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(n * 8)?.to_ne_bytes());
            }
            // An IPv4 address of an IPv6 socket.
            IpAddr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn exe(pid: u32) -> Option<String> {
    let path: PathBuf = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    path.into_os_string().into_string().ok()
}

fn read_file(pid: u32, name: &str) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/{name}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_parent_are_told_from_proc() {
        let us = std::process::id();
        let (parent, started) = stat(us).expect("there");
        assert_eq!(parent, std::os::unix::process::parent_id());
        let program = program(us).expect("there");
        assert_eq!(program.started, started);
        let exe = std::env::current_exe().expect("there");
        assert_eq!(program.exe.as_deref(), exe.to_str());
    }
    #[test]
    fn the_owner_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("bound");
        let found = listener_at(at).expect("it listens");
        assert_eq!(found.uid, rustix::process::geteuid().as_raw());
        assert_eq!(owner_of(found.inode).expect("us").pid, std::process::id());
        // Whoever is likely and is not, or is no more, hides nobody.
        for likely in [std::process::id(), 1, u32::MAX] {
            let owners = owners_of(&HashSet::from([found.inode]), &[likely]);
            assert_eq!(owners[&found.inode].pid, std::process::id());
        }
        // The same port of another address is another's.
        let other = SocketAddr::from(([127, 0, 0, 2], at.port()));
        assert_eq!(listener_at(other), None);
        drop(listener);
        assert_eq!(listener_at(at), None);
        let everywhere = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = everywhere.local_addr().expect("bound").port();
        assert!(listener_at(SocketAddr::from(([127, 0, 0, 1], port))).is_some());
        let mapped = address("0000000000000000FFFF00000100007F:0050")
            .filter(|_| cfg!(target_endian = "little"));
        assert_eq!(mapped, "127.0.0.1:80".parse().ok().filter(|_| cfg!(target_endian = "little")));
    }
}
