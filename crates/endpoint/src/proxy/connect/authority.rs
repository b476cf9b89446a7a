//! The certificate authority of this installation, which programs of the proxy are told to trust.
//!
//! Whoever has its key can pose as AWS to these programs, and as nobody else: its certificate holds for AWS's names and for
//! this machine alone (name constraints, RFC 5280 section 4.2.1.10). Where it is kept is for others to know.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use data_encoding::BASE64;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::host::SUFFIXES;
use super::leaf::{Leaf, Leaves};

/// What the name of every authority begins with, on any machine: by this they are told from others.
pub(in crate::proxy) const NAME: &str = "rotakey of this machine";

/// The life of an authority. What was started with it goes on until its end.
const LIFE_DAYS: i32 = 365;

/// The life of a host's certificate. It is made anew when half of it is over.
const LEAF_DAYS: i32 = 4;

/// What an authority is made of, to be kept. The certificate is public, the key is not.
#[derive(Clone)]
pub struct Kept {
    /// The name in its certificate.
    pub name: String,
    /// The first day on which it holds (UTC).
    pub from: Date,
    /// The first day on which it does not any more.
    pub until: Date,
    /// The certificate: DER.
    pub certificate: Vec<u8>,
    /// The key: PKCS #8, DER.
    pub key: Zeroizing<Vec<u8>>,
}

/// Without the key.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {}", self.name, self.until)
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CannotCertify {
    /// The key or the certificate.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS does not take it.
    #[error("cannot use a certificate")]
    Tls(#[from] rustls::Error),
    /// No randomness, or no such day.
    #[error("cannot make a certificate: {0}")]
    Other(String),
}

/// Makes certificates for hosts of AWS's, and for this machine.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    certificate: Vec<u8>,
    name: String,
    from: Date,
    until: Date,
    leaves: Leaves,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {}", self.name, self.until)
    }
}

impl Kept {
    /// A new authority, from today on.
    pub fn make(now: Timestamp) -> Result<Self, CannotCertify> {
        let mut random = [0u8; 4];
        getrandom::fill(&mut random).map_err(|error| CannotCertify::Other(error.to_string()))?;
        let name = format!("{NAME} {}", hex::encode(random));
        // A day earlier: clocks differ, and machines that were suspended go back.
        let (from, until) = (day(now, -1)?, day(now, LIFE_DAYS)?);
        let key = Key(Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?));
        let certificate = params_of_authority(&name, from, until)?.self_signed(&key)?;
        Ok(Self {
            name,
            from,
            until,
            certificate: certificate.der().to_vec(),
            key: Zeroizing::new(key.0.serialize_der()),
        })
    }

    /// The certificate as programs read it.
    pub fn pem(&self) -> String {
        pem(&self.certificate)
    }
}

/// A certificate as text (RFC 7468).
pub fn pem(certificate: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in BASE64.encode(certificate).as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

impl Authority {
    /// One that was kept.
    pub fn load(kept: &Kept) -> Result<Self, CannotCertify> {
        let der = PrivatePkcs8KeyDer::from(kept.key.as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?;
        let params = params_of_authority(&kept.name, kept.from, kept.until)?;
        Ok(Self {
            issuer: Issuer::new(params, Key(Zeroizing::new(key))),
            certificate: kept.certificate.clone(),
            name: kept.name.clone(),
            from: kept.from,
            until: kept.until,
            leaves: Leaves::new()?,
        })
    }

    /// Its certificate, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its name, which no other has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first day on which it does not hold any more.
    pub fn until(&self) -> Date {
        self.until
    }

    /// What TLS takes as the server of a host, or of this machine if none is named. Made once, and kept for a while.
    pub(in crate::proxy) fn server(
        &self,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<ServerConfig>, CannotCertify> {
        let today = day(now, 0)?;
        self.leaves.find_or_make(host, today, || self.leaf(host, now))
    }

    fn leaf(&self, host: Option<&str>, now: Timestamp) -> Result<Leaf, CannotCertify> {
        let own = || vec!["127.0.0.1".to_owned(), "localhost".to_owned(), "::1".to_owned()];
        let names = host.map_or_else(own, |host| vec![host.to_owned()]);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("rotakey");
        let (from, until) = (day(now, -1)?.max(self.from), day(now, LEAF_DAYS)?.min(self.until));
        hold(&mut params, from, until);
        params.serial_number = Some(serial()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(self.leaves.key(), &self.issuer)?;
        let chain = vec![certificate.der().clone(), CertificateDer::from(self.certificate.clone())];
        self.leaves.leaf(chain, day(now, LEAF_DAYS / 2)?.min(self.until))
    }
}

fn params_of_authority(
    name: &str,
    from: Date,
    until: Date,
) -> Result<CertificateParams, CannotCertify> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    hold(&mut params, from, until);
    params.serial_number = Some(serial()?);
    // It signs no other authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let names = SUFFIXES.into_iter().chain(["localhost"]);
    let names = names.map(|name| GeneralSubtree::DnsName(name.to_owned()));
    // What is not said of a kind of names does not hold for it: without these it could be any address's.
    let v4 = CidrSubnet::from_v4_prefix(Ipv4Addr::LOCALHOST.octets(), 32);
    let v6 = CidrSubnet::from_v6_prefix(Ipv6Addr::LOCALHOST.octets(), 128);
    let addresses = [v4, v6].map(GeneralSubtree::IpAddress);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.chain(addresses).collect(),
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// 16 random bytes, and positive.
fn serial() -> Result<SerialNumber, CannotCertify> {
    let mut bytes = vec![0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| CannotCertify::Other(error.to_string()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from(bytes))
}

/// The day of a time (UTC), and so many days later.
fn day(now: Timestamp, later: i32) -> Result<Date, CannotCertify> {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.checked_add(later.days()).map_err(|error| CannotCertify::Other(error.to_string()))
}

/// From the beginning of a day to that of another.
fn hold(params: &mut CertificateParams, from: Date, until: Date) {
    let midnight = |day: Date| {
        let (month, day_of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
        date_time_ymd(day.year().into(), month, day_of_month)
    };
    (params.not_before, params.not_after) = (midnight(from), midnight(until));
}

/// A key that is wiped when it is dropped, as far as that goes: ring keeps a copy, which is not.
pub(super) struct Key(pub(super) Zeroizing<KeyPair>);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_makes_the_same_authority_and_shows_no_key() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let kept = Kept::make(now).expect("it is made");
        assert_eq!(
            (kept.from.to_string(), kept.until.to_string()),
            ("2026-11-24".into(), "2027-11-25".into())
        );
        let authority = Authority::load(&kept).expect("it is one");
        assert_eq!(authority.certificate(), kept.certificate);
        let shown = format!("{kept:?} {authority:?}");
        assert_eq!(shown.matches("until 2027-11-25").count(), 2, "{shown}");
        assert!(shown.len() < 120, "{shown}");
        assert!(kept.pem().lines().all(|line| line.len() <= 64));
        // Another one has another name, so that whoever knows both can tell them apart.
        assert_ne!(Kept::make(now).expect("it is made").name, kept.name);
    }

    #[test]
    fn a_certificate_is_made_once_and_anew_in_good_time() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
        let now = at("2026-11-25T12:00:00Z");
        let authority = Authority::load(&Kept::make(now).expect("made")).expect("one");
        let host = Some("sts.amazonaws.com");
        let first = authority.server(host, now).expect("made");
        let same = |at| Arc::ptr_eq(&first, &authority.server(host, at).expect("made"));
        assert!(same(now) && same(at("2026-11-26T23:59:59Z")));
        assert!(!same(at("2026-11-27T00:00:00Z")));
        assert!(authority.server(None, now).is_ok());
        // Names that are none of a host's are no certificate's.
        assert!(authority.server(Some("s3.amazonaws.com\u{e9}"), now).is_err());
    }
}
