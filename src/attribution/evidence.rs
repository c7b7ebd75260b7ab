//! What an order itself says about how the shopper came: our click id in its attributes, our tags
//! in the address they landed on. Pure; whether the click exists and whose it is, is asked later.

use url::form_urlencoded;

use crate::attribution::credit::MatchedBy;
use crate::shopify::payloads;
use crate::store::ids::{AutomationId, CampaignId, ClickId};

/// Stands before a `utm_campaign` where there was no `utm_id` to keep.
const NAMED: &str = "utm_campaign:";

/// Signs of ours, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    pub clicks: Vec<(ClickId, MatchedBy)>,
    /// Campaigns or automations named by `utm_id`; they count with a click of the customer's own.
    pub origins: Vec<(Origin, MatchedBy)>,
    /// Values of `utm_campaign`, which is all that some storefronts hand on; as [`Self::origins`].
    pub names: Vec<(String, MatchedBy)>,
}

/// What a link was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Campaign(CampaignId),
    Automation(AutomationId),
}

impl Origin {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let campaign = text.parse().ok().map(Self::Campaign);
        campaign.or_else(|| text.parse().ok().map(Self::Automation))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Campaign(id) => id.fmt(f),
            Self::Automation(id) => id.fmt(f),
        }
    }
}

impl Evidence {
    pub(super) fn of_order(order: &payloads::Order) -> Self {
        let mut evidence = Self::default();
        let attributes = || {
            order
                .note_attributes
                .iter()
                .map(|(name, value)| (attribute(name), value.as_str()))
        };
        for (name, value) in attributes() {
            if matches!(name.as_str(), "pc_click" | "ref") {
                evidence.add_click(value, MatchedBy::ClickId);
            }
        }
        evidence.add_tags(attributes(), MatchedBy::LandingSite);
        for (name, value) in attributes() {
            if name.contains("landing") {
                evidence.add_address(value, MatchedBy::LandingSite);
            }
        }
        if let Some(address) = &order.landing_site {
            evidence.add_address(address, MatchedBy::LandingSite);
        }
        evidence
    }

    /// `text` may be a whole address or a path; only its query matters.
    pub(super) fn add_address(&mut self, text: &str, matched_by: MatchedBy) {
        let before_fragment = text.split('#').next().unwrap_or_default();
        let Some((_, query)) = before_fragment.split_once('?') else {
            return;
        };
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        for (name, value) in &pairs {
            if matches!(name.as_str(), "pc_click" | "ref") {
                self.add_click(value, matched_by);
            }
        }
        let pairs = pairs.iter();
        self.add_tags(
            pairs.map(|(name, value)| (name.clone(), value.as_ref())),
            matched_by,
        );
    }

    /// A name counts unless it stands beside a source that is not ours: the merchant may call an
    /// e-mail's campaign the same.
    pub(super) fn add_tags<'a>(
        &mut self,
        pairs: impl Iterator<Item = (String, &'a str)>,
        matched_by: MatchedBy,
    ) {
        let mut name = None;
        let mut is_ours = true;
        for (key, value) in pairs {
            let value = value.trim();
            match key.as_str() {
                "utm_id" => self.add_origin(value, matched_by),
                "utm_campaign" if !value.is_empty() => name = Some(value.to_lowercase()),
                "utm_source" => is_ours = value.eq_ignore_ascii_case("pagecast"),
                _ => {}
            }
        }
        let named = name.filter(|_| is_ours).map(|name| (name, matched_by));
        self.names
            .extend(named.filter(|named| !self.names.contains(named)));
    }

    pub(super) fn add_click(&mut self, text: &str, matched_by: MatchedBy) {
        let Ok(click) = text.trim().parse() else {
            return;
        };
        if !self.clicks.iter().any(|(known, _)| *known == click) {
            self.clicks.push((click, matched_by));
        }
    }

    pub(super) fn add_origin(&mut self, text: &str, matched_by: MatchedBy) {
        self.origins
            .extend(Origin::parse(text).map(|origin| (origin, matched_by)));
    }

    /// For `orders.click_ref`, so that a click written after its order is still found.
    pub(super) fn click_ref(&self) -> Option<String> {
        let (click, matched_by) = self.clicks.first()?;
        Some(format!("{}:{click}", matched_by.as_str()))
    }

    /// For `orders.utm_id`.
    pub(super) fn utm_id(&self) -> Option<String> {
        let origin = self.origins.first().map(|(origin, _)| origin.to_string());
        let name = self.names.first();
        origin.or_else(|| name.map(|(name, _)| format!("{NAMED}{name}")))
    }

    /// The other way round from [`Self::click_ref`] and [`Self::utm_id`].
    pub(super) fn kept(click_ref: Option<&str>, utm_id: Option<&str>) -> Self {
        let mut evidence = Self::default();
        if let Some((way, click)) = click_ref.and_then(|text| text.split_once(':')) {
            let matched_by = if way == MatchedBy::ClickId.as_str() {
                MatchedBy::ClickId
            } else {
                MatchedBy::LandingSite
            };
            evidence.add_click(click, matched_by);
        }
        match utm_id.map(|kept| kept.strip_prefix(NAMED).ok_or(kept)) {
            Some(Ok(name)) => evidence
                .names
                .push((name.to_owned(), MatchedBy::LandingSite)),
            Some(Err(id)) => evidence.add_origin(id, MatchedBy::LandingSite),
            None => {}
        }
        evidence
    }
}

/// An attribute's name as storefronts spell it: `_Landing Page` is `landing_page`. A leading
/// underscore hides an attribute from the shopper.
fn attribute(name: &str) -> String {
    let name = name.trim().to_lowercase().replace([' ', '-'], "_");
    name.trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(attributes: &[(&str, String)], landing_site: Option<String>) -> payloads::Order {
        payloads::Order {
            note_attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            landing_site,
            ..payloads::Order::default()
        }
    }

    #[test]
    fn the_carts_attribute_is_trusted_before_the_landing_address() {
        let (cart, landed) = (ClickId(5), ClickId(6));
        let evidence = Evidence::of_order(&order(
            &[
                ("colour", "green".into()),
                ("_PC_Click", format!(" {cart} ")),
            ],
            Some(format!(
                "/products/x?a=1&pc_click={landed}&ref={landed}#top"
            )),
        ));
        assert_eq!(
            evidence.clicks,
            [(cart, MatchedBy::ClickId), (landed, MatchedBy::LandingSite)]
        );
    }

    #[test]
    fn landing_addresses_come_whole_as_paths_or_not_at_all() {
        let campaign = CampaignId(9);
        let read = |text: &str| Evidence::of_order(&order(&[], Some(text.to_owned())));
        for text in [
            format!("/?utm_id={campaign}&utm_source=pagecast"),
            format!("https://shop.example/?UTM_ID={campaign}"),
        ] {
            let expected = [(Origin::Campaign(campaign), MatchedBy::LandingSite)];
            assert_eq!(read(&text).origins, expected, "{text}");
        }
        for text in ["", "/", "/?", "?ref=friend&utm_id=123", "http://[", "/a?%"] {
            assert_eq!(read(text), Evidence::default(), "{text}");
        }
    }

    #[test]
    fn a_storefront_may_hand_on_our_tags_or_the_landing_address_as_attributes() {
        let (click, campaign) = (ClickId(6), CampaignId(9));
        let evidence = Evidence::of_order(&order(
            &[
                ("utm_source", "Pagecast".into()),
                ("_utm_id", campaign.to_string()),
                ("UTM_Campaign", "Winter-Blend".into()),
                (
                    "_Landing Page",
                    format!("https://s.example/?pc_click={click}"),
                ),
            ],
            None,
        ));
        assert_eq!(evidence.clicks, [(click, MatchedBy::LandingSite)]);
        let campaign = (Origin::Campaign(campaign), MatchedBy::LandingSite);
        assert_eq!(evidence.origins, [campaign]);
        let name = ("winter-blend".to_owned(), MatchedBy::LandingSite);
        assert_eq!(evidence.names, [name]);
    }

    #[test]
    fn a_campaign_of_the_same_name_elsewhere_is_not_ours() {
        let read = |text: &str| Evidence::of_order(&order(&[], Some(text.to_owned()))).names;
        assert_eq!(read("/?utm_source=klaviyo&utm_campaign=winter"), []);
        assert_eq!(read("/?utm_campaign=&utm_source=pagecast"), []);
        assert_eq!(read("/?utm_campaign=winter").len(), 1);
    }

    #[test]
    fn what_is_kept_with_the_order_says_the_same_later() {
        let landing = format!("/?ref={}&utm_id={}", ClickId(3), AutomationId(4));
        let evidence = Evidence::of_order(&order(&[], Some(landing)));
        let (click_ref, utm_id) = (evidence.click_ref(), evidence.utm_id());
        assert_eq!(
            Evidence::kept(click_ref.as_deref(), utm_id.as_deref()),
            evidence
        );
        assert_eq!(Evidence::kept(None, None), Evidence::default());

        let named = Evidence::of_order(&order(&[("utm_campaign", "winter".into())], None));
        assert_eq!(Evidence::kept(None, named.utm_id().as_deref()), named);
    }
}
