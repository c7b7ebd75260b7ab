//! Configuration, from the environment only. Each variable is documented on the field it fills; a
//! bad value names itself and stops the start.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use url::Url;

/// The names of `META_LOGIN_CONFIG_IDS`: `asset` (a person's own token; Page and ad account of any
/// owner), `partner` (our ad account pays), `people` (agencies sign in), and one for each optional
/// feature.
pub const LOGIN_CONFIGS: [&str; 8] = [
    "asset", "partner", "people", "leads", "comments", "posts", "ads", "utility",
];

/// Everything the environment decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`: `sqlite://pagecast.db` (the default; created on first start) or
    /// `postgres://…`.
    pub database_url: String,
    /// `BIND`: the address to listen on, `127.0.0.1:8080` by default.
    pub bind: SocketAddr,
    /// `PUBLIC_URL`: how the world reaches us, without a trailing slash; `http://{BIND}` by
    /// default. Links in messages, webhook addresses and QR codes are made from it.
    pub public_url: String,
    /// `SECRET_KEY`: 32 bytes in base64, comma-separated for rotation: the first seals, all open.
    pub secret_keys: Vec<[u8; 32]>,
    pub shopify: Shopify,
    pub meta: Meta,
    pub klaviyo: Klaviyo,
    /// `LOG`: a tracing filter, `info` by default.
    pub log: String,
    /// `LOG_FORMAT`: `text` (default) or `json`.
    pub log_json: bool,
}

#[derive(Clone, Debug)]
pub struct Shopify {
    /// `SHOPIFY_API_KEY`: the app's client id.
    pub api_key: Option<String>,
    /// `SHOPIFY_API_SECRET`: verifies webhooks; comma-separated during rotation, newest first.
    pub api_secrets: Vec<SecretString>,
    /// `SHOPIFY_APP_HANDLE`: the app's handle at Shopify, where it is billed by Shopify App Pricing.
    /// Without it nothing is limited by a plan.
    pub app_handle: Option<String>,
    /// `SHOPIFY_ADMIN_URL`: `https://{shop}` by default; `{shop}` is replaced by the domain.
    pub admin_url: String,
}

#[derive(Clone, Debug)]
pub struct Meta {
    /// `META_APP_ID`.
    pub app_id: Option<String>,
    /// `META_APP_SECRET`: verifies webhooks and proves our calls.
    pub app_secret: Option<SecretString>,
    /// `META_VERIFY_TOKEN`: what we told Meta to say in the webhook handshake.
    pub verify_token: Option<SecretString>,
    /// `META_LOGIN_CONFIG_ID`: the Facebook Login for Business configuration with which a business
    /// portfolio connects its Page and ad account (a system user's token).
    pub login_config_id: Option<String>,
    /// `META_LOGIN_CONFIG_IDS`: further configurations as `name=id`, comma-separated; see
    /// [`LOGIN_CONFIGS`]. What is not named here is not offered.
    pub login_configs: BTreeMap<String, String>,
    /// `META_PARTNER_AD_ACCOUNT`: our own ad account (`act_…`), for merchants whose messages we pay.
    pub partner_ad_account: Option<String>,
    /// `META_ACCOUNTS_URL`: `https://api.facebook.com` by default; where a Page is joined to our ad
    /// account.
    pub accounts_url: String,
    /// `META_GRAPH_URL`: `https://graph.facebook.com` by default.
    pub graph_url: String,
    /// `META_GRAPH_VERSION`: `v26.0` by default.
    pub graph_version: String,
    /// `META_LOGIN_URL`: `https://www.facebook.com` by default.
    pub login_url: String,
    /// `META_WARM_UP_SECONDS`, 3600 by default, here in milliseconds: how long after its creation
    /// a message campaign is first used.
    pub warm_up_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Klaviyo {
    /// `KLAVIYO_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `KLAVIYO_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// `KLAVIYO_API_URL`: `https://a.klaviyo.com` by default.
    pub api_url: String,
    /// `KLAVIYO_LOGIN_URL`: `https://www.klaviyo.com` by default.
    pub login_url: String,
}

/// A variable that cannot be used, and why.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable}: {problem}")]
pub struct Error {
    pub variable: &'static str,
    pub problem: String,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads any source of variables; an empty value counts as absent.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |name: &str| {
            lookup(name)
                .map(|v| v.trim().to_owned())
                .filter(|v| !v.is_empty())
        };
        let bind = match get("BIND") {
            Some(text) => text
                .parse()
                .map_err(|_| bad("BIND", "give an address and a port, as 127.0.0.1:8080"))?,
            None => SocketAddr::from(([127, 0, 0, 1], 8080)),
        };
        let address = |name: &'static str, default: &str| match get(name) {
            Some(text) => http_address(name, &text),
            None => Ok(default.to_owned()),
        };
        let secret = |name: &str| get(name).map(SecretString::from);
        Ok(Self {
            database_url: database_url(get("DATABASE_URL"))?,
            bind,
            public_url: address("PUBLIC_URL", &format!("http://{bind}"))?,
            secret_keys: secret_keys(get("SECRET_KEY"))?,
            shopify: Shopify {
                api_key: get("SHOPIFY_API_KEY"),
                api_secrets: get("SHOPIFY_API_SECRET")
                    .map(|list| split(&list).map(SecretString::from).collect())
                    .unwrap_or_default(),
                app_handle: app_handle(get("SHOPIFY_APP_HANDLE"))?,
                admin_url: admin_url(get("SHOPIFY_ADMIN_URL"))?,
            },
            meta: Meta {
                app_id: get("META_APP_ID"),
                app_secret: secret("META_APP_SECRET"),
                verify_token: secret("META_VERIFY_TOKEN"),
                login_config_id: get("META_LOGIN_CONFIG_ID"),
                login_configs: login_configs(get("META_LOGIN_CONFIG_IDS"))?,
                partner_ad_account: get("META_PARTNER_AD_ACCOUNT"),
                accounts_url: address("META_ACCOUNTS_URL", "https://api.facebook.com")?,
                graph_url: address("META_GRAPH_URL", "https://graph.facebook.com")?,
                graph_version: graph_version(get("META_GRAPH_VERSION"))?,
                login_url: address("META_LOGIN_URL", "https://www.facebook.com")?,
                warm_up_ms: warm_up(get("META_WARM_UP_SECONDS"))?,
            },
            klaviyo: Klaviyo {
                client_id: get("KLAVIYO_CLIENT_ID"),
                client_secret: secret("KLAVIYO_CLIENT_SECRET"),
                api_url: address("KLAVIYO_API_URL", "https://a.klaviyo.com")?,
                login_url: address("KLAVIYO_LOGIN_URL", "https://www.klaviyo.com")?,
            },
            log: get("LOG").unwrap_or_else(|| "info".to_owned()),
            log_json: match get("LOG_FORMAT").as_deref() {
                None | Some("text") => false,
                Some("json") => true,
                Some(_) => return Err(bad("LOG_FORMAT", "use text or json")),
            },
        })
    }
}

fn bad(variable: &'static str, problem: &str) -> Error {
    Error {
        variable,
        problem: problem.to_owned(),
    }
}

fn split(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
}

fn database_url(value: Option<String>) -> Result<String, Error> {
    let url = value.unwrap_or_else(|| "sqlite://pagecast.db".to_owned());
    let known = ["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|s| url.starts_with(s));
    if !known {
        return Err(bad(
            "DATABASE_URL",
            "start it with sqlite:// or postgres://",
        ));
    }
    Ok(url)
}

fn secret_keys(value: Option<String>) -> Result<Vec<[u8; 32]>, Error> {
    const HOW: &str = "give 32 random bytes in base64, as `openssl rand -base64 32` prints them";
    let list = value.ok_or_else(|| bad("SECRET_KEY", &format!("is not set; {HOW}")))?;
    let keys: Option<Vec<[u8; 32]>> = split(&list)
        .map(|text| STANDARD.decode(text).ok()?.try_into().ok())
        .collect();
    match keys {
        Some(keys) if !keys.is_empty() => Ok(keys),
        _ => Err(bad("SECRET_KEY", &format!("cannot be read; {HOW}"))),
    }
}

fn http_address(variable: &'static str, text: &str) -> Result<String, Error> {
    let usable = Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if !usable {
        return Err(bad(
            variable,
            "give an address that starts with https:// (or http://)",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn app_handle(value: Option<String>) -> Result<Option<String>, Error> {
    let is_handle = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match value {
        Some(text) if !is_handle(&text) => Err(bad(
            "SHOPIFY_APP_HANDLE",
            "give the app's handle as its address at Shopify has it, as my-app",
        )),
        value => Ok(value),
    }
}

fn admin_url(value: Option<String>) -> Result<String, Error> {
    let text = value.unwrap_or_else(|| "https://{shop}".to_owned());
    let probe = text.replace("{shop}", "probe.myshopify.com");
    http_address("SHOPIFY_ADMIN_URL", &probe)?;
    Ok(text.trim_end_matches('/').to_owned())
}

fn graph_version(value: Option<String>) -> Result<String, Error> {
    let text = value.unwrap_or_else(|| "v26.0".to_owned());
    let numbers = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    let ok = numbers.is_some_and(|(a, b)| a.parse::<u16>().is_ok() && b.parse::<u16>().is_ok());
    if !ok {
        return Err(bad("META_GRAPH_VERSION", "write it as v26.0"));
    }
    Ok(text)
}

fn login_configs(value: Option<String>) -> Result<BTreeMap<String, String>, Error> {
    let mut configs = BTreeMap::new();
    for pair in split(&value.unwrap_or_default()) {
        let named = pair
            .split_once('=')
            .map(|(name, id)| (name.trim(), id.trim()));
        match named {
            Some((name, id)) if LOGIN_CONFIGS.contains(&name) && !id.is_empty() => {
                configs.insert(name.to_owned(), id.to_owned());
            }
            _ => {
                let names = LOGIN_CONFIGS.join(", ");
                let problem = format!("write pairs as asset=1234567890; the names are {names}");
                return Err(bad("META_LOGIN_CONFIG_IDS", &problem));
            }
        }
    }
    Ok(configs)
}

fn warm_up(value: Option<String>) -> Result<i64, Error> {
    let Some(text) = value else {
        return Ok(3_600_000);
    };
    match text.parse::<u32>() {
        Ok(seconds) if seconds <= 86_400 => Ok(i64::from(seconds) * 1_000),
        _ => Err(bad(
            "META_WARM_UP_SECONDS",
            "give whole seconds, at most 86400",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Error> {
        Config::from_lookup(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn only_the_secret_key_must_be_given() {
        let config = read(&[("SECRET_KEY", KEY)]).unwrap();
        assert_eq!(config.database_url, "sqlite://pagecast.db");
        assert_eq!(config.public_url, "http://127.0.0.1:8080");
        assert_eq!(config.meta.warm_up_ms, 3_600_000);
        assert_eq!(read(&[]).unwrap_err().variable, "SECRET_KEY");
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        for (name, value) in [
            ("DATABASE_URL", "mysql://x"),
            ("BIND", "nowhere"),
            ("PUBLIC_URL", "example.com"),
            ("SECRET_KEY", "short"),
            ("SHOPIFY_ADMIN_URL", "{shop}"),
            ("SHOPIFY_APP_HANDLE", "My App"),
            ("META_GRAPH_VERSION", "26"),
            ("META_WARM_UP_SECONDS", "soon"),
            ("META_LOGIN_CONFIG_IDS", "leads"),
            ("META_LOGIN_CONFIG_IDS", "magic=1"),
            ("META_GRAPH_URL", "ftp://x"),
            ("KLAVIYO_API_URL", "x"),
            ("LOG_FORMAT", "xml"),
        ] {
            let mut pairs = vec![(name, value)];
            if name != "SECRET_KEY" {
                pairs.push(("SECRET_KEY", KEY));
            }
            assert_eq!(read(&pairs).unwrap_err().variable, name);
        }
    }

    #[test]
    fn keys_and_secrets_rotate_by_list() {
        let two = format!("{KEY}, {KEY}");
        let config = read(&[("SECRET_KEY", &two), ("SHOPIFY_API_SECRET", "new,old")]).unwrap();
        assert_eq!(config.secret_keys.len(), 2);
        assert_eq!(config.shopify.api_secrets.len(), 2);
    }
}
