//! Values as explanations show them.

use keybound::credential::Location;
use keybound::record::Chain;
use keybound::record::{DAYS, Hours, Networks, Scopes, User};

/// Whose request it is.
pub(super) fn identity(chain: &Chain) -> String {
    let key = &chain.key;
    let user = key
        .user_id
        .as_deref()
        .map(|user| format!(" of user {user}"));
    let tenant = key
        .tenant_id
        .as_deref()
        .map(|tenant| format!(" in tenant {tenant}"));
    format!(
        "key {}{}{}",
        key.id,
        user.unwrap_or_default(),
        tenant.unwrap_or_default()
    )
}

/// Bytes of a request: quoted, in one line and not endless.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 80;
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some(_) => format!("{:?}…", text.chars().take(MOST).collect::<String>()),
    }
}

/// A sentence as it stands behind a dash.
pub(super) fn clause(sentence: &str) -> String {
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// `a, b or c`
pub(super) fn either(words: impl IntoIterator<Item = String>) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => String::new(),
    }
}

/// A place where the filter looks for a credential.
pub(super) fn location(location: &Location) -> String {
    match location {
        Location::Header(name) => format!("the header {name}"),
        Location::Scheme { header, scheme } => {
            format!("the header {header} behind \"{scheme} \"")
        }
        Location::Basic => "the user name of \"Basic\" in the header authorization".to_owned(),
        Location::Query(name) => format!("the query parameter {name}"),
        Location::Cookie(name) => format!("the cookie {name}"),
    }
}

/// Scopes that are granted.
pub(super) fn scopes(scopes: &Scopes) -> String {
    listed(&scopes.iter().collect::<Vec<_>>(), "none")
}

/// The APIs that a user is approved for.
pub(super) fn apis(user: &User) -> String {
    match &user.apis {
        None => "all APIs".to_owned(),
        Some(apis) => {
            let apis: Vec<&str> = apis.iter().map(|api| &**api).collect();
            listed(&apis, "no API")
        }
    }
}

/// Address ranges.
pub(super) fn networks(networks: &Networks) -> String {
    match networks {
        Networks::Unreadable => "unreadable, so no address is allowed".to_owned(),
        Networks::Ranges(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
            listed(&ranges, "none, so no address is allowed")
        }
    }
}

/// Days and hours.
pub(super) fn hours(hours: &Hours) -> String {
    let Hours::Window { days, from, to } = hours else {
        return "unreadable, so no hour is allowed".to_owned();
    };
    let days: Vec<&str> = DAYS
        .iter()
        .zip(days)
        .filter_map(|(name, begins)| begins.then_some(*name))
        .collect();
    let time = |minute: &u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days = listed(&days, "no day");
    format!("{days} from {} to {} UTC", time(from), time(to))
}

fn listed(words: &[&str], none: &str) -> String {
    match words {
        [] => none.to_owned(),
        words => words.join(", "),
    }
}
