//! Stopping a user for a while or for good, and letting its keys work again.

use axum::http::Method;
use axum::response::Response;
use serde_json::json;

use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::Sent;
use crate::console::links;
use crate::console::page::Section;
use crate::console::record::Id;
use crate::console::records::User;
use crate::console::stop::{Stopping, at_once};
use crate::console::visit::Staff;

/// A way to stop a user.
struct Way {
    /// Of its page.
    word: &'static str,
    title: &'static str,
    consequence: &'static str,
    submit: &'static str,
    /// The status that the user gets; nothing where it is deleted.
    status: Option<&'static str>,
    done: &'static str,
}

const SUSPEND: Way = Way {
    word: "suspend",
    title: "Suspend the user",
    consequence: "Gateways refuse all keys of this user at once, until somebody reactivates it.",
    submit: "Suspend the user",
    status: Some("suspended"),
    done: "suspended",
};

const LOCK: Way = Way {
    word: "lock",
    title: "Lock the user",
    consequence: "Gateways refuse all keys of this user at once, until somebody reactivates it. Locked says that its \
                  log-ins failed.",
    submit: "Lock the user",
    status: Some("locked"),
    done: "locked",
};

const DEACTIVATE: Way = Way {
    word: "deactivate",
    title: "Deactivate the user",
    consequence: "Gateways refuse all keys of this user at once. Deactivated says that it has left; it can be reactivated.",
    submit: "Deactivate the user",
    status: Some("deactivated"),
    done: "deactivated",
};

const DELETE: Way = Way {
    word: "delete",
    title: "Delete the user",
    consequence: "Gateways refuse all keys of this user at once and for good. Nobody can take that back; a tombstone \
                  stays, so that its keys are refused with the right reason.",
    submit: "Delete the user for good",
    status: None,
    done: "deleted",
};

impl Way {
    fn of(&self, id: &str) -> Stopping {
        let back = links::user(id);
        Stopping {
            section: Section::Users,
            title: format!("{} {id}", self.title),
            consequence: self.consequence,
            action: format!("{back}/{}", self.word),
            back,
            submit: self.submit,
            method: match self.status {
                Some(_) => Method::PATCH,
                None => Method::DELETE,
            },
            api: of("users", id),
            asks: true,
            fields: Vec::new(),
            done: self.done,
        }
    }

    async fn form(&self, Staff(visit): Staff, id: &str) -> Result<Response, Stop> {
        let user: User = visit.api.get(&of("users", id)).await?;
        self.of(&user.id).form(&visit).show()
    }

    async fn send(&self, Staff(visit): Staff, id: &str, sent: &Sent) -> Result<Response, Stop> {
        let body = self.status.map(|status| json!({"status": status}));
        self.of(id).send(&visit, sent, body).await
    }
}

/// The form that suspends a user.
pub async fn suspend_form(staff: Staff, Id(id): Id) -> Result<Response, Stop> {
    SUSPEND.form(staff, &id).await
}

/// Suspends it.
pub async fn suspend(staff: Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    SUSPEND.send(staff, &id, &sent).await
}

/// The form that locks a user.
pub async fn lock_form(staff: Staff, Id(id): Id) -> Result<Response, Stop> {
    LOCK.form(staff, &id).await
}

/// Locks it.
pub async fn lock(staff: Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    LOCK.send(staff, &id, &sent).await
}

/// The form that deactivates a user.
pub async fn deactivate_form(staff: Staff, Id(id): Id) -> Result<Response, Stop> {
    DEACTIVATE.form(staff, &id).await
}

/// Deactivates it.
pub async fn deactivate(staff: Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    DEACTIVATE.send(staff, &id, &sent).await
}

/// The form that deletes a user.
pub async fn delete_form(staff: Staff, Id(id): Id) -> Result<Response, Stop> {
    DELETE.form(staff, &id).await
}

/// Deletes it.
pub async fn delete(staff: Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    DELETE.send(staff, &id, &sent).await
}

/// Lets its keys work again.
pub async fn reactivate(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = json!({"status": "active"});
    let done = (links::user(&id), "reactivated");
    at_once(&visit, &sent, &of("users", &id), body, done).await
}
