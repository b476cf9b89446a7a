//! What becomes of connections, at a server that answers by heart.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;

const ONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none";
const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";

/// A server, and how many connections it was asked for.
struct By {
    pool: Pool,
    server: Server,
    accepted: Arc<AtomicUsize>,
    /// Lets it go on.
    on: Arc<Notify>,
}

/// What it writes on each connection: a text after each request, or (`None`) nothing until it is told to go on. Then it hangs up.
type Script = &'static [&'static [Option<&'static str>]];

impl By {
    async fn heart(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let authority = listener.local_addr().expect("an address").to_string();
        let (accepted, on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, told) = (Arc::clone(&accepted), Arc::clone(&on));
        tokio::spawn(async move {
            for texts in script {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                counted.fetch_add(1, Ordering::SeqCst);
                let mut is_asked = true;
                for text in *texts {
                    let Some(text) = text else {
                        told.notified().await;
                        is_asked = false;
                        continue;
                    };
                    if std::mem::replace(&mut is_asked, true) {
                        let mut read = Vec::new();
                        while !read.ends_with(b"\r\n\r\n") {
                            assert!(stream.read_buf(&mut read).await.expect("a request") > 0);
                        }
                    }
                    stream.write_all(text.as_bytes()).await.expect("open");
                }
            }
        });
        let authority = authority.parse().expect("an authority");
        let server = Server { whose: Whose::Own, scheme: Scheme::HTTP, authority };
        Self { pool: Pool::new().expect("TLS"), server, accepted, on }
    }

    async fn ask(&self) -> Result<Response<Incoming>, Broken> {
        let body = Full::new(Bytes::new()).map_err(|never| match never {});
        let request = Request::get("/x").body(body.boxed_unsync()).expect("a request");
        self.pool.send(request, &self.server, false).await
    }

    async fn answer(&self) -> String {
        text(self.ask().await.expect("an answer")).await
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn text(answer: Response<Incoming>) -> String {
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Whatever has come by now is noticed: the runtime looks before it sleeps.
async fn look() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let by = By::heart(&[&[Some(ONE), Some(TWO)]]).await;
    assert_eq!((by.answer().await, by.answer().await), ("one".to_owned(), "two".to_owned()));
    assert_eq!(by.accepted(), 1);
}

#[tokio::test]
async fn what_was_closed_meanwhile_takes_no_request_with_it() {
    let by = By::heart(&[&[Some(ONE), None], &[Some(TWO)]]).await;
    assert_eq!(by.answer().await, "one");
    by.on.notify_one();
    look().await;
    assert_eq!((by.answer().await, by.accepted()), ("two".to_owned(), 2));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_nobodys() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let by = By::heart(&[&[Some(ONE), None, Some(EVIL)], &[Some(TWO)]]).await;
    assert_eq!(by.answer().await, "one");
    by.on.notify_one();
    look().await;
    assert_eq!(by.answer().await, "two");
}

#[tokio::test]
async fn an_answer_that_takes_longer_gets_a_task_and_its_connection_comes_back() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none";
    let by = By::heart(&[&[Some(BEGUN), None, Some("two"), Some(TWO)]]).await;
    let answer = by.ask().await.expect("the head");
    by.on.notify_one();
    assert_eq!(text(answer).await, "onetwo");
    assert_eq!((by.answer().await, by.accepted()), ("two".to_owned(), 1));
}

/// The request and its connection are one task's: neither wakes the other, nor whoever used the connection before.
#[tokio::test]
async fn a_request_is_polled_when_it_comes_and_when_its_answer_does() {
    let by = By::heart(&[&[Some(ONE), Some(TWO)]]).await;
    assert_eq!(by.answer().await, "one");
    let (mut asking, mut polls) = (std::pin::pin!(by.ask()), 0);
    let answer = std::future::poll_fn(|cx| {
        polls += 1;
        asking.as_mut().poll(cx)
    });
    assert_eq!(text(answer.await.expect("an answer")).await, "two");
    assert_eq!((polls, by.accepted()), (2, 1));
}
