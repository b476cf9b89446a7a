//! `[agent]`: where the agent listens, and what for.

use std::net::{Ipv4Addr, SocketAddr};

use super::ConfigError;
use super::reader::Reader;

/// The settings of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// Where container and IMDS requests come in, always of this machine. Port 0 stands for a free one.
    pub listen: SocketAddr,
    /// The address is the default one, which nobody asked for.
    pub listen_is_default: bool,
    /// Where the re-signing proxy listens, if it is among the sources.
    pub proxy_listen: SocketAddr,
    /// Whether connections to hosts that are not AWS's are passed on by the proxy.
    pub tunnels_others: bool,
    /// What is asked for. `process` always is.
    pub sources: Sources,
    /// Whether `GET /metrics` on the Unix socket answers.
    pub metrics: bool,
    /// A command that is run with each event on its standard input.
    pub on_event: Option<String>,
    /// Whether events are shown on the desktop.
    pub desktop: bool,
    /// The form of the log.
    pub log: LogFormat,
}

/// The form of the agent's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For the journal if that reads it, else as text.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// Lines that begin with their level, as journald takes it: `<4>`.
    Journald,
}

impl LogFormat {
    /// The form of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            "journald" => Some(Self::Journald),
            _ => None,
        }
    }
}

/// The sources that need the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The container endpoint.
    pub container: bool,
    /// IMDS, for the profile that has `imds = true`.
    pub imds: bool,
    /// The re-signing proxy.
    pub proxy: bool,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            listen: own_port(21_000, rustix::process::getuid().as_raw()),
            listen_is_default: true,
            proxy_listen: own_port(25_000, rustix::process::getuid().as_raw()),
            tunnels_others: false,
            sources: Sources { container: true, imds: true, proxy: false },
            metrics: true,
            on_event: None,
            desktop: true,
            log: LogFormat::Auto,
        }
    }
}

/// Each user of a machine has a port of his own, as long as their ids are not 4000 apart.
fn own_port(first: u16, uid: u32) -> SocketAddr {
    let port = u16::try_from(u32::from(first) + uid % 4000).unwrap_or(first);
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(super) fn agent(table: &toml::Table) -> Result<AgentSettings, ConfigError> {
    let read = Reader { at: "[agent]".to_owned(), table };
    let default = AgentSettings::default();
    let wanted = "an address of this machine alone, such as \"127.0.0.1:21000\" or \"[::1]:0\"";
    let address = |value: &toml::Value| {
        value.as_str()?.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback())
    };
    let listen = read.get("listen", wanted, address)?;
    let proxy_listen = read.get("proxy_listen", wanted, address)?;
    let sources = match read.list("sources")? {
        // Who says where the proxy is to listen wants it.
        None => Sources { proxy: proxy_listen.is_some(), ..default.sources },
        Some(names) => sources(&read, &names)?,
    };
    let others = read.get("proxy_other_hosts", "\"refuse\" or \"tunnel\"", |value| {
        let text = value.as_str()?;
        matches!(text, "refuse" | "tunnel").then_some(text == "tunnel")
    })?;
    let on_event = read.text("on_event")?.map(str::to_owned);
    let forms = "\"auto\", \"text\", \"json\" or \"journald\"";
    let log = read.get("log", forms, |value| value.as_str().and_then(LogFormat::of))?;
    Ok(AgentSettings {
        metrics: read.flag("metrics")?.unwrap_or(default.metrics),
        // Whoever has news sent elsewhere does not want them twice, unless he says so.
        desktop: read.flag("desktop")?.unwrap_or(on_event.is_none()),
        on_event,
        log: log.unwrap_or_default(),
        listen: listen.unwrap_or(default.listen),
        listen_is_default: listen.is_none(),
        proxy_listen: proxy_listen.unwrap_or(default.proxy_listen),
        tunnels_others: others.unwrap_or(default.tunnels_others),
        sources,
    })
}

fn sources(read: &Reader<'_>, names: &[String]) -> Result<Sources, ConfigError> {
    let mut sources = Sources { container: false, imds: false, proxy: false };
    for name in names {
        match name.as_str() {
            "process" => {}
            "container" => sources.container = true,
            "imds" => sources.imds = true,
            "proxy" => sources.proxy = true,
            other => {
                return Err(ConfigError::new(
                    format!("{}: sources names {other:?}", read.at),
                    "sources are process, container, imds and proxy",
                ));
            }
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AgentSettings, ConfigError> {
        agent(&text.parse().expect("a table"))
    }

    #[test]
    fn each_user_has_a_port_of_his_own() {
        assert_eq!(own_port(21_000, 1000).to_string(), "127.0.0.1:22000");
        assert_eq!(own_port(25_000, 4_294_967_294).to_string(), "127.0.0.1:28294");
        let settings = read("").expect("nothing to refuse");
        assert!(settings.listen_is_default && settings.sources.container && settings.sources.imds);
    }

    #[test]
    fn only_this_machine_is_listened_to() {
        let settings =
            read("listen = \"[::1]:0\"\nsources = [\"process\", \"imds\"]").expect("fine");
        assert_eq!(
            (settings.listen.to_string().as_str(), settings.listen_is_default),
            ("[::1]:0", false)
        );
        assert_eq!(settings.sources, Sources { container: false, imds: true, proxy: false });
        for bad in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80", "localhost:80", "127.0.0.1", ":80"] {
            let error = read(&format!("listen = {bad:?}")).expect_err(bad);
            assert!(
                error.message.contains("listen") && error.hint.contains("127.0.0.1"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn news_go_to_the_desktop_or_to_a_command_or_to_both() {
        let desktop = |text: &str| read(text).expect("fine").desktop;
        assert!(desktop("") && desktop("on_event = \"mail\"\ndesktop = true"));
        assert!(!desktop("on_event = \"mail\"") && !desktop("desktop = false"));
        assert_eq!(read("log = \"json\"").expect("fine").log, LogFormat::Json);
        assert!(read("log = \"xml\"").expect_err("unknown").hint.contains("journald"));
        assert!(read("on_event = \"\"").is_err());
        assert!(read("").expect("fine").metrics && !read("metrics = false").expect("fine").metrics);
    }

    #[test]
    fn a_source_that_there_is_not_is_named() {
        let error = read("sources = [\"contaner\"]").expect_err("unknown");
        assert!(
            error.message.contains("contaner") && error.hint.contains("container"),
            "{error:?}"
        );
        assert!(read("sources = []").is_err());
    }

    #[test]
    fn the_proxy_is_on_for_who_asks_for_it() {
        let on = |text: &str| read(text).expect("fine").sources.proxy;
        assert!(!on("") && !on("sources = [\"process\"]\nproxy_listen = \"127.0.0.1:0\""));
        assert!(on("sources = [\"proxy\"]") && on("proxy_listen = \"127.0.0.1:0\""));
        assert!(read("proxy_listen = \"0.0.0.0:25000\"").is_err());
        let tunnels = |text: &str| read(text).map(|settings| settings.tunnels_others);
        assert_eq!(tunnels("").ok(), Some(false));
        assert_eq!(tunnels("proxy_other_hosts = \"tunnel\"").ok(), Some(true));
        assert!(tunnels("proxy_other_hosts = \"any\"").expect_err("odd").hint.contains("refuse"));
    }
}
