//! An HTTP/2 client without TLS, for what HTTP/1.1 cannot say: trailers, gRPC, many streams at once.

use crate::failure::{Failure, Result};
use crate::wait::PATIENCE;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

/// A connection on which requests can run side by side.
#[derive(Clone, Debug)]
pub struct Connection {
    sender: SendRequest<BoxBody<Bytes, Infallible>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers, or the headers once more for an answer that consists of nothing else, which is how
    /// gRPC reads it.
    pub trailers: HeaderMap,
}

impl Connection {
    /// Connects to a port of 127.0.0.1.
    pub async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends one request.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Response> {
        self.send_with_trailers(method, target, headers, body, &[])
            .await
    }

    /// Sends one request with trailers behind its body.
    pub async fn send_with_trailers(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        trailers: &[(&str, &[u8])],
    ) -> Result<Response> {
        let trailers = header_map(trailers)?;
        let body = Full::new(Bytes::copy_from_slice(body));
        let body = match trailers.is_empty() {
            true => body.boxed(),
            false => body.with_trailers(async { Some(Ok(trailers)) }).boxed(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://gateway.example{target}")
            .parse()
            .map_err(|error| Failure::new(format!("{target}: {error}")))?;
        *request.headers_mut() = header_map(headers)?;
        let mut sender = self.sender.clone();
        let exchange = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let collected = response.into_body().collect().await?;
            let trailers = collected
                .trailers()
                .cloned()
                .unwrap_or_else(|| headers.clone());
            Ok(Response {
                status,
                headers,
                body: collected.to_bytes(),
                trailers,
            })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| {
                Failure::new(format!(
                    "no answer on HTTP/2 within {} s",
                    PATIENCE.as_secs()
                ))
            })?
    }

    /// Makes a unary gRPC call with an empty message.
    pub async fn grpc(&self, method: &str, headers: &[(&str, &[u8])]) -> Result<Response> {
        let mut all: Vec<(&str, &[u8])> =
            vec![("content-type", b"application/grpc"), ("te", b"trailers")];
        all.extend_from_slice(headers);
        self.send(Method::POST, method, &all, &[0; 5]).await
    }
}

fn header_map(headers: &[(&str, &[u8])]) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|error| Failure::new(format!("{name}: {error}")))?;
        map.append(name, value);
    }
    Ok(map)
}
