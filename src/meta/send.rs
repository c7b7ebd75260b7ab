//! Messages on the wire: the standard channel (`POST /{page}/messages`) and the paid one
//! (`POST act_{ad}/messages`). How a message is spelled stands in `wire`.

use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use super::errors::ApiError;
use super::read::text;
use super::wire::{Channel, Wire};
use super::{Client, Error, Usage, ad_account_segment};

/// After this Meta has given up fetching, and the answer is lost.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(90);

/// A message ready to go: texts are rendered, links are ours already.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// Text, with up to three buttons (a button template when there are any).
    Text {
        text: String,
        buttons: Vec<Button>,
        quick_replies: Vec<QuickReply>,
    },
    /// A generic template of 1 to 10 cards. `greeting` is the marketing channel's payload `text`;
    /// the standard channel has no such field: there the caller sends it ahead, as a text.
    Cards {
        greeting: Option<String>,
        cards: Vec<Card>,
    },
    /// An image or a video by address. An image with buttons, and any image on the paid channel,
    /// becomes a generic template of one card. A video with buttons must be a facebook.com
    /// address or be uploaded first ([`Outgoing::Stored`]): no template takes another address.
    Media {
        video: bool,
        url: String,
        buttons: Vec<Button>,
    },
    /// An image or a video uploaded to the same Page before ([`Client::upload`]): media template.
    Stored {
        video: bool,
        attachment_id: String,
        buttons: Vec<Button>,
    },
    /// A coupon template.
    Coupon {
        title: String,
        code: String,
        url: String,
    },
    /// The opt-in card (template `notification_messages`).
    OptInCard {
        title: String,
        image_url: Option<String>,
        cta: String,
        payload: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Button {
    Url { title: String, url: String },
    Postback { title: String, payload: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuickReply {
    pub title: String,
    pub payload: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub title: String,
    pub subtitle: Option<String>,
    pub image_url: Option<String>,
    pub buttons: Vec<Button>,
}

/// What Meta says once it took a message.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The standard channel's message id.
    pub mid: Option<String>,
    /// The paid channel's `marketing_message_tracking_id`.
    pub tracking_id: Option<String>,
    pub usage: Usage,
}

impl Client {
    /// One message inside the 24 h window. `metadata` comes back in the echo.
    pub async fn send_standard(
        &self,
        page_id: &str,
        token: &SecretString,
        psid: &str,
        message: &Outgoing,
        metadata: Option<&str>,
    ) -> Result<Sent, Error> {
        let body = StandardBody {
            recipient: Recipient { id: psid },
            messaging_type: "RESPONSE",
            message: Wire::new(message, Channel::Standard, metadata)
                .map_err(ApiError::unsayable)?,
        };
        let request = self.post(&[page_id, "messages"])?.json(&body);
        let (answer, usage): (Value, _) = self.request(request, token).await?;
        let within = answer.get("recipient").unwrap_or(&answer);
        let mid = text(&answer, "message_id").or_else(|| text(within, "message_id"));
        if mid.is_none() && text(&answer, "recipient_id").is_none() {
            return Err(Error::AnswerLost(
                "neither a message id nor a recipient came".into(),
            ));
        }
        Ok(Sent {
            mid,
            tracking_id: None,
            usage,
        })
    }

    /// One paid message of the campaign `meta_campaign_id` to the owner of the token.
    pub async fn send_marketing(
        &self,
        ad_account: &str,
        login_token: &SecretString,
        meta_campaign_id: &str,
        subscription_token: &str,
        message: &Outgoing,
    ) -> Result<Sent, Error> {
        let body = MarketingBody {
            message_id: meta_campaign_id,
            messenger_delivery_data: DeliveryData { subscription_token },
            message: Wire::new(message, Channel::Marketing, None).map_err(ApiError::unsayable)?,
        };
        let account = ad_account_segment(ad_account);
        let request = self.post(&[&account, "messages"])?.json(&body);
        let (answer, usage): (Value, _) = self.request(request, login_token).await?;
        let tracking_id = text(&answer, "marketing_message_tracking_id");
        let accepted = answer
            .get("success")
            .is_some_and(|yes| *yes == true || *yes == "true");
        if tracking_id.is_none() && !accepted {
            return Err(Error::AnswerLost(
                "Meta said neither yes nor why not".into(),
            ));
        }
        Ok(Sent {
            mid: None,
            tracking_id,
            usage,
        })
    }

    /// Uploads an image or video by its address for [`Outgoing::Stored`]; the id serves this Page
    /// for 90 days. Meta fetches it before it answers, a video for up to 75 seconds.
    pub async fn upload(
        &self,
        page_id: &str,
        token: &SecretString,
        video: bool,
        url: &str,
    ) -> Result<String, Error> {
        let body = Upload {
            message: Wire::upload(video, url),
        };
        let request = self.post(&[page_id, "message_attachments"])?;
        let request = request.json(&body).timeout(UPLOAD_TIMEOUT);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        text(&answer, "attachment_id")
            .ok_or_else(|| Error::AnswerLost("no attachment_id in the answer".into()))
    }
}

#[derive(Serialize)]
struct StandardBody<'a> {
    recipient: Recipient<'a>,
    messaging_type: &'static str,
    message: Wire<'a>,
}

#[derive(Serialize)]
struct Recipient<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct MarketingBody<'a> {
    message_id: &'a str,
    messenger_delivery_data: DeliveryData<'a>,
    message: Wire<'a>,
}

#[derive(Serialize)]
struct DeliveryData<'a> {
    subscription_token: &'a str,
}

#[derive(Serialize)]
struct Upload<'a> {
    message: Wire<'a>,
}
