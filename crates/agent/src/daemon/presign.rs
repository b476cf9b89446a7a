//! Presigned URLs, for `rotakey presign`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::answers::{Control, answer_json, say};
use super::desk::Desk;
use crate::clock::Clock;
use crate::presigning::{self, Made, NotMade, Wanted};

/// A publish may come in between: then the next key is taken up within moments.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_millis(50);

impl Control {
    /// Signs with what is served, and writes the ledger, where that holds up nobody.
    pub(super) async fn presign(&self, profile: String, body: Bytes) -> Response<Full<Bytes>> {
        let Ok(wanted) = serde_json::from_slice::<Wanted>(&body) else {
            return say(StatusCode::BAD_REQUEST, "Malformed", "the order cannot be read");
        };
        let desk = Arc::clone(&self.0);
        let made = tokio::task::spawn_blocking(move || desk.presigned(&profile, &wanted)).await;
        match made.map(|made| made.map(|made| serde_json::to_value(&made))) {
            Ok(Ok(Ok(made))) => answer_json(&made),
            Ok(Err(why)) => say(StatusCode::CONFLICT, "Presign", &why.to_string()),
            Ok(Ok(Err(_))) | Err(_) => {
                say(StatusCode::INTERNAL_SERVER_ERROR, "Presign", "the URL could not be made")
            }
        }
    }
}

impl Desk {
    fn presigned(&self, name: &str, wanted: &Wanted) -> Result<Made, NotMade> {
        for _ in 0..TRIES {
            let serving = self.serving.load_full();
            let key = serving.key_of.get(name);
            let served = key.and_then(|key| Some((key, key.profile(name)?)));
            if let Some((key, served)) = served
                && let Some(with) = served.profile.process.latest().as_ref().cloned()
            {
                let now = self.clock.now();
                match presigning::make(&key.state, &with, &served.proxied, wanted, &now) {
                    Err(NotMade::Superseded) => {}
                    Err(why) => return Err(why),
                    Ok(made) => {
                        self.holders.record(&key.state, presigning::holder(&made));
                        return Ok(made);
                    }
                }
            }
            std::thread::sleep(AGAIN);
        }
        Err(NotMade::Refused(rotakey_endpoint::proxy::refusal::Refusal::NoKey))
    }
}
