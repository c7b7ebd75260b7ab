//! People who live by themselves, for the demo: they receive, read, click, buy, return and stop in
//! a believable rhythm. One heap of due actions, however many people there are.

mod agenda;
mod names;
mod rates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Millis, SECOND};
use crate::sandbox::klaviyo::{Klaviyo, Profile};
use crate::sandbox::meta::{Meta, Person, Taken};
use crate::sandbox::shopify::{Customer, Item, Purchase, SHELF, Shopify};
use crate::sandbox::{World, lock};

use agenda::{Action, Agenda};
use names::{FIRST_NAMES, LAST_NAMES};

pub use rates::Rates;

/// Links followed at the same time.
const CLICKS_AT_ONCE: usize = 8;
const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) \
    AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

/// Somebody who has opted in and is known to the shop and to Klaviyo.
#[derive(Clone, Debug)]
pub struct Shopper {
    pub person: Person,
    /// The subscription token.
    pub token: String,
    pub customer: Customer,
    pub profile: Profile,
}

#[derive(Clone, Debug)]
pub(crate) struct Auto {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    meta: Meta,
    shopify: Shopify,
    klaviyo: Klaviyo,
    browser: reqwest::Client,
    rates: Mutex<Rates>,
    invites: Mutex<Vec<String>>,
    /// Who is whom in the shop, by PSID.
    customers: Mutex<BTreeMap<String, Customer>>,
    due: Mutex<Agenda>,
}

impl Auto {
    pub(in crate::sandbox) fn new(
        world: World,
        meta: Meta,
        shopify: Shopify,
        klaviyo: Klaviyo,
    ) -> anyhow::Result<Self> {
        let browser = crate::sandbox::webhook_sender::outbound()?;
        Ok(Self {
            inner: Arc::new(Inner {
                world,
                meta,
                shopify,
                klaviyo,
                browser,
                rates: Mutex::default(),
                invites: Mutex::default(),
                customers: Mutex::default(),
                due: Mutex::default(),
            }),
        })
    }

    pub(in crate::sandbox) fn start(&self, tracker: &TaskTracker, stop: &CancellationToken) {
        let (watcher, taken) = unbounded_channel();
        self.inner.meta.watched_by(watcher);
        let (auto, stop) = (self.clone(), stop.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = auto.live(taken) => {}
            }
        });
    }

    pub(in crate::sandbox) fn invites_through(&self, links: Vec<String>) {
        *lock(&self.inner.invites) = links;
    }

    pub(in crate::sandbox) fn behave(&self, rates: Rates) {
        *lock(&self.inner.rates) = rates;
    }

    pub(in crate::sandbox) fn populate(&self, n: usize) -> anyhow::Result<Vec<Shopper>> {
        let Inner {
            meta,
            shopify,
            klaviyo,
            ..
        } = &*self.inner;
        let first_number = lock(&self.inner.customers).len();
        (0..n)
            .map(|i| {
                let (first, last) = self.new_name();
                let number = first_number + i + 1;
                let email = format!("{first}.{last}.{number}@example.com").to_lowercase();
                let person = meta.person(&format!("{first} {last}"));
                let token = meta.has_subscribed(&person)?;
                let customer = shopify.has_customer(first, last, &email)?;
                let profile = klaviyo.has_profile(Profile {
                    email: Some(email),
                    external_id: Some(customer.id.to_string()),
                    first_name: Some(first.to_owned()),
                    last_name: Some(last.to_owned()),
                    ..Profile::default()
                })?;
                lock(&self.inner.customers).insert(person.psid.clone(), customer.clone());
                Ok(Shopper {
                    person,
                    token,
                    customer,
                    profile,
                })
            })
            .collect()
    }

    /// The shop's customer behind a Messenger account; a new one, if the shop never met the person.
    pub(in crate::sandbox) fn customer_of(&self, psid: &str) -> anyhow::Result<Customer> {
        if let Some(customer) = lock(&self.inner.customers).get(psid) {
            return Ok(customer.clone());
        }
        let person = self
            .inner
            .meta
            .person_by(psid)
            .context("nobody with this PSID")?;
        let name = format!("{}.{}", person.first_name, person.last_name).to_lowercase();
        let tail = &psid[psid.len().saturating_sub(4)..];
        let email = format!(
            "{}.{tail}@example.com",
            name.trim_end_matches('.').replace(' ', ".")
        );
        let shopify = &self.inner.shopify;
        let customer = shopify.customer(&person.first_name, &person.last_name, &email)?;
        lock(&self.inner.customers).insert(psid.to_owned(), customer.clone());
        Ok(customer)
    }

    pub(in crate::sandbox) fn known_customer(&self, psid: &str) -> Option<Customer> {
        lock(&self.inner.customers).get(psid).cloned()
    }

    /// Where a link of ours leads, as path and query, without being counted as a click.
    pub(in crate::sandbox) async fn landing_site_of(&self, link: &str) -> anyhow::Result<String> {
        let answer = self.inner.browser.head(link).send().await?;
        landing_site(&answer)
    }

    /// The m.me link behind an invitation: itself, or the one on a landing page.
    pub(in crate::sandbox) async fn m_me_link(&self, invite: &str) -> anyhow::Result<String> {
        if invite.contains("m.me/") {
            return Ok(invite.to_owned());
        }
        anyhow::ensure!(is_local(invite), "the landing page is not on this machine");
        let page = self.inner.browser.get(invite).header("user-agent", BROWSER);
        m_me_link_in(&page.send().await?.text().await?).context("no m.me link on the page")
    }

    async fn live(&self, mut taken: UnboundedReceiver<Taken>) {
        let rates = self.rates();
        self.plan(rates.newcomer_every, Action::Newcomer);
        self.plan(rates.abandoned_every, Action::Abandon);
        loop {
            let next = lock(&self.inner.due).next_at();
            let wait = next.map_or(SECOND, |at| (at - self.now()).clamp(5, SECOND));
            tokio::select! {
                message = taken.recv() => match message {
                    Some(message) => self.notices(message),
                    None => return,
                },
                () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {
                    self.act().await;
                }
            }
        }
    }

    fn notices(&self, message: Taken) {
        let rates = self.rates();
        let Taken { psid, mid, is_card } = message;
        if is_card {
            if self.happens(rates.opted_in) {
                self.plan(rates.opted_in_after, Action::TapCard { psid: psid.clone() });
            }
        } else if self.happens(rates.stopped) {
            self.plan(rates.stopped_after, Action::Stop { psid: psid.clone() });
        }
        if is_card || self.happens(rates.delivered) {
            self.plan(rates.delivered_after, Action::Receive { psid, mid });
        }
    }

    async fn act(&self) {
        let due = lock(&self.inner.due).take_due(self.now());
        let (mut slow, mut quick) = (Vec::new(), Vec::new());
        for action in due {
            match action {
                Action::Click { .. } | Action::Newcomer => slow.push(action),
                _ => quick.push(action),
            }
        }
        for action in quick {
            if let Err(error) = self.does(action) {
                tracing::debug!(%error, "somebody in the sandbox could not do it");
            }
        }
        futures::stream::iter(slow)
            .for_each_concurrent(CLICKS_AT_ONCE, |action| async move {
                let done = match action {
                    Action::Click { psid, mid } => self.clicks(&psid, &mid).await,
                    _ => self.comes_in().await,
                };
                if let Err(error) = done {
                    tracing::debug!(%error, "somebody in the sandbox could not do it");
                }
            })
            .await;
    }

    fn does(&self, action: Action) -> anyhow::Result<()> {
        let Inner { meta, shopify, .. } = &*self.inner;
        let rates = self.rates();
        match action {
            Action::Receive { psid, mid } => {
                meta.receives_one(&psid, &mid);
                if self.happens(rates.read) {
                    self.plan(rates.read_after, Action::Read { psid, mid });
                }
            }
            Action::Read { psid, mid } => {
                meta.reads_one(&psid, &mid);
                let has_link = meta
                    .message(&psid, &mid)
                    .is_some_and(|m| !m.links.is_empty());
                if has_link && self.happens(rates.clicked) {
                    self.plan(rates.clicked_after, Action::Click { psid, mid });
                }
            }
            Action::TapCard { psid } => {
                let person = meta.person_by(&psid).context("nobody with this PSID")?;
                meta.taps_card(&person)?;
            }
            Action::Stop { psid } => {
                let person = meta.person_by(&psid).context("nobody with this PSID")?;
                if self.happens(0.5) {
                    meta.writes(&person, "STOP")?;
                } else {
                    meta.stops(&person)?;
                }
            }
            Action::Buy { psid, landing_site } => {
                let purchase = Purchase {
                    items: self.basket(),
                    landing_site: Some(landing_site),
                    ..Purchase::default()
                };
                self.pays(&self.customer_of(&psid)?, &purchase)?;
            }
            Action::ComeBack {
                customer,
                checkout_token,
            } => {
                let purchase = Purchase {
                    checkout_token: Some(checkout_token),
                    ..Purchase::default()
                };
                self.pays(&customer, &purchase)?;
            }
            Action::Refund { order_id } => {
                let total = shopify.total_of(order_id).context("no such order")?;
                let all: f64 = total.parse()?;
                let back = if self.happens(0.5) {
                    all
                } else {
                    (all * 40.0).round() / 100.0
                };
                shopify.refunds(order_id, &format!("{back:.2}"))?;
            }
            Action::Abandon => {
                self.plan(rates.abandoned_every, Action::Abandon);
                let customers: Vec<Customer> =
                    lock(&self.inner.customers).values().cloned().collect();
                let Some(customer) = self.inner.world.chance.pick(&customers) else {
                    return Ok(());
                };
                let checkout_token = shopify.abandons_checkout(customer, &self.basket())?;
                if self.happens(rates.came_back) {
                    let customer = customer.clone();
                    let action = Action::ComeBack {
                        customer,
                        checkout_token,
                    };
                    self.plan(rates.came_back_after, action);
                }
            }
            // These take time and are done by `act`.
            Action::Click { .. } | Action::Newcomer => {}
        }
        Ok(())
    }

    fn pays(&self, customer: &Customer, purchase: &Purchase) -> anyhow::Result<()> {
        let rates = self.rates();
        let order_id = self.inner.shopify.buys(customer, purchase)?;
        if self.happens(rates.refunded) {
            self.plan(rates.refunded_after, Action::Refund { order_id });
        }
        Ok(())
    }

    async fn clicks(&self, psid: &str, mid: &str) -> anyhow::Result<()> {
        let message = self
            .inner
            .meta
            .message(psid, mid)
            .context("no such message")?;
        let link = message.links.first().context("no link in the message")?;
        // People of the sandbox never leave this machine.
        if !is_local(link) {
            return Ok(());
        }
        let answer = self
            .inner
            .browser
            .get(link)
            .header("user-agent", BROWSER)
            .send()
            .await?;
        if let Some(person) = self.inner.meta.person_by(psid) {
            self.inner.meta.click_is_told(&person, mid);
        }
        let landing_site = landing_site(&answer)?;
        let rates = self.rates();
        if self.happens(rates.bought) {
            let action = Action::Buy {
                psid: psid.to_owned(),
                landing_site,
            };
            self.plan(rates.bought_after, action);
        }
        Ok(())
    }

    /// Somebody new finds one of the opt-in links.
    async fn comes_in(&self) -> anyhow::Result<()> {
        self.plan(self.rates().newcomer_every, Action::Newcomer);
        let invites = lock(&self.inner.invites).clone();
        let Some(invite) = self.inner.world.chance.pick(&invites) else {
            return Ok(());
        };
        let link = self.m_me_link(invite).await?;
        let (first, last) = self.new_name();
        let person = self.inner.meta.person(&format!("{first} {last}"));
        self.inner.meta.follows(&person, &link)
    }

    fn basket(&self) -> Vec<Item> {
        let chance = &self.inner.world.chance;
        let kinds = chance.between(1, 3);
        (0..kinds)
            .filter_map(|_| chance.pick(&SHELF))
            .map(|(title, price)| Item::new(title, price, chance.between(1, 2)))
            .collect()
    }

    fn new_name(&self) -> (&'static str, &'static str) {
        let chance = &self.inner.world.chance;
        let first = chance.pick(&FIRST_NAMES).copied().unwrap_or("Ana");
        (first, chance.pick(&LAST_NAMES).copied().unwrap_or("Silva"))
    }

    fn plan(&self, (least, most): (Millis, Millis), action: Action) {
        let at = self.now() + self.inner.world.chance.between(least, most);
        lock(&self.inner.due).add(at, action);
    }

    fn rates(&self) -> Rates {
        lock(&self.inner.rates).clone()
    }

    fn happens(&self, p: f64) -> bool {
        self.inner.world.chance.happens(p)
    }

    fn now(&self) -> Millis {
        self.inner.world.clock.now()
    }
}

/// Path and query of the `Location` of a redirect, as a shop keeps it.
fn landing_site(answer: &reqwest::Response) -> anyhow::Result<String> {
    let location = answer
        .headers()
        .get("location")
        .and_then(|l| l.to_str().ok());
    let url = url::Url::parse(location.context("the link does not lead on")?)?;
    Ok(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

pub(in crate::sandbox) fn is_local(link: &str) -> bool {
    let url = url::Url::parse(link).ok();
    let host = url.as_ref().and_then(url::Url::host_str);
    matches!(host, Some("127.0.0.1" | "localhost" | "[::1]"))
}

fn m_me_link_in(html: &str) -> Option<String> {
    let start = html.find("https://m.me/")?;
    let link = html[start..].split(['"', '\'', '<', ' ']).next()?;
    Some(link.replace("&amp;", "&"))
}
