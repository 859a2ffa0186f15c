//! From a credential to the digest that stands for it everywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

/// What stands for a credential: 32 bytes from which it cannot be computed back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; Digest::LENGTH]);

/// Makes digests, with or without a pepper.
#[derive(Clone)]
pub struct Digester(Algorithm);

#[derive(Clone)]
enum Algorithm {
    Plain,
    Peppered(Box<Hmac<Sha256>>),
}

impl Digest {
    /// Bytes of a digest.
    pub const LENGTH: usize = 32;

    /// A digest that came from elsewhere.
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Reads it as the protocol writes it: base64url without padding (RFC 4648 section 5). Each digest has one
    /// text: bits that mean nothing must be zero.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Its text.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl Digester {
    /// SHA-256 (FIPS 180-4).
    pub const fn plain() -> Self {
        Self(Algorithm::Plain)
    }

    /// HMAC-SHA-256 (RFC 2104) with a pepper that only the filter and the key service know, so that a
    /// stolen table of digests cannot be searched for weak keys.
    pub fn peppered(pepper: &[u8]) -> Self {
        // RFC 2104 section 2 takes a key of any length: one that is longer than a block is hashed before, and all
        // are filled up with zeroes. Done here, it cannot fail, so there is nothing to fall back to.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        let fill = |block: &mut [u8], bytes: &[u8]| {
            for (to, from) in block.iter_mut().zip(bytes) {
                *to = *from;
            }
        };
        if pepper.len() > block.len() {
            fill(&mut block, &Sha256::digest(pepper));
        } else {
            fill(&mut block, pepper);
        }
        Self(Algorithm::Peppered(Box::new(Hmac::new(&block))))
    }

    /// Whether there is a pepper in its digests.
    pub const fn is_peppered(&self) -> bool {
        matches!(self.0, Algorithm::Peppered(_))
    }

    /// Stands for what digests are made with: the same for the same pepper, and nothing of it.
    pub fn fingerprint(&self) -> Digest {
        self.digest(b"")
    }

    /// The digest of a credential.
    pub fn digest(&self, credential: &[u8]) -> Digest {
        match &self.0 {
            Algorithm::Plain => Digest(Sha256::digest(credential).into()),
            Algorithm::Peppered(keyed) => {
                let mut keyed = (**keyed).clone();
                keyed.update(credential);
                Digest(keyed.finalize().into_bytes().into())
            }
        }
    }
}

/// Shows enough to tell two digests apart in a test, and too little to look one up.
impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second, ..] = self.0;
        write!(formatter, "Digest({first:02x}{second:02x}…)")
    }
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.0 {
            Algorithm::Plain => "Digester(SHA-256)",
            Algorithm::Peppered(_) => "Digester(HMAC-SHA-256)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    fn hex(digest: Digest) -> String {
        digest
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn without_pepper_it_is_sha_256() {
        // FIPS 180-4, example "abc".
        assert_eq!(
            hex(Digester::plain().digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn with_pepper_it_is_hmac_sha_256() {
        // RFC 4231 section 4.3, test case 2.
        let digester = Digester::peppered(b"Jefe");
        for _ in 0..2 {
            assert_eq!(
                hex(digester.digest(b"what do ya want for nothing?")),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            );
        }
    }

    #[test]
    fn a_pepper_of_any_length_is_a_key() {
        let short = Digester::peppered(b"");
        assert!(short.is_peppered());
        // RFC 4231 section 4.7, test case 6: a key that is longer than a block.
        let digester = Digester::peppered(&[0xaa; 131]);
        assert_eq!(
            hex(digester.digest(b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        // A block is taken as it is; one byte more is hashed.
        for length in [64, 65] {
            let pepper = vec![7; length];
            let mut keyed = Hmac::<Sha256>::new_from_slice(&pepper).unwrap();
            keyed.update(b"abc");
            assert_eq!(
                Digester::peppered(&pepper).digest(b"abc").bytes()[..],
                keyed.finalize().into_bytes()[..]
            );
        }
    }

    #[test]
    fn a_digest_has_one_text() {
        let digest = Digester::plain().digest(b"abc");
        let text = digest.to_text();
        assert_eq!(text, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(Digest::parse(&text), Some(digest));
        // The last of 43 characters carries two bits that mean nothing.
        for bad in [
            "",
            "abc",
            &format!("{text}="),
            &format!("{}B", "A".repeat(42)),
            &"A".repeat(44),
            &"+".repeat(43),
        ] {
            assert_eq!(Digest::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_neither_digest_nor_pepper() {
        let digester = Digester::peppered(b"salt and pepper");
        assert_eq!(format!("{digester:?}"), "Digester(HMAC-SHA-256)");
        assert_eq!(
            format!("{:?}", digester.digest(b"abc")).len(),
            "Digest(abcd…)".len()
        );
    }
}
