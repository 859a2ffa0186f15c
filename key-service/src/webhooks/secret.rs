//! Secrets by which messages are signed. None is stored: each is derived from one key of the service and the webhook's
//! id, so that the database alone signs nothing.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// Characters of the service's key at least.
const SHORTEST: usize = 32;
/// What the secret of a webhook is derived for.
const PURPOSE: &str = "keybound webhook secret of ";

/// The key from which all secrets are derived.
pub struct MasterKey(Key);

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A key that the operator chose.
    pub fn new(text: &str) -> Result<Self, String> {
        match text.len() >= SHORTEST {
            true => Ok(Self(Key::new(HMAC_SHA256, text.as_bytes()))),
            false => Err(format!(
                "must have {SHORTEST} characters or more: openssl rand -base64 32 makes some"
            )),
        }
    }

    /// The secret of a webhook.
    pub fn secret(&self, webhook: &str) -> Secret {
        let tag = sign(&self.0, format!("{PURPOSE}{webhook}").as_bytes());
        Secret(tag.as_ref().to_vec())
    }
}

/// The secret of one webhook.
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secret {
    /// As libraries of Standard Webhooks take it, for the one answer that may hold it.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// The signature of a message with this id, sent at this time.
    pub fn signature(&self, id: &str, timestamp: i64, payload: &str) -> String {
        let signed = format!("{id}.{timestamp}.{payload}");
        let tag = sign(&Key::new(HMAC_SHA256, &self.0), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // The example of the Standard Webhooks specification's libraries.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let told = Secret(secret).signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(told, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_webhook_has_a_secret_of_its_own_and_none_is_in_debug() {
        let master = MasterKey::new(&"m".repeat(32)).unwrap();
        let [one, two] = ["whk_1", "whk_2"].map(|id| master.secret(id).reveal());
        assert_ne!(one, two);
        assert_eq!(one, master.secret("whk_1").reveal());
        let other = MasterKey::new(&"n".repeat(32)).unwrap();
        assert_ne!(one, other.secret("whk_1").reveal());
        assert_eq!(
            format!("{master:?} {:?}", master.secret("x")),
            "MasterKey(…) Secret(…)"
        );
        assert!(MasterKey::new(&"m".repeat(31)).is_err());
    }
}
