//! Where the service listens, as people type it.

use std::net::SocketAddr;
use std::str::FromStr;

use tokio::net::TcpListener;

/// An address or a host name, with a port.
#[derive(Debug, Clone, PartialEq)]
pub struct Listen(String);

impl Listen {
    /// Takes the address; of a name that has several the first that can be taken, IPv4 first, as that is what
    /// the commands ask by default.
    pub async fn bind(&self) -> std::io::Result<TcpListener> {
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host(&self.0).await?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        TcpListener::bind(addresses.as_slice()).await
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be an address and a port such as 127.0.0.1:8081 or [::1]:8081, a name and a port such as \
                     localhost:8081, a port alone such as 8081 (for this machine), or :8081 (for every address \
                     of this machine)";
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        };
        let is_name = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
                // What looks like an address is one that is wrong.
                && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        };
        match text.rsplit_once(':') {
            None if is_port(text) => Ok(Self(format!("127.0.0.1:{text}"))),
            Some(("", port)) if is_port(port) => Ok(Self(format!("0.0.0.0:{port}"))),
            Some((name, port)) if is_port(port) && is_name(name) => Ok(Self(text.to_owned())),
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_type_them() {
        for (text, address) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:8081", "[::1]:8081"),
            ("8081", "127.0.0.1:8081"),
            (":8081", "0.0.0.0:8081"),
            ("localhost:8081", "localhost:8081"),
            ("key-service_1.internal:8081", "key-service_1.internal:8081"),
        ] {
            assert_eq!(text.parse(), Ok(Listen(address.to_owned())), "{text}");
        }
        for bad in [
            "",
            ":",
            "localhost",
            "99999",
            ":99999",
            "127.0.0.1",
            "127.0.0:80",
            "::1:80",
            "http://localhost:80",
            "a b:80",
            "+80",
            ":+80",
        ] {
            let error = bad.parse::<Listen>().unwrap_err();
            assert!(error.contains("localhost:8081"), "{bad:?}");
        }
    }
}
