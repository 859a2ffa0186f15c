//! Options of `serve` for the console.

use std::path::PathBuf;
use std::sync::Arc;

use super::outcome::Failure;
use super::{connection, documents};
use crate::console::{CALLBACK, Origin, Provider, Roles, Settings};

#[derive(clap::Args)]
pub struct Console {
    /// Leave the web console under /console out
    #[arg(long, env = "KEYBOUND_NO_CONSOLE")]
    no_console: bool,
    /// Where browsers reach the console, such as `https://keys.example.com`. Needed where a proxy in between changes the host,
    /// and for OpenID Connect
    #[arg(long, env = "KEYBOUND_CONSOLE_ORIGIN", value_name = "ORIGIN")]
    console_origin: Option<Origin>,
    /// Let people sign in to the console by OpenID Connect, at the provider of this issuer identifier
    #[arg(
        long,
        env = "KEYBOUND_OIDC_ISSUER",
        value_name = "URL",
        requires_all = ["oidc_client_id", "console_origin"]
    )]
    oidc_issuer: Option<String>,
    /// What the provider knows this console by. Its redirect URI there is ORIGIN/console/sign-in/oidc/callback
    #[arg(
        long,
        env = "KEYBOUND_OIDC_CLIENT_ID",
        value_name = "ID",
        requires = "oidc_issuer"
    )]
    oidc_client_id: Option<String>,
    /// File with the client's secret; without it, it is a public client
    #[arg(
        long,
        env = "KEYBOUND_OIDC_CLIENT_SECRET_FILE",
        value_name = "FILE",
        requires = "oidc_issuer"
    )]
    oidc_client_secret_file: Option<PathBuf>,
    /// YAML or JSON file that says who is an admin or a viewer: a list of {claim, value, role, tenant}, of which the first
    /// that is met counts. Whoever meets none is a developer if they are an active user, by its external_id or login
    #[arg(
        long,
        env = "KEYBOUND_OIDC_ROLES",
        value_name = "FILE",
        requires = "oidc_issuer"
    )]
    oidc_roles: Option<PathBuf>,
}

impl Console {
    /// How the console is reached, and by whom; nothing where it is left out.
    pub fn settings(&self) -> Result<Option<Settings>, Failure> {
        if self.no_console {
            return Ok(None);
        }
        Ok(Some(Settings {
            origin: self.console_origin.clone(),
            provider: self.provider()?.map(Arc::new),
        }))
    }

    fn provider(&self) -> Result<Option<Provider>, Failure> {
        let (Some(issuer), Some(client_id), Some(origin)) = (
            &self.oidc_issuer,
            &self.oidc_client_id,
            &self.console_origin,
        ) else {
            return Ok(None);
        };
        let secret = self.oidc_client_secret_file.as_deref().map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            match text.trim() {
                "" => Err(format!("{} is empty", path.display())),
                text => Ok(text.to_owned()),
            }
        });
        let secret = secret
            .transpose()
            .map_err(|error| Failure::Usage(format!("--oidc-client-secret-file: {error}")))?;
        let wrong = |error: String| Failure::Usage(format!("--oidc-issuer: {error}"));
        let redirect = format!("{}{CALLBACK}", origin.as_str());
        let agent = connection::of_provider(issuer)?;
        let provider = Provider::new(
            issuer.clone(),
            client_id.clone(),
            secret,
            redirect,
            self.roles()?,
            agent,
        );
        provider.map(Some).map_err(wrong)
    }

    fn roles(&self) -> Result<Roles, Failure> {
        let Some(path) = &self.oidc_roles else {
            return Ok(Roles::default());
        };
        let wrong =
            |error: String| Failure::Usage(format!("--oidc-roles {}: {error}", path.display()));
        let mut documents = documents::documents(&documents::read(path)?).map_err(wrong)?;
        match (documents.pop(), documents.is_empty()) {
            (Some(document), true) => Roles::read(document).map_err(wrong),
            _ => Err(wrong("must hold one list".to_owned())),
        }
    }
}
