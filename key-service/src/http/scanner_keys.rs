//! The public keys by which scanners sign what they report: a file as GitHub publishes it, read anew when it changes.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

/// What stands before the point in the DER of every uncompressed P-256 key (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of a point: a mark and two coordinates.
const POINT: usize = 65;

/// A scanner's public key.
#[derive(Clone)]
pub struct ScannerKey(Arc<[u8]>);

impl ScannerKey {
    /// Reads a P-256 key in PEM.
    fn parse(pem: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be the PEM text of a public key of P-256";
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| WRONG)?;
        let point = der.as_ref().strip_prefix(&P256).ok_or(WRONG)?;
        match point.len() == POINT && point.first() == Some(&4) {
            true => Ok(Self(point.into())),
            false => Err(WRONG),
        }
    }

    /// Whether a signature (ECDSA with SHA-256, DER) is this key's, of these bytes.
    pub fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        key.verify(bytes, signature).is_ok()
    }
}

/// The file as it is published.
#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
}

type Keys = HashMap<String, ScannerKey>;

/// The keys of a file.
pub struct ScannerKeys {
    path: PathBuf,
    read: Mutex<Read>,
}

struct Read {
    changed: Option<SystemTime>,
    keys: Keys,
}

impl fmt::Debug for ScannerKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ScannerKeys")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ScannerKeys {
    /// Reads the file. The error is one line for people.
    pub fn open(path: &Path) -> Result<Self, String> {
        Ok(Self {
            read: Mutex::new(Read {
                changed: changed(path),
                keys: read(path)?,
            }),
            path: path.to_owned(),
        })
    }

    /// The key of this identifier. Where the file was replaced, by the keys that are in it now; one that cannot be read
    /// leaves the keys as they were.
    pub fn of(&self, identifier: &str) -> Option<ScannerKey> {
        let mut held = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = changed(&self.path);
        if changed != held.changed {
            held.changed = changed;
            match read(&self.path) {
                Ok(keys) => held.keys = keys,
                Err(error) => {
                    tracing::warn!(%error, "the keys of scanners were not read anew: those before count");
                }
            }
        }
        held.keys.get(identifier).cloned()
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn read(path: &Path) -> Result<Keys, String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    keys(&text).map_err(|error| format!("{shown}: {error}"))
}

fn keys(text: &[u8]) -> Result<Keys, String> {
    let published: Published = serde_json::from_slice(text).map_err(|error| {
        format!("is not {{\"public_keys\": [{{\"key_identifier\", \"key\"}}]}}: {error}")
    })?;
    let mut keys = Keys::new();
    for (
        index,
        PublishedKey {
            key_identifier,
            key,
        },
    ) in published.public_keys.into_iter().enumerate()
    {
        let key =
            ScannerKey::parse(&key).map_err(|error| format!("public_keys[{index}].key {error}"))?;
        keys.insert(key_identifier, key);
    }
    match keys.is_empty() {
        true => Err("public_keys is empty: nobody could report anything".to_owned()),
        false => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;

    /// The example that GitHub publishes for whoever checks its signatures.
    const BODY: &[u8] = br#"[{"token":"some_token","type":"some_type","url":"some_url"}]"#;
    const SIGNATURE: &str = "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=";
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\n\
                       kCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n-----END PUBLIC KEY-----\n";

    fn file(keys: Value) -> String {
        json!({ "public_keys": keys }).to_string()
    }

    #[test]
    fn the_published_example_is_signed_by_its_key_and_nothing_else_is() {
        let text = file(json!([{"key_identifier": "a", "key": KEY, "is_current": true}]));
        let key = keys(text.as_bytes()).unwrap().remove("a").unwrap();
        let signature = STANDARD.decode(SIGNATURE).unwrap();
        assert!(key.has_signed(BODY, &signature));
        let mut other = BODY.to_vec();
        other.push(b'\n');
        assert!(!key.has_signed(&other, &signature));
        for at in 0..signature.len() {
            let mut wrong = signature.clone();
            wrong[at] ^= 1;
            assert!(!key.has_signed(BODY, &wrong), "{at}");
        }
        assert!(!key.has_signed(BODY, b""));
    }

    #[test]
    fn a_file_that_holds_no_keys_says_what_is_wrong() {
        let cut = KEY.replace("MFkw", "MFkx");
        for (text, told) in [
            ("{}".to_owned(), "public_keys"),
            (file(json!([])), "is empty"),
            (
                file(json!([{"key_identifier": "a", "key": "none"}])),
                "public_keys[0].key",
            ),
            (file(json!([{"key_identifier": "a", "key": cut}])), "P-256"),
        ] {
            let error = keys(text.as_bytes()).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_counts_from_the_next_report_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let put = |text: String, second| {
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        };
        let of = |name: &str| file(json!([{"key_identifier": name, "key": KEY}]));
        put(of("old"), 1);
        let keys = ScannerKeys::open(&path).unwrap();
        assert!(keys.of("old").is_some() && keys.of("new").is_none());
        put(of("new"), 2);
        assert!(keys.of("old").is_none() && keys.of("new").is_some());
        put("broken".to_owned(), 3);
        assert!(keys.of("new").is_some());
        put(of("newest"), 4);
        assert!(keys.of("newest").is_some());
    }
}
