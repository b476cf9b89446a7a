//! The chains of the SDKs, as read in their sources and, where a test can run them, seen.

use Link::{
    AnyWebIdentity, Container, Imds, Keys, KeysWithoutProfile, Login, Older, Process, Role, Sso,
    Static, StaticAlone, TokenFile, WebIdentity,
};
use Scope::{Both, Config, Credentials, DefaultOfConfig};

/// One provider of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A key in the environment.
    Keys,
    /// The same, unless AWS_PROFILE is set.
    KeysWithoutProfile,
    /// AWS_WEB_IDENTITY_TOKEN_FILE.
    TokenFile,
    /// `role_arn` of the profile.
    Role,
    /// `web_identity_token_file` of the profile.
    WebIdentity,
    /// The two in one: what the environment does not say is looked for in the profile. Without an ARN it fails.
    AnyWebIdentity,
    /// SSO of the profile.
    Sso,
    /// `login_session` of the profile.
    Login,
    /// A key that stands in the profile.
    Static(Scope),
    /// The same; with `credential_process` beside it the profile is of no type that the SDK knows.
    StaticAlone,
    /// `credential_process` of the profile.
    Process(Scope),
    /// The files of boto 2 and of the first EC2 tools.
    Older,
    /// The container endpoint.
    Container,
    /// IMDS.
    Imds,
}

/// In which of the shared files a provider looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Both, as one.
    Both,
    /// The credentials file.
    Credentials,
    /// The config file.
    Config,
    /// `[default]` of the config file, whatever profile is asked for.
    DefaultOfConfig,
}

/// An SDK, or a family of programs with one way of finding credentials.
#[derive(Debug)]
pub struct Sdk {
    /// Its short name, for ids.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What was read.
    pub source: &'static str,
    /// Whose value is the profile: the first one that is set.
    pub profile_variables: &'static [&'static str],
    /// A profile that is asked for and is not there ends the chain.
    pub needs_profile: bool,
    /// The variables for a key and its secret.
    pub key_variables: &'static [(&'static str, &'static str)],
    /// A key without its secret is passed over; for the others it is the end.
    pub takes_halves: bool,
    /// A section or a setting that is there twice makes a file unreadable.
    pub is_strict: bool,
    /// Without this variable the config file is not read.
    pub config_needs: Option<&'static str>,
    /// FULL_URI goes before RELATIVE_URI.
    pub takes_full_first: bool,
    /// The address of IMDS can be set.
    pub asks_other_imds: bool,
    /// Why it may find nothing although all is well, and what to do about it.
    pub limit: Option<&'static str>,
    /// Its providers, in order.
    pub links: &'static [Link],
}

const USUAL: Sdk = Sdk {
    id: "",
    name: "",
    source: "",
    profile_variables: &["AWS_PROFILE"],
    needs_profile: false,
    key_variables: &[("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")],
    takes_halves: true,
    is_strict: false,
    config_needs: None,
    takes_full_first: false,
    asks_other_imds: true,
    limit: None,
    links: &[],
};

const BOTOCORE: Sdk = Sdk {
    id: "boto3",
    name: "boto3",
    source: "botocore 1.44.5, credentials.py create_credential_resolver; run by the tests",
    profile_variables: &["AWS_DEFAULT_PROFILE", "AWS_PROFILE"],
    needs_profile: true,
    takes_halves: false,
    is_strict: true,
    links: &[
        Keys,
        Role,
        AnyWebIdentity,
        Sso,
        Static(Credentials),
        Login,
        Process(Both),
        Static(Config),
        Older,
        Container,
        Imds,
    ],
    ..USUAL
};

const GO: &[Link] =
    &[Keys, TokenFile, Role, Static(Both), WebIdentity, Sso, Process(Both), Container, Imds];

/// All that are known.
pub const ALL: [Sdk; 14] = [
    BOTOCORE,
    Sdk {
        id: "aws-cli-1",
        name: "AWS CLI v1",
        source: "aws-cli 1.46.3, on botocore; run by the tests",
        ..BOTOCORE
    },
    Sdk {
        id: "aws-cli-2",
        name: "AWS CLI v2",
        source: "aws-cli 2.9.19, with a botocore of its own; run by the tests where it is installed",
        profile_variables: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
        ..BOTOCORE
    },
    Sdk {
        id: "js",
        name: "JavaScript v3",
        source: "credential-provider-node 3.972.98, -ini 3.973.31; run by the tests",
        links: &[
            KeysWithoutProfile,
            Role,
            Static(Both),
            WebIdentity,
            Process(Both),
            Sso,
            Login,
            TokenFile,
            Container,
            Imds,
        ],
        ..USUAL
    },
    Sdk {
        id: "rust",
        name: "Rust",
        source: "aws-config 1.13.0, profile/credentials/repr.rs; run by the tests",
        needs_profile: true,
        links: &[
            Keys,
            Role,
            WebIdentity,
            Sso,
            Login,
            Process(Both),
            Static(Both),
            TokenFile,
            Container,
            Imds,
        ],
        ..USUAL
    },
    Sdk {
        id: "go-2",
        name: "Go v2",
        source: "aws-sdk-go-v2 config/resolve_credentials.go",
        profile_variables: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
        needs_profile: true,
        takes_full_first: true,
        links: GO,
        ..USUAL
    },
    Sdk {
        id: "java-2",
        name: "Java v2",
        source: "aws-sdk-java-v2 ProfileCredentialsUtils, DefaultCredentialsProvider",
        links: &[
            Keys,
            TokenFile,
            WebIdentity,
            Sso,
            Role,
            Login,
            Process(Both),
            Static(Both),
            Container,
            Imds,
        ],
        ..USUAL
    },
    Sdk {
        id: "dotnet",
        name: ".NET",
        source: "aws-sdk-net FallbackCredentialsFactory, CredentialProfileTypeDetector",
        links: &[
            TokenFile,
            WebIdentity,
            Role,
            Sso,
            StaticAlone,
            Process(Both),
            Keys,
            Container,
            Imds,
        ],
        ..USUAL
    },
    Sdk {
        id: "cpp",
        name: "C++",
        source: "aws-sdk-cpp AWSCredentialsProviderChain.cpp",
        profile_variables: &["AWS_DEFAULT_PROFILE", "AWS_PROFILE"],
        links: &[Keys, Static(Both), Process(Both), TokenFile, Sso, Container, Imds],
        ..USUAL
    },
    Sdk {
        id: "ruby",
        name: "Ruby",
        source: "aws-sdk-ruby credential_provider_chain.rb",
        key_variables: &[
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AMAZON_ACCESS_KEY_ID", "AMAZON_SECRET_ACCESS_KEY"),
            ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
        ],
        profile_variables: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
        links: &[
            Keys,
            TokenFile,
            WebIdentity,
            Sso,
            Role,
            Static(Both),
            Process(Both),
            Container,
            Imds,
        ],
        ..USUAL
    },
    Sdk {
        id: "php",
        name: "PHP",
        source: "aws-sdk-php CredentialProvider::defaultProvider",
        limit: Some(
            "it looks for credential_process in the credentials file, and in the config file under [profile default] alone",
        ),
        links: &[
            Keys,
            TokenFile,
            WebIdentity,
            Process(Credentials),
            Role,
            Static(Credentials),
            Process(DefaultOfConfig),
            Static(DefaultOfConfig),
            Container,
            Imds,
        ],
        ..USUAL
    },
    Sdk {
        id: "go-1",
        name: "Go v1",
        source: "aws-sdk-go session/credentials.go",
        config_needs: Some("AWS_SDK_LOAD_CONFIG"),
        takes_full_first: true,
        limit: Some("it reads the config file only with AWS_SDK_LOAD_CONFIG=1"),
        links: GO,
        ..USUAL
    },
    Sdk {
        id: "js-2",
        name: "JavaScript v2",
        source: "aws-sdk-js lib/node_loader.js",
        key_variables: &[
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AMAZON_ACCESS_KEY_ID", "AMAZON_SECRET_ACCESS_KEY"),
        ],
        config_needs: Some("AWS_SDK_LOAD_CONFIG"),
        limit: Some("it reads the config file only with AWS_SDK_LOAD_CONFIG=1"),
        links: &[Keys, Sso, Role, Static(Both), Container, Process(Both), TokenFile, Imds],
        ..USUAL
    },
    Sdk {
        id: "boto-2",
        name: "boto 2",
        source: "its documentation",
        limit: Some("it knows no credential_process; `rotakey exec` does not help it either"),
        config_needs: Some("ROTAKEY_NEVER"),
        asks_other_imds: false,
        links: &[Keys, Static(Credentials), Imds],
        ..USUAL
    },
];
