//! Whom this machine trusts: the roots in its store, or in the file that `SSL_CERT_FILE` names.
//!
//! Programs that connect through the proxy have our own authority there, and so has whatever they start: it is left out,
//! whichever it is. Nobody is AWS to us because we say so.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::connect::NAME;

/// The roots, in DER. Some may be none that TLS takes.
pub fn load() -> Vec<CertificateDer<'static>> {
    without_ours(rustls_native_certs::load_native_certs().certs)
}

/// Those that TLS takes. A machine may have none.
pub fn usable() -> Vec<CertificateDer<'static>> {
    load().into_iter().filter(|root| subject(root).is_some()).collect()
}

/// The same, as TLS takes them.
pub(super) fn store() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(load());
    store
}

fn without_ours(mut roots: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    let is_ours = |root: &CertificateDer<'_>| {
        let subject = subject(root).unwrap_or_default();
        subject.windows(NAME.len()).any(|part| part == NAME.as_bytes())
    };
    roots.retain(|root| !is_ours(root));
    roots
}

/// The name in a certificate: DER.
fn subject(root: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let mut store = RootCertStore::empty();
    store.add(root.clone().into_owned()).ok()?;
    store.roots.first().map(|anchor| anchor.subject.to_vec())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;
    use crate::proxy::connect::Kept;

    #[test]
    fn no_authority_of_ours_is_trusted_upstream_whichever_it_is() {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Somebody's Root");
        let other = params.self_signed(&key).expect("signed").der().clone();
        let broken = CertificateDer::from(vec![1, 2, 3]);
        let ours = [1, 2].map(|_| {
            let kept = Kept::make("2026-11-25T12:00:00Z".parse().expect("a time"));
            CertificateDer::from(kept.expect("made").certificate)
        });
        let [first, second] = ours;
        let all = vec![first, other.clone(), second, broken.clone()];
        assert_eq!(without_ours(all), [other, broken]);
    }
}
