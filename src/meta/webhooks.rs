//! What Meta tells us: the handshake, the signature, and its events as our own enum.

use crate::clock::Millis;

/// One event about one Page, whatever envelope it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Meta's id of the Page.
    pub page_id: String,
    /// When it happened, by Meta's clock.
    pub at: Millis,
    /// The person, where the event names one.
    pub psid: Option<String>,
    pub kind: EventKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The person wrote; `quick_reply` holds the payload of a tapped quick reply.
    Message {
        mid: String,
        text: Option<String>,
        quick_reply: Option<String>,
    },
    /// The Page wrote, by us or by another app; `metadata` is what we gave with the send.
    Echo {
        mid: String,
        app_id: Option<String>,
        metadata: Option<String>,
    },
    /// A button, Get Started among them; `referral` when it came with an m.me `ref`.
    Postback {
        mid: Option<String>,
        payload: String,
        title: Option<String>,
        referral: Option<Referral>,
    },
    /// An m.me link or an ad opened an existing thread.
    Referral(Referral),
    /// The person accepted the opt-in card, or Meta refreshed the token.
    OptIn {
        token: String,
        payload: Option<String>,
        title: Option<String>,
        timezone: Option<String>,
        expires_at: Option<Millis>,
        reference: Option<String>,
    },
    /// STOP NOTIFICATIONS.
    Stop {
        token: Option<String>,
    },
    /// RESUME NOTIFICATIONS.
    Resume {
        token: Option<String>,
    },
    /// `mids` were delivered, and everything sent up to `watermark`.
    Delivered {
        mids: Vec<String>,
        watermark: Millis,
    },
    /// Everything sent up to `watermark` was read.
    Read {
        watermark: Millis,
    },
    Reaction {
        mid: String,
        added: bool,
    },
    /// An event of the paid channel; matched by `tracking_id`, else by token and campaign.
    Marketing {
        what: Marketing,
        mid: Option<String>,
        tracking_id: Option<String>,
        token: Option<String>,
        meta_campaign_id: Option<String>,
        error: Option<String>,
    },
    /// A comment on a post of the Page.
    Comment {
        comment_id: String,
        post_id: String,
        from: Option<String>,
        added: bool,
        text: Option<String>,
    },
    Lead {
        leadgen_id: String,
        form_id: Option<String>,
    },
    /// Meta blocked or unblocked the Page's messaging.
    Policy {
        blocked: bool,
        reason: Option<String>,
    },
    /// Understood as Meta's, not needed by us; kept for the log only.
    Other {
        field: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marketing {
    Echo,
    Delivered,
    Read,
    Clicked,
    Failed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referral {
    /// The `ref` of an m.me link.
    pub reference: Option<String>,
    /// `SHORTLINK` or `ADS`.
    pub source: Option<String>,
    pub ad_id: Option<String>,
}
