//! Where the built parts lie, and that they are not older than their sources.

use crate::failure::{Failure, Result};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The repository.
pub fn root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

/// The folder of everything that is built.
pub fn target() -> PathBuf {
    root().join("target")
}

/// The configuration that users copy.
pub fn shipped_configuration() -> PathBuf {
    root().join("envoy/envoy.yaml")
}

/// The filter. KEYBOUND_MODULE names another one, which is then taken as it is.
pub fn module() -> Result<PathBuf> {
    if let Some(path) = named_by("KEYBOUND_MODULE")? {
        return Ok(path);
    }
    let path = target().join("keybound.wasm");
    up_to_date(
        &path,
        &["Cargo.toml", "src", "tools/trim-module"],
        "make wasm",
    )?;
    Ok(path)
}

/// The same configuration for the filter as a dynamic module.
pub fn native_configuration() -> PathBuf {
    root().join("envoy/native/envoy.yaml")
}

const NATIVE_SOURCES: [&str; 3] = ["Cargo.toml", "src", "edges/dynamic-module"];

/// The filter as a dynamic module of Envoy, for the processor of this machine.
pub fn native_module() -> Result<PathBuf> {
    let path = target().join("libkeybound.so");
    up_to_date(&path, &NATIVE_SOURCES, "make native")?;
    Ok(path)
}

/// The same for a processor.
pub fn native_module_for(machine: &str) -> Result<PathBuf> {
    let path = target().join(format!("libkeybound-{machine}.so"));
    up_to_date(&path, &NATIVE_SOURCES, "make native-all")?;
    Ok(path)
}

/// The key service. KEYBOUND_KEY_SERVICE names another one, which is then taken as it is.
pub fn key_service() -> Result<PathBuf> {
    if let Some(path) = named_by("KEYBOUND_KEY_SERVICE")? {
        return Ok(path);
    }
    let path = target().join("release/key-service");
    up_to_date(&path, &["key-service", "src"], "make build")?;
    Ok(path)
}

/// Envoy: the one that the environment variable ENVOY names, or the one that `make envoy` installed.
pub fn envoy() -> Result<PathBuf> {
    if let Some(path) = named_by("ENVOY")? {
        return Ok(path);
    }
    let path = target().join("envoy/bin/envoy");
    if path.exists() {
        Ok(path)
    } else {
        Err(Failure::new(format!(
            "there is no Envoy at {}: run `make envoy`, or set ENVOY to the path of one",
            path.display()
        )))
    }
}

/// The program that an environment variable names, where it is set.
pub fn named_by(variable: &str) -> Result<Option<PathBuf>> {
    match std::env::var_os(variable) {
        Some(value) if !value.is_empty() => {
            let path = PathBuf::from(value);
            if path.exists() {
                Ok(Some(path))
            } else {
                Err(Failure::new(format!(
                    "{variable} names {}, which does not exist",
                    path.display()
                )))
            }
        }
        _ => Ok(None),
    }
}

/// A test that runs whatever was once built proves nothing about the sources beside it.
fn up_to_date(built: &Path, sources: &[&str], command: &str) -> Result<()> {
    let Ok(made) = fs::metadata(built).and_then(|meta| meta.modified()) else {
        return Err(Failure::new(format!(
            "there is no {}: run `{command}`",
            built.display()
        )));
    };
    for source in sources {
        if let Some((path, changed)) = newest(&root().join(source))?
            && changed > made
        {
            return Err(Failure::new(format!(
                "{} is older than {}: run `{command}`",
                built.display(),
                path.display()
            )));
        }
    }
    Ok(())
}

fn newest(path: &Path) -> Result<Option<(PathBuf, SystemTime)>> {
    if path.file_name() == Some(OsStr::new("target")) {
        return Ok(None);
    }
    let meta = fs::metadata(path)?;
    if meta.is_file() {
        let compiled = matches!(
            path.extension().and_then(OsStr::to_str),
            Some("rs" | "toml" | "sql")
        );
        return Ok(if compiled {
            Some((path.to_owned(), meta.modified()?))
        } else {
            None
        });
    }
    let mut best: Option<(PathBuf, SystemTime)> = None;
    for entry in fs::read_dir(path)? {
        if let Some(found) = newest(&entry?.path())?
            && best.as_ref().is_none_or(|(_, time)| found.1 > *time)
        {
            best = Some(found);
        }
    }
    Ok(best)
}
