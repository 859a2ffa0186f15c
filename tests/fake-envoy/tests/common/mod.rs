//! An Envoy with one configuration and a key service.
#![allow(dead_code, reason = "each test uses a part of it")]

use fake_envoy::{Configuration, Envoy, Exchange, KeyService, Request, headers};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// A cluster that no other test has: those of the same one share what they know.
pub fn cluster() -> String {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    format!("key_service_{}", LAST.fetch_add(1, Relaxed))
}

/// The smallest configuration.
pub fn smallest() -> String {
    format!(r#"{{"key_service": {{"cluster": "{}"}}}}"#, cluster())
}

/// A request with a credential. The upstream answers it at once.
pub fn request(credential: &str) -> Request {
    Request {
        headers: headers(&[
            (":method", "GET"),
            (":path", "/v1/orders"),
            (":authority", "api.example.com"),
            ("user-agent", "shop-client/4.2"),
            ("x-user-id", "made-up"),
            ("x-api-key", credential),
        ]),
        source: Some(b"10.1.2.3:4711".to_vec()),
        is_answered_at_once: true,
        ..Request::default()
    }
}

/// See above.
pub struct Gateway {
    /// Dropped before Envoy ends.
    pub configuration: Configuration,
    pub service: KeyService,
    pub envoy: Envoy,
}

impl Gateway {
    /// Events come when the test says so.
    pub fn held(workers: usize) -> Self {
        Self::of(Envoy::held(workers), &smallest())
    }

    /// Events come as soon as they can.
    pub fn running(workers: usize) -> Self {
        Self::of(Envoy::new(workers), &smallest())
    }

    pub fn of(envoy: Envoy, text: &str) -> Self {
        let service = KeyService::default();
        let asked = service.clone();
        let configuration = envoy.configure(text, move |call| asked.handles(call));
        Self {
            configuration: configuration.expect("the configuration is taken"),
            service,
            envoy,
        }
    }

    pub fn send(&self, worker: usize, request: Request) -> Exchange {
        self.envoy.worker(worker).send(&self.configuration, request)
    }

    /// A tick, and all that comes of it.
    pub fn tick(&self) {
        self.envoy.tick(&self.configuration);
        self.envoy.settle();
    }

    /// The configuration goes, and Envoy: nothing of the module is left.
    pub fn end(self) {
        drop(self.configuration);
        assert_eq!(self.envoy.end(), 0, "schedulers that were not given back");
    }
}
