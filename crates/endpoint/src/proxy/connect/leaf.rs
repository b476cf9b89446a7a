//! Certificates of hosts, ready for use: made when a host is asked for first, and kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use zeroize::Zeroizing;

use super::authority::{CannotCertify, Key};

/// Each bucket is a host. A certificate takes about 2 KiB here.
const HOSTS_MAX: usize = 1024;

/// Most servers of AWS know only the first. Programs that need HTTP/2 offer nothing else.
const PROTOCOLS: [&[u8]; 3] = [b"http/1.1", b"h2", b"http/1.0"];

/// One host's.
pub(super) struct Leaf {
    config: Arc<ServerConfig>,
    /// The day on which another one is made.
    renewed: Date,
}

/// Those that were made.
pub(super) struct Leaves {
    /// All of them have the same key, which lives as long as this process.
    key: Key,
    signing: Arc<dyn SigningKey>,
    made: Mutex<HashMap<Option<String>, Leaf>>,
}

impl Leaves {
    pub(super) fn new() -> Result<Self, CannotCertify> {
        let key = Key(Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?));
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.0.serialized_der()));
        let signing = ring::sign::any_ecdsa_type(&der)?;
        Ok(Self { key, signing, made: Mutex::default() })
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// What a certificate is used with.
    pub(super) fn leaf(
        &self,
        chain: Vec<CertificateDer<'static>>,
        renewed: Date,
    ) -> Result<Leaf, CannotCertify> {
        let certified = CertifiedKey::new(chain, Arc::clone(&self.signing));
        certified.keys_match()?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // A handshake costs a fraction of a millisecond; what is kept for each host would cost more.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Leaf { config: Arc::new(config), renewed })
    }

    pub(super) fn find_or_make(
        &self,
        host: Option<&str>,
        today: Date,
        make: impl FnOnce() -> Result<Leaf, CannotCertify>,
    ) -> Result<Arc<ServerConfig>, CannotCertify> {
        let host = host.map(str::to_owned);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = made.get(&host).filter(|leaf| today < leaf.renewed) {
            return Ok(Arc::clone(&leaf.config));
        }
        let leaf = make()?;
        let config = Arc::clone(&leaf.config);
        if made.len() >= HOSTS_MAX {
            made.retain(|_, leaf| today < leaf.renewed);
        }
        if made.len() >= HOSTS_MAX {
            made.clear();
        }
        made.insert(host, leaf);
        Ok(config)
    }
}
