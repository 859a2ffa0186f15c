//! How soon whoever left is refused: from the answer to the directory's PATCH to the last old answer of any worker.

use super::goal::{Goals, quantile};
use super::propagation::{Busy, millis, print};
use super::spread::connections;
use serde_json::{Value, json};
use std::sync::Arc;
use support::client::Request;
use support::failure::{Failure, Result};
use support::gateway::Gateway;
use support::key_service::KeyService;

/// Deactivations, by turns as Okta and as Microsoft Entra send them.
const ROUNDS: usize = 100;

/// Busy connections of each worker.
const EACH: usize = 4;

/// Milliseconds at most, half of the time.
const GOAL: f64 = 15.0;

/// Measures it and adds it to the goals.
pub async fn measure(goals: &mut Goals) -> Result<()> {
    println!("directory: {ROUNDS} deactivations by SCIM");
    let mut gateway = Gateway::real()
        .quiet()
        .without_upstream()
        .direct()
        .try_start()
        .await?;
    let service = gateway.key_service();
    let tenant = service.tenant("directory").await?;
    let user = service.user(&tenant, "directory").await?;
    let key = service.key(&user, &json!({})).await?;
    gateway.secret(&key.key);
    let service = gateway.key_service();
    let create = ["token", "create", "--role", "scim", "--name", "directory"];
    let made = service.command(&[&create[..], &["--tenant", &tenant]].concat())?;
    let token = made["token"]
        .as_str()
        .ok_or_else(|| Failure::new("no token was made"))?
        .to_owned();
    gateway.secret(&token);

    let busy = Busy::start(
        &gateway,
        connections(&gateway, EACH).await?,
        Arc::new(vec![key.key.clone()]),
    );
    let number = busy.send(Arc::new(vec![key.key]));
    let path = format!("/scim/v2/Users/{user}");
    let code = Some("user_deactivated");
    let mut lags = Vec::new();
    for round in 0..ROUNDS {
        let off = match round % 2 {
            0 => json!([{"op": "replace", "value": {"active": false}}]),
            _ => json!([{"op": "Replace", "path": "active", "value": "False"}]),
        };
        let service = gateway.key_service();
        let call = patch(service, &token, &path, &off);
        lags.push(millis(busy.lag(number, None, code, call).await?));
        let on = json!([{"op": "replace", "value": {"active": true}}]);
        let call = patch(service, &token, &path, &on);
        busy.lag(number, code, None, call).await?;
    }
    busy.stop().await?;
    print("deactivated", lags.clone());
    lags.sort_unstable_by(f64::total_cmp);
    let what = "whom a directory stopped is refused, median";
    goals.at_most(what, quantile(&lags, 0.5), GOAL, "ms");
    Ok(())
}

async fn patch(service: &KeyService, token: &str, path: &str, operations: &Value) -> Result<Value> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    });
    let answer = Request::new("PATCH", path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/scim+json")
        .with_body(body.to_string())
        .send(service.port())
        .await?;
    match answer.status {
        200 => Ok(answer.json()),
        status => Err(Failure::new(format!("{status}: {}", answer.text()))),
    }
}
