//! One client, and a schedule written by hand.

use crate::LEASE;
use crate::model_clients::{Client, KINDS, Kind, Source};
use crate::play::{Broken, Play};
use crate::rule::{Part, Watch};
use crate::schedule::Event;
use crate::world::World;

/// A client signs when K is gone.
pub const AFTER: &str = "after SAFE(K)";
/// One could have signed so shortly before that the request is still on its way.
pub const BEFORE: &str = "before SAFE(K)";

pub fn kind(source: Source, name: &str) -> Kind {
    *KINDS.iter().find(|kind| kind.source == source && kind.name == name).expect("a row")
}

/// One such client, and what happens before and after the cutover, and once K is safe.
#[derive(Clone, Copy)]
pub struct Story {
    pub kind: Kind,
    pub watch: Watch,
    pub before: &'static [Event],
    pub after: &'static [Event],
    pub gone: &'static [Event],
}

impl Story {
    /// With `assuming`, what happens is cut down to what the rule is good for.
    pub fn play(&self, assuming: bool) -> Result<Play, Broken> {
        self.play_without(None, assuming)
    }

    /// By a rule that lacks a part.
    pub fn play_without(&self, part: Option<Part>, assuming: bool) -> Result<Play, Broken> {
        let mut world = World::new(LEASE, self.watch, 0);
        world.without = part;
        let mut play = Play::new(world, vec![Client::new(self.kind, 0)]);
        play.assuming = assuming;
        self.before.iter().try_for_each(|event| play.event(event))?;
        play.cutover()?;
        self.after.iter().try_for_each(|event| play.event(event))?;
        play.heal()?;
        self.gone.iter().try_for_each(|event| play.event(event))?;
        Ok(play)
    }

    /// It breaks the rule, and would not if it kept to what the rule assumes.
    pub fn is_a_limit(&self, how: &str) {
        let broken = self.play(false).err().expect("outside what the rule covers");
        assert!(broken.contains(how), "{broken}");
        self.play(true).map(drop).expect("what the rule covers");
    }
}
