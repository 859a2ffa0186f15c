//! Clients: which credentials they use.

use sha2::{Digest as _, Sha256};

use crate::service::Digest;
use crate::world::{Event, World};

/// What every credential begins with.
pub const SECRET: &str = "S3CR3T";

/// Keys that nobody uses have credentials from this one on.
pub const UNUSED: u64 = 500_000;

/// Made-up keys have credentials after this one.
pub const MADE_UP: u64 = 1_000_000;

impl World {
    /// The text of a credential, and its digest. All begin with the word that must not be seen anywhere.
    pub fn credential(&self, number: u64) -> (String, Digest) {
        let text = format!("{SECRET}-{number}");
        let digest: Digest = Sha256::digest(text.as_bytes()).into();
        self.digests.borrow_mut().insert(digest, number);
        (text, digest)
    }

    /// A credential as clients choose it.
    pub fn popular(&self) -> u64 {
        self.random.borrow_mut().weighted(&self.popularity)
    }

    /// A credential that nobody has used before, or that somebody has made up before.
    pub fn made_up(&self) -> u64 {
        if self.chance(0.3) {
            return self.between(MADE_UP, self.last_made_up.get());
        }
        self.last_made_up.set(self.last_made_up.get() + 1);
        self.last_made_up.get()
    }

    /// A client sends a request to a worker, and will send another.
    pub fn client(&self, thread: usize) {
        let delay = self.around(self.scenario.request_every);
        self.add(delay, Event::Client(thread));
        let Some(vm) = self.serving(thread) else {
            return;
        };
        let credential = if self.chance(self.scenario.made_up) {
            self.made_up()
        } else {
            self.popular()
        };
        self.add(0, Event::Request(vm, credential));
    }

    /// Everybody asks about every credential, one after the other.
    pub fn examine(&self, credential: u64) {
        if credential + 1 < self.scenario.credentials {
            self.add(10, Event::Examine(credential + 1));
        }
        for thread in 1..=self.scenario.workers {
            if let Some(vm) = self.serving(thread) {
                self.add(0, Event::Request(vm, credential));
            }
        }
    }
}
