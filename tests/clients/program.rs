//! All that asks for credentials and makes requests with them: SDKs that live long, and tools.

use super::driver::{Driver, Sdk};
use super::sources::{Place, Source};
use super::tool::{Tool, Worker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Sdk(Sdk),
    Tool(Tool),
}

impl Program {
    /// What `make test` runs.
    pub(crate) const SHORT: [Self; 4] =
        [Self::Sdk(Sdk::Boto3), Self::Sdk(Sdk::Js), Self::Sdk(Sdk::Rust), Self::Tool(Tool::Aws1)];

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let tools = Tool::ALL.into_iter().map(Self::Tool);
        Sdk::ALL.into_iter().map(Self::Sdk).chain(tools)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sdk(Sdk::Boto3) => "boto3",
            Self::Sdk(Sdk::Js) => "AWS SDK for JavaScript v3",
            Self::Sdk(Sdk::Rust) => "AWS SDK for Rust",
            Self::Tool(tool) => tool.name(),
        }
    }

    pub(crate) fn version(self) -> String {
        match self {
            Self::Sdk(sdk) => sdk.version(),
            Self::Tool(tool) => tool.version(),
        }
    }

    pub(crate) const fn sources(self) -> &'static [Source] {
        match self {
            Self::Sdk(_) => &Source::ALL,
            Self::Tool(tool) => tool.sources(),
        }
    }
}

/// A program at work with a source.
pub(crate) struct Client {
    at_work: AtWork,
    n: usize,
}

enum AtWork {
    Sdk { sdk: Sdk, driver: Driver, begins_anew: bool },
    Tool(Worker),
}

impl Client {
    pub(crate) fn start(program: Program, source: Source, place: &Place) -> Self {
        let at_work = match program {
            Program::Sdk(sdk) => AtWork::Sdk {
                sdk,
                driver: Driver::start(sdk, source, place, &[]),
                // botocore makes more than 17 minutes of every shorter lease of IMDS. rotakey gives no shorter one
                // than 30 minutes, except with the short durations of a test: there each request has a session of
                // its own.
                begins_anew: sdk == Sdk::Boto3 && source == Source::Imds,
            },
            Program::Tool(tool) => AtWork::Tool(Worker::new(tool, source, place)),
        };
        Self { at_work, n: 0 }
    }

    /// One request: the key that signed, if the program says it.
    pub(crate) fn request(&mut self) -> Result<Option<String>, String> {
        self.n += 1;
        match &mut self.at_work {
            AtWork::Tool(worker) => worker.request().map(|()| None),
            AtWork::Sdk { sdk, driver, begins_anew } => {
                if *begins_anew {
                    driver.begin_anew();
                }
                let calls = sdk.calls();
                let answer = driver.ask(calls[self.n % calls.len()]);
                match answer.error {
                    None => Ok(answer.access_key_id),
                    Some(error) => Err(format!("{:?}: {error}", answer.access_key_id)),
                }
            }
        }
    }
}
