use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::caller::Stranger;

/// Accepts what the test has laid out, then nothing more.
struct Scripted(Mutex<VecDeque<io::Result<DuplexStream>>>);

impl Door for Scripted {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<DuplexStream> {
        let next = self.0.lock().expect("whole").pop_front();
        match next {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }

    fn caller(&mut self, _: &DuplexStream, uid: u32) -> Result<Caller, Stranger> {
        Ok(Caller::Socket { uid, inode: 1 })
    }

    fn waiting(&self) -> Vec<DuplexStream> {
        Vec::new()
    }
}

#[derive(Default)]
struct Refusals(Mutex<Vec<Refused>>);

impl Handler for Refusals {
    async fn handle(&self, _: &Caller, _: http::Request<hyper::body::Incoming>) -> Answer {
        crate::answer::refusal(Refused::NotFound, "nothing")
    }

    fn refused(&self, why: Refused, _: Option<&Caller>, _: &str) {
        self.0.lock().expect("whole").push(why);
    }
}

#[tokio::test]
async fn a_listener_that_fails_for_a_while_is_not_given_up() {
    let (mut client, server) = duplex(1024);
    let (mut silent, crowding) = duplex(1024);
    let full = || Err(io::Error::from_raw_os_error(24)); // EMFILE
    let hung_up = Err(io::ErrorKind::ConnectionAborted.into());
    let script = [Ok(crowding), full(), hung_up, full(), Ok(server)].into();
    let handler = Arc::new(Refusals::default());
    let (drainer, drain) = Drain::new();
    let door = Scripted(Mutex::new(script));
    let serving =
        tokio::spawn(serve(door, Arc::new(Plain(Arc::clone(&handler))), Limits::default(), drain));
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("open");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 404");
    // It made room for what was to come.
    assert_eq!(silent.read(&mut answer).await.expect("closed"), 0);
    let refused = std::mem::take(&mut *handler.0.lock().expect("whole"));
    assert_eq!(refused, [Refused::Crowded; 3]);
    drainer.drain(Duration::ZERO);
    serving.await.expect("no panic");
}

#[test]
fn only_errors_of_one_connection_are_passed_over() {
    // accept(2); EMFILE, ENFILE, ENOBUFS and ENOMEM are the listener's.
    for (number, is_of_one) in [
        (103, true),
        (104, true),
        (111, true),
        (4, true),
        (24, false),
        (23, false),
        (105, false),
        (12, false),
    ] {
        let error = io::Error::from_raw_os_error(number);
        assert_eq!(is_of_one_connection(&error), is_of_one, "{error}");
    }
}
