//! What a directory says of a user, and what becomes of the user by it.

use super::patch::Patch;
use super::user::{User, UserStatus, login_key};

/// What a directory says of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What it signs in with.
    pub login: Patch<String>,
    /// Its id in the directory.
    pub external_id: Patch<Option<String>>,
    /// Its name in full.
    pub display_name: Patch<Option<String>>,
    /// Its e-mail address.
    pub contact: Patch<Option<String>>,
    /// Whether it is there, or has left.
    pub active: Patch<bool>,
}

impl User {
    /// The user after what its directory says.
    pub fn after(&self, said: Said) -> Self {
        let mut user = self.clone();
        if let Patch::Set(login) = said.login {
            user.login_key = Some(login_key(&login));
            user.login = Some(login);
        }
        said.external_id.apply(&mut user.external_id);
        said.display_name.apply(&mut user.display_name);
        said.contact.apply(&mut user.contact);
        match said.active {
            Patch::Keep => {}
            Patch::Set(true) => user.came_back(),
            Patch::Set(false) => user.left(),
        }
        user
    }

    /// Who leaves is deactivated. What another has set comes back with the user: else off and on again would lift it.
    fn left(&mut self) {
        self.status_held = match self.status {
            UserStatus::Active => None,
            UserStatus::Pending | UserStatus::Suspended | UserStatus::Locked => Some(self.status),
            UserStatus::Deactivated | UserStatus::Deleted => return,
        };
        self.status = UserStatus::Deactivated;
    }

    /// A directory lifts a deactivation, and nothing else.
    fn came_back(&mut self) {
        if self.status == UserStatus::Deactivated {
            self.status = self.status_held.take().unwrap_or(UserStatus::Active);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::input::read;

    fn user(status: UserStatus) -> User {
        let user = User::create(read(json!({})).unwrap(), 0).unwrap();
        User { status, ..user }
    }

    fn said(active: bool) -> Said {
        Said {
            active: Patch::Set(active),
            ..Said::default()
        }
    }

    #[test]
    fn off_and_on_again_lifts_a_deactivation_and_nothing_that_another_has_set() {
        for status in UserStatus::ALL {
            let on = user(status).after(said(true));
            let off = user(status).after(said(false));
            let again = off.after(said(false)).after(said(true)).after(said(true));
            let (lifted, left, back) = match status {
                UserStatus::Deactivated => (
                    UserStatus::Active,
                    UserStatus::Deactivated,
                    UserStatus::Active,
                ),
                UserStatus::Deleted => (status, status, status),
                _ => (status, UserStatus::Deactivated, status),
            };
            assert_eq!(
                (on.status, off.status, again.status),
                (lifted, left, back),
                "{status:?}"
            );
            assert_eq!(again.status_held, None);
        }
    }

    #[test]
    fn who_sets_a_status_has_the_last_word_about_what_was_held_back() {
        let left = user(UserStatus::Suspended).after(said(false));
        assert_eq!(left.status_held, Some(UserStatus::Suspended));
        let patch = read(json!({"status": "deactivated"})).unwrap();
        let left = left.patched(patch).unwrap();
        assert_eq!(left.after(said(true)).status, UserStatus::Active);
    }
}
