//! What programs find that connect through the proxy: whose they are, and the authority that makes their certificates.

use std::sync::Arc;

use jiff::tz::TimeZone;
use rotakey_core::time::Now;
use rotakey_endpoint::proxy::connect::{Authority, Connecting};

use super::authority::Authorities;
use super::proxying::Proxied;
use crate::app::App;
use crate::config::Sources;
use crate::failure::{Exit, Failed};

/// As the configuration of `names` says; `None` if no profile wants it. An authority that is in use already goes on.
pub fn of(
    app: &App,
    names: &[String],
    sources: Sources,
    before: Option<&Connecting>,
    now: &Now,
) -> Result<Option<Arc<Connecting>>, Failed> {
    let mut settings = Vec::new();
    for name in names {
        settings.push((name, app.config.settings(name, &app.env)?));
    }
    settings.retain(|(_, settings)| settings.proxy_connect);
    if settings.is_empty() || !sources.proxy {
        return Ok(None);
    }
    let services = settings.iter().flat_map(|(_, settings)| settings.services.clone());
    let services = services.flatten().collect();
    let mut endpoints = settings.iter().map(|(_, settings)| Proxied::of(settings, None).anywhere());
    let first = endpoints.next().flatten();
    Ok(Some(Arc::new(Connecting {
        authority: authority(app, before, now)?,
        profiles: settings.iter().map(|(name, _)| (*name).clone()).collect(),
        services,
        endpoint: first.filter(|first| endpoints.all(|next| next.as_ref() == Some(first))),
        tunnels_others: app.config.agent.tunnels_others,
    })))
}

/// The authority of today.
fn authority(app: &App, before: Option<&Connecting>, now: &Now) -> Result<Arc<Authority>, Failed> {
    let cannot = |why: String| {
        Failed::new(Exit::Failed, why)
            .hint("remove ca-key from the state folder: a new one is made")
    };
    let all = Authorities::load_or_make(&app.paths.state, now.wall)?;
    let today = now.wall.to_zoned(TimeZone::UTC).date();
    let kept = all.signer(today).ok_or_else(|| cannot("there is no authority".to_owned()))?;
    if let Some(before) = before.filter(|b| b.authority.certificate() == kept.certificate) {
        return Ok(Arc::clone(&before.authority));
    }
    let loaded = Authority::load(kept).map(Arc::new);
    loaded.map_err(|error| cannot(format!("the certificate authority is unusable: {error}")))
}
