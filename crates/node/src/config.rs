//! Settings: defaults, then the file in the home, then the environment, then flags; the last one
//! wins.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::providers::{Format, Serialized, Toml};
use figment::{Figment, Profile};
use potluck_api::{ApiError, ConfigEntry, ErrorKind, Origin};
use potluck_base::Bytes;
use serde::{Deserialize, Serialize};

/// Prefix of environment variables that set something.
const PREFIX: &str = "POTLUCK_";
/// The settings that a file, the environment or a flag may give.
const KEYS: [&str; 7] =
    ["listen", "p2p_ci", "quic", "relays", "share_downloads", "storage.quota", "tcp"];
/// What a node holds for others if nobody says how much.
const QUOTA: Bytes = Bytes(1_000_000_000);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the node's key, settings and state.
    pub home: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// What makes the node a tracker; only `potluck tracker run` says so, never a file.
    pub tracker: Option<TrackerSettings>,
    shown: Vec<ConfigEntry>,
}

/// How a node is a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerSettings {
    /// Its name for people.
    pub name: String,
    /// Where it speaks P2P-CI/1.0, if it is to.
    pub p2p_ci: Option<SocketAddr>,
    /// How long a peer may be silent before it counts as offline.
    pub lease: Duration,
}

/// The settings by their names in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Addresses to listen on, over TCP and UDP; port 0 keeps the port of the last time if it is
    /// free.
    pub listen: Vec<SocketAddr>,
    /// Where old clients of P2P-CI/1.0 fetch what this node publishes in networks, in clear text;
    /// nowhere by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p2p_ci: Option<SocketAddr>,
    /// Whether links over QUIC are made and taken.
    pub quic: bool,
    /// URLs of relays for peers that cannot be reached directly; none by default.
    pub relays: Vec<String>,
    /// Whether what was fetched from a network is published there, too.
    pub share_downloads: bool,
    /// What is kept for others.
    pub storage: Storage,
    /// Whether links over TCP are made and taken.
    pub tcp: bool,
}

/// What a node keeps for others: files that they put into a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// How many bytes it is willing to hold, in all networks together; 0 to hold nothing.
    #[serde(with = "size")]
    pub quota: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        // IPv4 too: the system's every address.
        let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
        Self {
            listen: vec![any],
            p2p_ci: None,
            quic: true,
            relays: Vec::new(),
            share_downloads: true,
            storage: Storage { quota: QUOTA },
            tcp: true,
        }
    }
}

/// What flags say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`: one or more addresses, separated by commas.
    pub listen: Option<String>,
    /// Other settings as `key = value` pairs, the value in TOML.
    pub config: Vec<(String, String)>,
}

impl Config {
    /// Reads all layers. `home` is a flag's; else `POTLUCK_HOME`, else the platform's place for
    /// state.
    pub fn load(home: Option<PathBuf>, overrides: Overrides) -> Result<Config, ApiError> {
        let home = home.map_or_else(default_home, |home| {
            std::path::absolute(&home).map_err(|error| {
                ApiError::usage(format!("the home {} is no path: {error}", home.display()))
            })
        })?;
        let file = home.join("config.toml");
        let defaults = Figment::from(Serialized::defaults(Settings::default()));
        let in_file = Figment::from(Toml::file(&file));
        let in_env = Figment::from(environment());
        let in_flags = flags(&overrides)?;
        let all = defaults.merge(&in_file).merge(&in_env).merge(&in_flags);
        let settings: Settings = all.extract().map_err(|error| unreadable(&file, &error))?;
        let shown = KEYS.map(|key| {
            let has = |layer: &Figment| layer.find_value(key).is_ok();
            let origin = if has(&in_flags) {
                Origin::Flag
            } else if has(&in_env) {
                Origin::Environment
            } else if has(&in_file) {
                Origin::File
            } else {
                Origin::Default
            };
            ConfigEntry { key: key.to_owned(), value: settings.shown(key), origin }
        });
        Ok(Config { home, settings, tracker: None, shown: shown.to_vec() })
    }

    /// Every setting with its origin.
    pub fn shown(&self) -> Vec<ConfigEntry> {
        self.shown.clone()
    }

    /// The configuration file, which need not exist.
    pub fn file(&self) -> PathBuf {
        self.home.join("config.toml")
    }
}

impl Settings {
    /// A setting's value as the file would have it.
    fn shown(&self, key: &str) -> String {
        let table = toml::Table::try_from(self).expect("settings are a table");
        let mut value = toml::Value::Table(table);
        for part in key.split('.') {
            match value.as_table_mut().and_then(|table| table.remove(part)) {
                Some(inner) => value = inner,
                None => return String::new(),
            }
        }
        value.to_string()
    }
}

/// Sizes as numbers of bytes, or as texts with a unit.
mod size {
    use potluck_base::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Either form.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Number(u64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(size: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&size.exact())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        match Size::deserialize(from)? {
            Size::Number(bytes) => Ok(Bytes(bytes)),
            Size::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// Reads the variables that name a setting; lists are separated by commas.
fn environment() -> Serialized<toml::Table> {
    let mut table = toml::Table::new();
    for key in KEYS {
        let name = format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase());
        if let Ok(text) = std::env::var(name) {
            put(&mut table, key, value_of(key, &text));
        }
    }
    Serialized::from(table, Profile::Default)
}

/// Puts a value where a file would have it: `storage.quota` into the table `storage`.
fn put(table: &mut toml::Table, key: &str, value: toml::Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((outer, inner)) => {
            let inside = table.entry(outer).or_insert_with(|| toml::Table::new().into());
            if let Some(inside) = inside.as_table_mut() {
                put(inside, inner, value);
            }
        }
    }
}

fn flags(overrides: &Overrides) -> Result<Figment, ApiError> {
    let mut table = toml::Table::new();
    if let Some(listen) = &overrides.listen {
        put(&mut table, "listen", value_of("listen", listen));
    }
    for (key, text) in &overrides.config {
        if !KEYS.contains(&key.as_str()) {
            return Err(ApiError::usage(format!("there is no setting {key:?}"))
                .hint("\"potluck config show\" lists them"));
        }
        put(&mut table, key, value_of(key, text));
    }
    Ok(Figment::from(Serialized::from(table, Profile::Default)))
}

/// A value written outside a file: a switch and a list in brackets as in TOML, other lists with
/// commas.
fn value_of(key: &str, text: &str) -> toml::Value {
    let in_toml = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
    match in_toml {
        Some(value) if value.is_bool() || value.is_array() => value,
        _ if matches!(key, "listen" | "relays") => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>().into()
        }
        _ => toml::Value::String(text.to_owned()),
    }
}

fn unreadable(file: &Path, error: &figment::Error) -> ApiError {
    let at = error.metadata.as_ref().and_then(|m| m.source.as_ref()).and_then(|s| s.file_path());
    let place = match at {
        Some(_) => format!(" in {}", file.display()),
        None => String::new(),
    };
    ApiError::usage(format!("a setting cannot be used{place}: {}", error.kind))
        .hint("\"potluck config show\" lists the settings and where each comes from")
}

/// `POTLUCK_HOME`, or the platform's place for the state of programs.
fn default_home() -> Result<PathBuf, ApiError> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(home) = from("POTLUCK_HOME") {
        return std::path::absolute(&home).map_err(|error| ApiError::usage(error.to_string()));
    }
    let home = from("HOME").or_else(|| from("USERPROFILE"));
    let state = if cfg!(windows) {
        from("LOCALAPPDATA").map(|data| data.join("Potluck"))
    } else if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Application Support/Potluck"))
    } else {
        let xdg = from("XDG_STATE_HOME").filter(|path| path.is_absolute());
        xdg.or_else(|| home.map(|home| home.join(".local/state")))
            .map(|state| state.join("potluck"))
    };
    state.ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, "there is no home folder to keep things in")
            .hint("say where: \"potluck --home FOLDER …\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, overrides: Overrides) -> Result<Config, ApiError> {
        let home = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(home.path().join("config.toml"), file).expect("writing the test's file");
        Config::load(Some(home.path().to_owned()), overrides)
    }

    fn origin(config: &Config, key: &str) -> Origin {
        config.shown().into_iter().find(|e| e.key == key).expect("every key is shown").origin
    }

    #[test]
    fn the_file_beats_defaults_and_flags_beat_the_file() {
        let file = "listen = [\"127.0.0.1:4000\"]\nquic = false";
        let config = load(file, Overrides::default()).unwrap();
        assert_eq!(config.settings.listen, ["127.0.0.1:4000".parse().unwrap()]);
        assert!(!config.settings.quic && config.settings.tcp);
        assert_eq!(origin(&config, "quic"), Origin::File);
        assert_eq!(origin(&config, "tcp"), Origin::Default);
        let flag = Overrides { listen: Some("127.0.0.1:5,[::1]:5".into()), config: vec![] };
        let config = load(file, flag).unwrap();
        assert_eq!(config.settings.listen.len(), 2);
        assert_eq!(origin(&config, "listen"), Origin::Flag);
    }

    #[test]
    fn a_size_has_a_unit_or_is_a_number_of_bytes() {
        let quota = |config: &Config| config.settings.storage.quota;
        let config = load("", Overrides::default()).unwrap();
        assert_eq!((quota(&config), origin(&config, "storage.quota")), (QUOTA, Origin::Default));
        let shown = config.shown().into_iter().find(|entry| entry.key == "storage.quota").unwrap();
        assert_eq!(shown.value, "\"1 GB\"");
        let config = load("[storage]\nquota = 500", Overrides::default()).unwrap();
        assert_eq!((quota(&config), origin(&config, "storage.quota")), (Bytes(500), Origin::File));
        let flag = |text: &str| Overrides {
            listen: None,
            config: vec![("storage.quota".into(), text.into())],
        };
        let config = load("storage.quota = '5 GB'", flag("0")).unwrap();
        assert_eq!((quota(&config), origin(&config, "storage.quota")), (Bytes(0), Origin::Flag));
        assert!(load("", flag("much")).unwrap_err().message.contains("10MB"));
        assert!(load("storage.qouta = 5", Overrides::default()).is_err());
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused() {
        let error = load("lisen = []", Overrides::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(error.message.contains("lisen"), "{}", error.message);
        let flag = Overrides { listen: None, config: vec![("x".into(), "1".into())] };
        assert!(load("", flag).is_err());
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        assert!(load("quic = \"perhaps\"", Overrides::default()).is_err());
        assert!(load("listen = [\"nowhere\"]", Overrides::default()).is_err());
    }
}
