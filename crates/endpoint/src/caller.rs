//! Who is at the other end of a connection: the kernel says so, at the time of accepting, once per connection.
//!
//! A Unix socket tells the process that connected. On TCP loopback both ends are sockets of this machine, and the kernel
//! (sock_diag) tells whose the other one is.

use std::io;
#[cfg(not(target_os = "linux"))]
use std::net::SocketAddr;

use tokio::net::{TcpStream, UnixStream};

use crate::table::Caller;

/// Why a connection is turned away before a request of it is read.
#[derive(Debug)]
pub enum Stranger {
    /// It was closed already.
    Gone,
    /// It is another user's.
    Other(Caller),
    /// The kernel does not say whose it is.
    Unknown(io::Error),
}

/// This process's effective user.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Who connected to a Unix socket.
pub(crate) fn of_unix(stream: &UnixStream, own_uid: u32) -> Result<Caller, Stranger> {
    let peer = stream.peer_cred().map_err(Stranger::Unknown)?;
    // A process of a namespace that is not seen from here has no id here.
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let caller = Caller::Process { uid: peer.uid(), pid };
    if peer.uid() == own_uid { Ok(caller) } else { Err(Stranger::Other(caller)) }
}

/// Who connected to a TCP socket.
pub(crate) fn of_tcp(
    stream: &TcpStream,
    owners: &mut Owners,
    own_uid: u32,
) -> Result<Caller, Stranger> {
    let (peer, local) = match (stream.peer_addr(), stream.local_addr()) {
        (Ok(peer), Ok(local)) => (peer, local),
        // The other end has reset it.
        _ => return Err(Stranger::Gone),
    };
    if !peer.ip().is_loopback() || !local.ip().is_loopback() {
        let message = format!("{peer} is not an address of this machine alone");
        return Err(Stranger::Unknown(io::Error::other(message)));
    }
    match owners.owner(peer, local).map_err(Stranger::Unknown)? {
        // A socket that its process has closed belongs to nobody, which would read as root.
        None | Some(Owner { inode: 0, .. }) => Err(Stranger::Gone),
        Some(Owner { uid, inode }) => {
            let caller = Caller::Socket { uid, inode: u64::from(inode) };
            if uid == own_uid { Ok(caller) } else { Err(Stranger::Other(caller)) }
        }
    }
}

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    uid: u32,
    inode: u32,
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Owners;

/// Other systems tell it otherwise (macOS: `proc_pidfdinfo` of each process; Windows: `GetExtendedTcpTable`). None of that
/// is written, so nobody is let in over TCP there.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Default)]
pub(crate) struct Owners;

#[cfg(not(target_os = "linux"))]
impl Owners {
    pub(crate) fn owner(&mut self, _: SocketAddr, _: SocketAddr) -> io::Result<Option<Owner>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system's way is not built in"))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::{IpAddr, SocketAddr};

    use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_sock_diag::SockDiagMessage;
    use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
    use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
    use netlink_sys::protocols::NETLINK_SOCK_DIAG;
    use netlink_sys::{Socket, SocketAddr as NetlinkAddr};

    use super::Owner;

    /// "No cookie": any socket with these addresses is meant.
    const NO_COOKIE: [u8; 8] = [0xff; 8];

    /// No answer about one socket is near this long.
    const REPLY_BYTES_MAX: usize = 4096;

    /// Asks the kernel whose a socket is. Asking is two system calls; the kernel answers within the first.
    #[derive(Debug, Default)]
    pub(crate) struct Owners {
        socket: Option<Socket>,
        sequence: u32,
    }

    impl Owners {
        /// The owner of the TCP socket that is bound to `local` and connected to `remote`; none if there is no such.
        pub(crate) fn owner(
            &mut self,
            local: SocketAddr,
            remote: SocketAddr,
        ) -> io::Result<Option<Owner>> {
            let socket = match self.socket.take() {
                Some(socket) => socket,
                None => open()?,
            };
            self.sequence = self.sequence.wrapping_add(1);
            let owner = ask(&socket, self.sequence, local, remote)?;
            // One that failed is not kept: there might be something left to be read from it.
            self.socket = Some(socket);
            Ok(owner)
        }
    }

    fn open() -> io::Result<Socket> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&NetlinkAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        Ok(socket)
    }

    fn ask(
        socket: &Socket,
        sequence: u32,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Option<Owner>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = sequence;
        let request = InetRequest {
            family: if matches!(local.ip(), IpAddr::V4(_)) { AF_INET } else { AF_INET6 },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: SocketId {
                source_port: local.port(),
                destination_port: remote.port(),
                source_address: local.ip(),
                destination_address: remote.ip(),
                interface_id: 0,
                cookie: NO_COOKIE,
            },
        };
        let mut packet = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        socket.send(&bytes, 0)?;

        let mut reply = Vec::with_capacity(REPLY_BYTES_MAX);
        socket.recv(&mut reply, 0)?;
        let reply = NetlinkMessage::<SockDiagMessage>::deserialize(&reply)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        if reply.header.sequence_number != sequence {
            return Err(io::Error::other("the kernel answered another question"));
        }
        match reply.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                let id = &found.header.socket_id;
                // When there is no such connection the kernel offers a socket that listens at the same port.
                let is_it = (id.source_address, id.source_port) == (local.ip(), local.port())
                    && (id.destination_address, id.destination_port)
                        == (remote.ip(), remote.port());
                let owner = Owner { uid: found.header.uid, inode: found.header.inode };
                Ok(is_it.then_some(owner))
            }
            NetlinkPayload::Error(error) => match error.to_io() {
                error if error.kind() == io::ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
            _ => Err(io::Error::other("the kernel answered something else")),
        }
    }
    #[cfg(test)]
    mod tests {
        use std::net::{TcpListener, TcpStream};

        use super::super::own_uid;
        use super::*;

        #[test]
        fn the_owner_is_that_of_exactly_this_end() {
            let mut owners = Owners::default();
            for address in ["127.0.0.1:0", "[::1]:0"] {
                let listener = TcpListener::bind(address).expect("a free port");
                let client =
                    TcpStream::connect(listener.local_addr().expect("bound")).expect("open");
                let (server, _) = listener.accept().expect("one");
                let addresses = |end: &TcpStream| {
                    (end.local_addr().expect("bound"), end.peer_addr().expect("connected"))
                };
                for end in [&client, &server] {
                    let (local, remote) = addresses(end);
                    let owner = owners.owner(local, remote).expect("an answer").expect("there");
                    let inode = rustix::fs::fstat(end).expect("open").st_ino;
                    assert_eq!((owner.uid, u64::from(owner.inode)), (own_uid(), inode));
                }
                // No such connection, but one listens at that port; then, neither.
                let (local, mut remote) = addresses(&server);
                remote.set_port(remote.port() ^ 1);
                assert_eq!(owners.owner(local, remote).expect("an answer"), None);
                drop((listener, server));
                assert_eq!(owners.owner(local, remote).expect("an answer"), None);
            }
        }
    }
}
