//! The SDK for JavaScript, which has these services over HTTP/2.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::upstream::{End, Upstream};
use super::{configured, streaming};
use crate::calls::{exec, node, tests};
use crate::support::World;
use crate::support::agent::Agent;

/// Runs a scenario of `streams.mjs`, which has the expectations.
fn scenario(world: &World, name: &str) {
    let script = tests().join("clients/js/streams.mjs");
    let output = exec(world, &[node().to_str().unwrap(), script.to_str().unwrap(), name]);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

fn expect_transcribed(world: &World, upstream: &Upstream) {
    let seen = upstream.until("an end", |seen| seen.iter().any(|one| one.end != End::Open));
    let [one] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&*one.version, &*one.id, one.status), ("HTTP/2.0", &*world.id, 200));
    assert_eq!((one.heard.len(), &one.end), (4, &End::Right), "{one:?}");
    assert_eq!(one.heard[3].len(), 200_000);
}

#[test]
fn transcribe_answers_while_it_is_spoken_to() {
    let (world, upstream, _agent) = streaming("");
    scenario(&world, "transcribe");
    expect_transcribed(&world, &upstream);
}

/// Kinesis is asked over HTTP/2 by its clients, but pushes alone need it.
#[test]
fn kinesis_takes_records_and_pushes_them() {
    let (world, upstream, _agent) = streaming("");
    scenario(&world, "kinesis");
    let seen: Vec<_> =
        upstream.seen().into_iter().map(|one| (one.target, one.version, one.status)).collect();
    let is = |target: &str, version: &str| {
        (format!("Kinesis_20131202.{target}"), version.to_owned(), 200)
    };
    assert_eq!(seen, [is("PutRecord", "HTTP/1.1"), is("SubscribeToShard", "HTTP/2.0")]);
}

/// As AWS: by ALPN.
#[test]
fn over_tls_http_2_is_agreed_on() {
    let world = World::added();
    let certificate = world.home.path().join("certificate.pem");
    let upstream = Upstream::start(&world.id, &world.secret, Some(acceptor(&world, &[b"h2"])));
    configured(&world, &upstream, "");
    let agent = |world: &World| {
        let mut command = world.command();
        command.env("SSL_CERT_FILE", &certificate);
        Agent::start(world, command)
    };
    let running = agent(&world);
    scenario(&world, "transcribe");
    expect_transcribed(&world, &upstream);
    drop(running);
    // A server that has HTTP/1.1 alone cannot answer it, and that is said.
    let upstream =
        Upstream::start(&world.id, &world.secret, Some(acceptor(&world, &[b"http/1.1"])));
    configured(&world, &upstream, "");
    let _agent = agent(&world);
    scenario(&world, "unreachable");
    assert_eq!(upstream.seen().len(), 0);
}

/// With a certificate for 127.0.0.1 that nobody signed but itself.
fn acceptor(world: &World, protocols: &[&[u8]]) -> TlsAcceptor {
    let at = |name: &str| world.home.path().join(name);
    let settings = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n[name]\nCN = test\n\
                    [more]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n";
    world.write("openssl.cnf", settings);
    if !at("certificate.pem").exists() {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-config"])
            .arg(at("openssl.cnf"))
            .arg("-keyout")
            .arg(at("key.pem"))
            .arg("-out")
            .arg(at("certificate.pem"))
            .output()
            .expect("openssl comes with ca-certificates");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let open = |path: &Path| BufReader::new(File::open(path).expect("written"));
    let chain = CertificateDer::pem_reader_iter(open(&at("certificate.pem")));
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_reader(open(&at("key.pem"))).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("TLS 1.3");
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).expect("its key");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
