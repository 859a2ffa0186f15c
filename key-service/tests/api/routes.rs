//! All routes that there are, as the service itself describes them: a route that is added is in every test that goes
//! over them.

use key_service::domain::token::Token;
use serde_json::Value;

use crate::support::Service;

/// Who may enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Gateways.
    Protocol,
    /// Administrators, and viewers as far as nothing is written.
    Admin,
    /// Directories.
    Scim,
    /// Scanners, by their signatures.
    Signed,
    /// Anybody.
    Open,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    pub method: String,
    /// With `{id}` where an id stands, and `{name}` where a name does.
    pub template: String,
    pub area: Area,
    /// Names of the parameters of its query.
    pub query: Vec<String>,
    pub body: Option<Body>,
}

/// What a route takes for a body.
#[derive(Debug)]
pub struct Body {
    pub media: String,
    pub required: bool,
    /// The names of its fields; none where it is no JSON object.
    pub fields: Vec<String>,
    /// Whether fields that are not known are passed over.
    pub extensible: bool,
}

/// Calls with a body that write nothing: a viewer may make them. Any other that is not a GET is a write.
const QUESTIONS: &[&str] = &["/admin/v1/explain", "/admin/v1/diff"];

/// Calls that write nothing and are not for viewers: they tell what guesses can be tried by.
const ADMINS_ALONE: &[&str] = &["/admin/v1/export"];

impl Route {
    /// The path with an id that nothing has.
    pub fn path(&self) -> String {
        self.template.replace("{id}", "x").replace("{name}", "x")
    }

    pub fn writes(&self) -> bool {
        self.method != "GET" && !QUESTIONS.contains(&self.template.as_str())
    }

    pub fn is_for_viewers(&self) -> bool {
        !self.writes() && !ADMINS_ALONE.contains(&self.template.as_str())
    }

    /// Bytes that its body may have.
    pub fn largest(&self) -> usize {
        match self.template.as_str() {
            "/admin/v1/apply" | "/admin/v1/diff" => 16 * 1024 * 1024,
            _ => 1024 * 1024,
        }
    }

    /// The token that may do everything here.
    pub fn token<'a>(&self, service: &'a Service) -> &'a Token {
        match self.area {
            Area::Protocol => &service.gateway,
            Area::Admin | Area::Scim | Area::Signed | Area::Open => &service.admin,
        }
    }
}

/// All routes but those for directories, whose bodies and errors are those of SCIM, and for scanners, who have no token.
pub fn routes(service: &Service) -> Vec<Route> {
    let mut routes = all_routes(service);
    routes.retain(|route| !matches!(route.area, Area::Scim | Area::Signed));
    routes
}

fn all_routes(service: &Service) -> Vec<Route> {
    let description = service.get("/openapi.json").expect(200);
    let mut routes = Vec::new();
    for (template, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            routes.push(route(&description, template, method, operation));
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    routes
}

/// Those of an area.
pub fn routes_of(service: &Service, area: Area) -> Vec<Route> {
    let mut routes = all_routes(service);
    routes.retain(|route| route.area == area);
    routes
}

fn route(description: &Value, template: &str, method: &str, operation: &Value) -> Route {
    let area = match template.split('/').nth(1).unwrap() {
        "v1" => Area::Protocol,
        "admin" => Area::Admin,
        "scim" => Area::Scim,
        "leaks" => Area::Signed,
        _ => Area::Open,
    };
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    let body = operation.get("requestBody").map(|body| {
        let content = body["content"].as_object().unwrap();
        let (media, content) = content.iter().next().unwrap();
        let schema = &content["schema"];
        let reference = schema.get("$ref").or(schema.pointer("/oneOf/0/$ref"));
        let schema = reference.map_or(schema, |reference| {
            let pointer = reference.as_str().unwrap().trim_start_matches('#');
            description.pointer(pointer).unwrap()
        });
        let properties = schema["properties"].as_object().into_iter().flatten();
        Body {
            media: media.clone(),
            required: body["required"] == true,
            fields: properties.map(|(name, _)| name.clone()).collect(),
            extensible: schema["additionalProperties"] != false,
        }
    });
    Route {
        method: method.to_uppercase(),
        template: template.to_owned(),
        area,
        query: query
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect(),
        body,
    }
}
