use rotakey_core::credential::{SecretAccessKey, SessionToken};

use super::*;

fn example() -> Credentials {
    let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
    Credentials::long_term("AKIAIOSFODNN7EXAMPLE".parse().expect("an id"), secret)
}

fn asked<'a>(path: &'a str, query: &'a str) -> Presign<'a> {
    Presign {
        method: "GET",
        path,
        query,
        region: "us-east-1",
        content_type: None,
        at: "2013-05-24T00:00:00Z".parse().expect("a time"),
        expires_seconds: 86_400,
    }
}

/// The example of the page named above, at the host that it has.
#[test]
fn the_published_example_comes_out() {
    let endpoint = Endpoint::parse("https://examplebucket.s3.amazonaws.com").expect("a URL");
    let url = presign(&asked("/test.txt", ""), Some(&endpoint), &[], &Hosts::default(), &example());
    assert_eq!(
        url.expect("a URL"),
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
}

#[test]
fn the_place_is_the_buckets_host_or_the_servers_path() {
    let origin = |path: &str, endpoint: Option<&str>| {
        let endpoint = endpoint.map(|url| Endpoint::parse(url).expect("a URL"));
        let url = presign(&asked(path, ""), endpoint.as_ref(), &[], &Hosts::default(), &example());
        let url = url.expect("a URL");
        url.split_once('?').expect("a query").0.to_owned()
    };
    assert_eq!(origin("/bkt/a b", None), "https://bkt.s3.us-east-1.amazonaws.com/a%20b");
    assert_eq!(origin("/b.kt/a", None), "https://s3.us-east-1.amazonaws.com/b.kt/a");
    assert_eq!(origin("/Bkt/a", None), "https://s3.us-east-1.amazonaws.com/Bkt/a");
    let own = Some("http://127.0.0.1:5000/aws/");
    assert_eq!(origin("/bkt/a//../%C3%BC", own), "http://127.0.0.1:5000/aws/bkt/a//../%C3%BC");
    let elsewhere = Presign { region: "mars-1", ..asked("/bkt/a", "") };
    assert_eq!(
        presign(&elsewhere, None, &[], &Hosts::default(), &example()),
        Err(Refusal::RegionUnknown)
    );
}

#[test]
fn a_host_that_was_added_goes_before_awss_and_is_asked_by_path() {
    let mut hosts = Hosts::default();
    hosts.add("s3", "s3.{region}.example.com").expect("a host");
    let url = |asked: &Presign<'_>| {
        let url = presign(asked, None, &[], &hosts, &example())?;
        Ok(url.split_once('?').expect("a query").0.to_owned())
    };
    let out = "https://s3.us-east-1.example.com/bkt/k".to_owned();
    assert_eq!(url(&asked("/bkt/k", "")), Ok(out));
    let elsewhere = Presign { region: "mars-1", ..asked("/bkt/k", "") };
    assert_eq!(url(&elsewhere), Err(Refusal::RegionUnknown));
    hosts = Hosts::default();
    hosts.add("sqs", "sqs.example.com").expect("a host");
    let url = presign(&asked("/bkt/k", ""), None, &[], &hosts, &example()).expect("a URL");
    assert!(url.starts_with("https://bkt.s3.us-east-1.amazonaws.com/k?"), "{url}");
}

#[test]
fn a_path_goes_on_behind_the_host_and_begins_with_a_bucket() {
    let url = |path, endpoint: Option<&Endpoint>| {
        let url = presign(&asked(path, ""), endpoint, &[], &Hosts::default(), &example())?;
        Ok(url.split_once('?').expect("a query").0.to_owned())
    };
    let own = Endpoint::parse("http://127.0.0.1:5000").expect("a URL");
    for path in ["", "bkt", "bkt/k", "%2", ".evil.test/k"] {
        assert_eq!(url(path, None), Err(Refusal::NoBucket), "{path}");
        assert_eq!(url(path, Some(&own)), Err(Refusal::NoBucket), "{path}");
    }
    for path in ["/", "//", "//bkt/k", "///bkt/k", "/%2Fbkt/k"] {
        assert_eq!(url(path, None), Err(Refusal::NoBucket), "{path}");
    }
    for (path, out) in [
        ("/bkt", "https://bkt.s3.us-east-1.amazonaws.com/"),
        ("/bkt/", "https://bkt.s3.us-east-1.amazonaws.com/"),
        ("/bkt//k", "https://bkt.s3.us-east-1.amazonaws.com//k"),
        ("/bkt%2Fk", "https://bkt.s3.us-east-1.amazonaws.com/k"),
    ] {
        assert_eq!(url(path, None), Ok(out.to_owned()), "{path}");
    }
    assert_eq!(url("//k", Some(&own)), Ok("http://127.0.0.1:5000//k".to_owned()));
}

#[test]
fn a_token_and_what_else_is_asked_for_are_signed_and_an_old_signature_is_not_kept() {
    let token = SessionToken::new("to/k+n==".to_owned());
    let with = Credentials { session_token: Some(token), ..example() };
    let query = "response-content-type=a/b&X-Amz-Signature=00&X-Amz-Security-Token=local";
    let asked = Presign { content_type: Some("text/plain"), ..asked("/bkt/k", query) };
    let url = presign(&asked, None, &[], &Hosts::default(), &with).expect("a URL");
    assert!(url.contains("&X-Amz-Security-Token=to%2Fk%2Bn%3D%3D&"), "{url}");
    assert!(url.contains("&X-Amz-SignedHeaders=content-type%3Bhost&"), "{url}");
    assert!(url.contains("response-content-type=a%2Fb"), "{url}");
    assert_eq!(url.matches("X-Amz-Signature=").count(), 1, "{url}");
    assert!(!url.contains("local"), "{url}");
}
