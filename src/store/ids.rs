//! Identifiers: 64 bits, time-ordered, made by us. Outside they are text with a prefix.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::chance::Chance;
use crate::clock::Clock;

/// 2025-01-01T00:00:00Z: ids count milliseconds from here, so 41 bits last until 2094.
const EPOCH: i64 = 1_735_689_600_000;
/// Low bits that tell ids of one millisecond apart.
const SPREAD_BITS: u32 = 22;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes ids. Within a process each is larger than the one before; across processes the low bits
/// start at random in each millisecond.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    chance: Chance,
    last: Arc<AtomicI64>,
}

impl Ids {
    pub fn new(clock: Clock, chance: Chance) -> Self {
        Self {
            clock,
            chance,
            last: Arc::new(AtomicI64::new(0)),
        }
    }

    /// The next id, as any of the id types.
    pub fn next<T: From<i64>>(&self) -> T {
        let spread = (self.chance.bits() >> (64 - SPREAD_BITS + 1)).cast_signed();
        let fresh = ((self.clock.now() - EPOCH).max(1) << SPREAD_BITS) | spread;
        let previous = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
                Some(fresh.max(last + 1))
            })
            .unwrap_or(0);
        T::from(fresh.max(previous + 1))
    }
}

/// 13 characters of Crockford's base 32; keeps the order of the numbers.
fn encode(id: i64) -> String {
    let bits = id.cast_unsigned();
    (0..13)
        .rev()
        .map(|i| char::from(ALPHABET[((bits >> (5 * i)) & 31) as usize]))
        .collect()
}

fn decode(text: &str) -> Option<i64> {
    if text.len() != 13 {
        return None;
    }
    let mut bits: u64 = 0;
    for (i, byte) in text.bytes().enumerate() {
        let digit = ALPHABET
            .iter()
            .position(|c| *c == byte.to_ascii_lowercase())? as u64;
        if i == 0 && digit > 7 {
            return None;
        }
        bits = (bits << 5) | digit;
    }
    i64::try_from(bits).ok()
}

/// The text is not an id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an id that starts with {0}_")]
pub struct NotAnId(pub &'static str);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(pub i64);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(NotAnId($prefix))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    WorkspaceId = "ws";
    TokenId = "tok";
    ShopId = "shp";
    /// Our id of a connected Page; Meta's own is text and called `meta_id`.
    PageRowId = "pag";
    SubscriberId = "sub";
    LinkId = "oil";
    CampaignId = "cmp";
    AutomationId = "aut";
    RunId = "run";
    ClickId = "clk";
    OrderId = "ord";
    WebhookId = "wh";
    ConsentId = "con";
    RequestId = "req";
    /// Somebody who signed in with Facebook for a workspace.
    LoginId = "log";
    /// Somebody who signs in with Facebook for their clients.
    PersonId = "per";
    /// What caused a message: a campaign's id, or one of its own.
    OriginId = "org";
}

/// A message: what caused it, and to whom it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey {
    pub origin: OriginId,
    pub subscriber: SubscriberId,
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "msg_{}{}",
            encode(self.origin.0),
            encode(self.subscriber.0)
        )
    }
}

impl FromStr for MessageKey {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parts = text
            .strip_prefix("msg_")
            .filter(|rest| rest.is_ascii() && rest.len() == 26);
        parts
            .and_then(|rest| Some((decode(&rest[..13])?, decode(&rest[13..])?)))
            .map(|(origin, subscriber)| Self {
                origin: OriginId(origin),
                subscriber: SubscriberId(subscriber),
            })
            .ok_or(NotAnId("msg"))
    }
}

impl From<CampaignId> for OriginId {
    fn from(id: CampaignId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_survive_the_round_trip() {
        let ids = Ids::new(Clock::steerable(1_790_000_000_000), Chance::system());
        let made: Vec<CampaignId> = (0..1000).map(|_| ids.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        for id in made {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn a_foreign_or_broken_id_is_refused() {
        let id = CampaignId(77).to_string();
        assert!(id.parse::<SubscriberId>().is_err());
        for broken in [
            "",
            "cmp_",
            "cmp_é000000000000",
            "cmp_00000000000001",
            "cmp_zzzzzzzzzzzzz",
        ] {
            assert!(broken.parse::<CampaignId>().is_err(), "{broken}");
        }
    }

    #[test]
    fn the_text_keeps_the_order_of_time() {
        assert!(CampaignId(5).to_string() < CampaignId(6).to_string());
        assert!(CampaignId(31).to_string() < CampaignId(32).to_string());
    }
}
