//! The sender: takes what is due, sends it, and notes what became of it, for as long as it is awaited.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Client, Webhooks};
use crate::domain::time::now;
use crate::store::messages::Due;
use crate::store::{Store, StoreError};

/// How soon a message is sent.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long nothing is tried after the database failed.
const AFTER_AN_ERROR: Duration = Duration::from_secs(10);
/// How often keys that expire are looked for.
const BETWEEN_DAYS: Duration = Duration::from_secs(600);

/// Sends what is due.
pub async fn run(store: Store, webhooks: Arc<Webhooks>, client: Client) {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut expiring: Option<Instant> = None;
    loop {
        looks.tick().await;
        if expiring.is_none_or(|last| last.elapsed() >= BETWEEN_DAYS) {
            expiring = Some(Instant::now());
            if let Err(error) = store.tell_of_expiring_keys(now()).await {
                tracing::warn!(%error, "nobody was told of keys that expire; tried again later");
            }
        }
        loop {
            match round(&store, &webhooks, &client).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "messages to webhooks could not be read; tried again later");
                    tokio::time::sleep(AFTER_AN_ERROR).await;
                    break;
                }
            }
        }
    }
}

/// Sends what is due, all of it at once. Gives whether there was anything.
async fn round(
    store: &Store,
    webhooks: &Arc<Webhooks>,
    client: &Client,
) -> Result<bool, StoreError> {
    let due = store.due_messages(now()).await?;
    let any = !due.is_empty();
    let mut sending = JoinSet::new();
    for due in due {
        let (store, webhooks) = (store.clone(), Arc::clone(webhooks));
        let client = client.clone();
        sending.spawn(async move {
            // It is sent once more when its lease is over: the receiver knows it by its id.
            if let Err(error) = send(&store, webhooks, client, due).await {
                tracing::warn!(%error, "what became of a message was not noted");
            }
        });
    }
    while sending.join_next().await.is_some() {}
    Ok(any)
}

async fn send(
    store: &Store,
    webhooks: Arc<Webhooks>,
    client: Client,
    due: Due,
) -> Result<(), StoreError> {
    let Some(webhook) = store.webhook(&due.webhook_id).await? else {
        return Ok(());
    };
    let id = webhook.id.clone();
    let message = due.clone();
    let sending =
        tokio::task::spawn_blocking(move || client.send(&webhooks, &webhook, &message, now()));
    let outcome = match sending.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(not_taken)) => Err(not_taken.to_string()),
        Err(_) => Err("the try was broken off".to_owned()),
    };
    let Err(error) = outcome else {
        store.measures().webhook_attempt("taken");
        return store.message_was_taken(&due, now()).await;
    };
    let is_dead = store.message_failed(&due, &error, now()).await?;
    let Due {
        event_id, attempt, ..
    } = &due;
    if is_dead {
        store.measures().webhook_attempt("dead");
        tracing::warn!(
            webhook = id,
            message_id = event_id,
            attempt,
            error,
            "a webhook did not take a message, and nobody tries any more"
        );
    } else {
        store.measures().webhook_attempt("failed");
        tracing::info!(
            webhook = id,
            message_id = event_id,
            attempt,
            error,
            "a webhook did not take a message"
        );
    }
    Ok(())
}
