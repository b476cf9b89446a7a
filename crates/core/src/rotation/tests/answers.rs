//! How the world answers a command.

use std::time::Duration;

use super::world::{IamKey, LAG, SERVER_AHEAD, World, id, old, refusal, seconds, signer, whole};
use crate::credential::{AccessKeyId, Credentials, KeyStatus, SecretAccessKey};
use crate::error::Failure;
use crate::iam::{KeyList, LastUsed, ListedKey, NewKey, RefusalClass, Vantage};
use crate::rotation::{Command, Event, Fetched, Served};
use crate::time::{earlier, later};

impl World {
    /// Lets time pass; the sources go on serving.
    fn pass(&mut self, duration: Duration) {
        self.serve();
        self.now.wall = later(self.now.wall, duration);
        self.now.monotonic.since_boot += duration;
        self.serve();
    }

    fn serve(&mut self) {
        let (generation, lease) = (self.ledger.generation, self.policy.lease);
        self.ledger.extend(generation, &self.now, lease, seconds(60)).expect("the generation");
        for (id, horizon) in &self.ledger.horizons {
            let until = horizon.served_until.map(|until| until.min(self.now.wall));
            if let Some(key) = self.iam.get_mut(id)
                && key.status == KeyStatus::Active
            {
                key.last_used = key.last_used.max(until);
            }
        }
    }

    /// Whether the data plane knows the key.
    fn accepts(&mut self, command: &Command) -> Option<Event> {
        let signer = signer(command)?;
        if !self.store.contains(signer) {
            return Some(Event::Fault(Failure::Keystore(format!("{signer} is not held"))));
        }
        let vantage = match command {
            Command::Identify { region, .. } => Some(Vantage::Sts(region.clone())),
            Command::List { .. } => Some(Vantage::Iam),
            _ => None,
        };
        let deaf = self.deaf.as_ref().is_some_and(|(place, until)| {
            Some(place) == vantage.as_ref() && self.now.wall < *until && *signer != old()
        });
        let wall = self.now.wall;
        let known = self.iam.get_mut(signer).filter(|key| {
            // A young status is not known yet.
            let lagging = key.changed > earlier(wall, LAG);
            (key.status == KeyStatus::Active) != lagging && !deaf
        });
        match known {
            Some(key) => {
                key.last_used = Some(wall);
                None
            }
            None => Some(Event::Refused(refusal(RefusalClass::KeyUnknown))),
        }
    }

    pub(super) fn execute(&mut self, command: &Command) -> Event {
        self.pass(Duration::from_millis(10));
        if let Some(no) = self.accepts(command) {
            return no;
        }
        if let Some(class) = self.denied.get(command.action()) {
            return Event::Refused(refusal(*class));
        }
        let server = later(self.now.wall, SERVER_AHEAD);
        let absent = || Event::Refused(refusal(RefusalClass::NoSuchEntity));
        match command {
            Command::Append(entry) => {
                let mut status = self.status();
                status.apply(entry).expect("a legal record");
                self.journal.push(entry.clone());
                Event::Appended
            }
            Command::ProbeKeystore | Command::Untag { .. } => Event::Ready,
            Command::Identify { .. } => Event::Identified(self.caller.clone()),
            Command::List { .. } => {
                self.listed = self.iam.iter().map(|(id, key)| (id.clone(), key.status)).collect();
                let line = |(id, key): (&AccessKeyId, &IamKey)| ListedKey {
                    access_key_id: id.clone(),
                    status: key.status,
                    created: key.created,
                };
                let keys = self.iam.iter().map(line).collect();
                Event::Listed(KeyList { keys, server_time: whole(server) })
            }
            Command::Create { .. } => {
                self.creates_for.insert(self.journal.len());
                if self.iam.len() >= 2 {
                    return Event::Refused(refusal(RefusalClass::Quota));
                }
                self.made += 1;
                let access_key_id = id(&format!("AKIANEW{}", self.made));
                let (status, changed) = (KeyStatus::Active, self.now.wall);
                let created = whole(server);
                let key = IamKey { status, created, changed, last_used: None, foreign: false };
                self.iam.insert(access_key_id.clone(), key);
                let secret_access_key = SecretAccessKey::new("secret".to_owned());
                let credentials = Credentials::long_term(access_key_id, secret_access_key);
                Event::Created(NewKey { credentials, created })
            }
            Command::Store(_) if self.store_full.is_some_and(|until| self.now.wall < until) => {
                Event::Fault(Failure::Keystore("full".to_owned()))
            }
            Command::Store(credentials) => {
                self.store.insert(credentials.access_key_id.clone());
                Event::Ready
            }
            Command::Holds(id) => Event::Holds(self.store.contains(id)),
            Command::Forget(id) => {
                self.store.remove(id);
                self.ledger.forget(id);
                Event::Ready
            }
            Command::Update { id, status, .. } => match self.iam.get_mut(id) {
                None => absent(),
                Some(key) => {
                    if key.status != *status {
                        key.changed = self.now.wall;
                    }
                    key.status = *status;
                    Event::Ready
                }
            },
            Command::Delete { id, .. } => self.iam.remove(id).map_or_else(absent, |_| Event::Ready),
            Command::LastUsed { id, .. } => self.iam.get(id).map_or_else(absent, |key| {
                let (service, region) = ("s3".to_owned(), "eu-west-1".to_owned());
                Event::LastUsed(key.last_used.map(|at| LastUsed { at, service, region }))
            }),
            Command::Simulate { .. } if self.simulates => {
                Event::Denied(self.denied.keys().map(|action| (*action).to_owned()).collect())
            }
            Command::Simulate { .. } => Event::Refused(refusal(RefusalClass::Permission)),
            Command::ListTags { .. } => Event::Tags(self.tags.clone()),
            Command::Tag { describes, .. } => {
                let name = describes.as_ref().map_or("rotakey:here", AccessKeyId::as_str);
                self.tags.push((name.to_owned(), String::new()));
                Event::Ready
            }
            Command::Publish { id, generation } => {
                self.ledger.publish(id.clone(), *generation, &self.now, self.policy.lease);
                self.served.insert(id.clone());
                Event::Ready
            }
            Command::Fetch => {
                let frozen =
                    self.sources_frozen.as_ref().filter(|(_, until)| self.now.wall < *until);
                let key =
                    frozen.map_or_else(|| self.ledger.access_key_id.clone(), |(id, _)| id.clone());
                let served = Ok(Served { key, identity: self.caller.clone(), role_arn: None });
                Event::Fetched(vec![Fetched { source: "imds".to_owned(), served }])
            }
            Command::ReadHorizon(id) => Event::Horizon {
                horizon: self.ledger.horizons.get(id).cloned(),
                healthy_since: self.healthy_since,
                fell_over: self.fell_over,
            },
            Command::Wait { until, .. } => {
                let ms = until.as_millisecond() - self.now.wall.as_millisecond();
                self.pass(Duration::from_millis(
                    u64::try_from(ms.max(0)).expect("not negative") + 1,
                ));
                Event::Woke
            }
            Command::End(_) => Event::Woke,
        }
    }
}
