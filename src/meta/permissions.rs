//! The permissions the app asks for: what each is for, in one sentence, and what stops without it.

/// How a merchant comes to the paid channel (facts/meta.md, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The business portfolio owns Page and ad account; a system user's token that never ends.
    Portfolio,
    /// Page and ad account of any owner; the person's own token, 60 days.
    Asset,
    /// The portfolio's Page, and our ad account pays.
    Partner,
}

impl Flow {
    pub const ALL: [Self; 3] = [Self::Portfolio, Self::Asset, Self::Partner];

    /// As stored and as `META_LOGIN_CONFIG_IDS` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Portfolio => "portfolio",
            Self::Asset => "asset",
            Self::Partner => "partner",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flow| flow.as_str() == text)
    }

    /// What the paid channel needs in this flow.
    pub fn paid(self) -> &'static [&'static str] {
        match self {
            Self::Portfolio => &["ads_management", "paid_marketing_messages"],
            Self::Asset => &["ads_management", "marketing_messages_messenger"],
            Self::Partner => &[
                "ads_management",
                "paid_marketing_messages",
                "business_management",
            ],
        }
    }
}

/// Without these nothing works at all.
pub const CORE: [&str; 3] = [
    "pages_show_list",
    "pages_messaging",
    "pages_manage_metadata",
];

/// What a feature is called here and in `META_LOGIN_CONFIG_IDS`, in words, and what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    pub key: &'static str,
    pub words: &'static str,
    pub needs: &'static [&'static str],
}

/// Each asked for by a configuration of its own, so that a refusal costs only that feature.
pub const OPTIONAL: [Feature; 5] = [
    Feature {
        key: "leads",
        words: "Lead forms: people who filled in a form are invited to Messenger",
        needs: &[
            "leads_retrieval",
            "pages_manage_ads",
            "pages_show_list",
            "pages_read_engagement",
            "ads_management",
            "pages_manage_metadata",
        ],
    },
    Feature {
        key: "comments",
        words: "Comments: people who comment get a private answer",
        needs: &[
            "pages_read_engagement",
            "pages_read_user_content",
            "pages_manage_engagement",
        ],
    },
    Feature {
        key: "posts",
        words: "Posts and live videos",
        needs: &["pages_manage_posts", "pages_read_engagement"],
    },
    Feature {
        key: "ads",
        words: "Ads that open Messenger",
        needs: &[
            "ads_management",
            "pages_manage_ads",
            "pages_read_engagement",
            "pages_show_list",
        ],
    },
    Feature {
        key: "utility",
        words: "Order and delivery updates outside of the 24 hours",
        needs: &["page_utility_messaging"],
    },
];

/// One permission in one plain sentence.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    pub name: &'static str,
    pub lets_us: &'static str,
    /// What stops without it.
    pub without: &'static str,
}

/// In the order of the permissions page; the merchant's words for each (facts/meta.md, section 6).
pub const PERMISSIONS: [Permission; 15] = [
    permission(
        "pages_show_list",
        "Lets us list the Pages you manage so that you can choose one.",
        "No Page can be chosen.",
    ),
    permission(
        "pages_messaging",
        "Lets us send and receive Messenger messages as your Page.",
        "Nothing is sent and nobody can join.",
    ),
    permission(
        "pages_manage_metadata",
        "Lets Facebook tell us when your Page gets a message or comment.",
        "Opt-ins, answers and receipts do not arrive.",
    ),
    permission(
        "ads_management",
        "Lets us create message campaigns in the ad account you choose.",
        "Paid marketing messages are not possible; the free 24 hours remain.",
    ),
    permission(
        "paid_marketing_messages",
        "Lets us send paid messages to people who subscribed to your Page.",
        "Paid marketing messages are not possible; the free 24 hours remain.",
    ),
    permission(
        "marketing_messages_messenger",
        "Lets us send paid messages to people who subscribed to your Page.",
        "Paid marketing messages are not possible; the free 24 hours remain.",
    ),
    permission(
        "business_management",
        "Lets us work with the Page and accounts of your business portfolio.",
        "A Page of a portfolio cannot be used with the business's own access.",
    ),
    permission(
        "pages_read_engagement",
        "Lets us read your Page’s posts and activity.",
        "Comments, posts and lead forms are not used.",
    ),
    permission(
        "pages_read_user_content",
        "Lets us read the comments people leave on your posts.",
        "Comments are not answered.",
    ),
    permission(
        "pages_manage_engagement",
        "Lets us answer and hide comments for you.",
        "Comments are not answered in public.",
    ),
    permission(
        "pages_manage_posts",
        "Lets us publish posts on your Page.",
        "Posts are not published from here.",
    ),
    permission(
        "publish_video",
        "Lets us publish live videos on your Page.",
        "Live videos are not started from here.",
    ),
    permission(
        "leads_retrieval",
        "Lets us fetch what people enter in your lead forms.",
        "Leads do not come in.",
    ),
    permission(
        "pages_manage_ads",
        "Lets us manage ads and lead forms of your Page.",
        "Lead forms and ads that open Messenger are not read.",
    ),
    permission(
        "page_utility_messaging",
        "Lets us send order and delivery updates on Messenger.",
        "Order updates go only to people who wrote in the last 24 hours.",
    ),
];

const fn permission(
    name: &'static str,
    lets_us: &'static str,
    without: &'static str,
) -> Permission {
    Permission {
        name,
        lets_us,
        without,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_asked_for_has_its_sentence() {
        let asked = CORE
            .iter()
            .chain(Flow::ALL.iter().flat_map(|flow| flow.paid()))
            .chain(OPTIONAL.iter().flat_map(|feature| feature.needs));
        for name in asked {
            assert!(
                PERMISSIONS.iter().any(|known| known.name == *name),
                "{name}"
            );
        }
        for flow in Flow::ALL {
            assert_eq!(Flow::parse(flow.as_str()), Some(flow));
        }
    }

    #[test]
    fn the_asset_flow_never_asks_for_the_portfolios_permission() {
        assert!(!Flow::Asset.paid().contains(&"paid_marketing_messages"));
    }
}
