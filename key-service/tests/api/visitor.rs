//! Somebody before a browser: asks for pages of the console, sends their forms, and keeps cookies.

use std::cell::RefCell;
use std::collections::BTreeMap;

use key_service::domain::token::Token;

use crate::support::{Answer, Service};

/// Somebody before a browser.
pub struct Visitor<'a> {
    service: &'a Service,
    pub cookies: RefCell<BTreeMap<String, String>>,
    /// What their browser, or a proxy in between, sends along.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl<'a> Visitor<'a> {
    pub fn new(service: &'a Service) -> Self {
        Self {
            service,
            cookies: RefCell::default(),
            headers: Vec::new(),
        }
    }

    /// Signed in with this token.
    #[track_caller]
    pub fn with(service: &'a Service, token: &Token) -> Self {
        let visitor = Self::new(service);
        let answer = visitor.post("/console/sign-in", &[("token", token.reveal())]);
        assert_eq!(answer.status, 303, "{}", answer.text);
        visitor
    }

    /// Signed in with a new token of this role for this user or tenant.
    pub fn as_developer(service: &'a Service, name: &str, user: &str) -> Self {
        let token = service
            .post(
                "/admin/v1/tokens",
                &serde_json::json!({"name": name, "role": "developer", "user_id": user}),
            )
            .expect(201);
        Self::with(
            service,
            &Token::chosen(token["token"].as_str().unwrap()).unwrap(),
        )
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    /// The text of a page that must be there.
    #[track_caller]
    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(
            answer.status,
            200,
            "{path}: {} {}",
            answer.header("location"),
            answer.text
        );
        answer.text
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, fields, &[])
    }

    /// Sends a form that does what it is for, and gives where the browser goes then.
    #[track_caller]
    pub fn done(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, fields);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        answer.header("location").to_owned()
    }

    pub fn post_with(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        self.send("POST", path, &all, Some(body.as_bytes()))
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let cookies = self.cookies.borrow();
        let pairs = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let line = pairs.collect::<Vec<_>>().join("; ");
        drop(cookies);
        let mut all = headers.to_vec();
        all.extend(&self.headers);
        if !line.is_empty() {
            all.push(("cookie", &line));
        }
        let answer = self.service.send_with(method, path, &all, body);
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut cookies = self.cookies.borrow_mut();
            match value.is_empty() {
                true => cookies.remove(name),
                false => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }
}
