//! Where the text of a key comes from: an environment variable or a file, never the description itself.

use std::path::Path;

use serde_json::{Map, Value};

/// Puts the text of a key in the place of what says where it is. `folder` is that of the file that says so. An error
/// names the place, and never repeats what is there.
pub fn resolve(entry: &mut Map<String, Value>, folder: &Path) -> Result<(), String> {
    if entry.contains_key("key") {
        return Err(
            "key: a key in clear does not belong into a file that others read: say where it is with secret, {env: NAME} \
             or {file: PATH}, or give its digest"
                .to_owned(),
        );
    }
    let Some(secret) = entry.remove("secret") else {
        return Ok(());
    };
    let text = read(&secret, folder).map_err(|why| format!("secret: {why}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("secret: what it names is empty".to_owned());
    }
    entry.insert("key".to_owned(), text.into());
    Ok(())
}

fn read(secret: &Value, folder: &Path) -> Result<String, String> {
    let fields = secret.as_object();
    let only = fields
        .filter(|fields| fields.len() == 1)
        .and_then(|fields| fields.iter().next());
    match only.map(|(name, value)| (name.as_str(), value.as_str())) {
        Some(("env", Some(name))) => match std::env::var(name) {
            Ok(text) => Ok(text),
            Err(std::env::VarError::NotPresent) => {
                Err(format!("the environment variable {name} is not set"))
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the environment variable {name} is not UTF-8"))
            }
        },
        Some(("file", Some(path))) => {
            let path = folder.join(path);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))
        }
        _ => Err("must be either {env: NAME} or {file: PATH}".to_owned()),
    }
}
