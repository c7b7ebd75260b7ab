//! Opt-in links: ways in, for everybody or for one known person.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

use crate::clock::rfc3339;
use crate::opt_ins::{self, NewLink};
use crate::store::sealed::{email_hash, phone_hash};
use crate::subscribers::Known;
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::idempotency::NewId;
use crate::web::api::problem::{FieldError, Problem};
use crate::web::api::request::Body;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOptInLink {
    name: String,
    /// Where it will stand, as `checkout`, `qr`, `thank_you`: 1 to 40 of a-z, 0-9, `_` and `-`.
    #[schema(example = "checkout")]
    source: String,
    /// Who will follow it, if that is known; such a link is for this person only.
    customer: Option<LinkCustomer>,
    /// The checkout it is shown in.
    checkout_token: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkCustomer {
    /// The shop's customer id.
    #[schema(schema_with = text_or_number)]
    id: Option<TextOrNumber>,
    email: Option<String>,
    phone: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(u64),
}

fn text_or_number() -> Schema {
    let kinds = SchemaType::from_iter([Type::String, Type::Integer, Type::Null]);
    let schema = ObjectBuilder::new()
        .schema_type(kinds)
        .description(Some("The shop's customer id."));
    Schema::Object(schema.build())
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OptInLink {
    #[schema(example = "oil_0t2zq3k5s0w2m")]
    id: String,
    name: String,
    source: String,
    /// The signed token inside `url`.
    r#ref: String,
    /// Opens the chat with your Page.
    #[schema(example = "https://m.me/104512345678901?ref=…")]
    url: String,
    /// A page that says what is being agreed to, with the way in.
    landing_url: String,
    qr_svg_url: String,
    created_at: String,
}

impl From<opt_ins::Link> for OptInLink {
    fn from(link: opt_ins::Link) -> Self {
        Self {
            id: link.id.to_string(),
            name: link.name,
            source: link.source,
            r#ref: link.reference,
            url: link.url,
            landing_url: link.landing_url,
            qr_svg_url: link.qr_svg_url,
            created_at: rfc3339(link.created_at),
        }
    }
}

/// Create an opt-in link
#[utoipa::path(post, path = "/opt-in-links", tag = "Opt-in links", request_body = NewOptInLink,
    responses((status = 201, description = "The link.", body = OptInLink)))]
pub(super) async fn create_opt_in_link(
    State(web): State<Web>,
    caller: Caller,
    id: NewId,
    Body(new): Body<NewOptInLink>,
) -> Result<(StatusCode, Json<OptInLink>), Problem> {
    let link = opt_ins::create_link_as(&web.app, caller.0, id.get(), checked(new)?).await?;
    Ok((StatusCode::CREATED, Json(link.into())))
}

fn checked(new: NewOptInLink) -> Result<NewLink, Problem> {
    let mut wrong = Vec::new();
    let mut add = |place: &str, detail: &str| wrong.push(FieldError::new(place, detail));
    let name = new.name.trim();
    if !(1..=120).contains(&name.chars().count()) {
        add("/name", "Give it a name of 1 to 120 characters.");
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if !(1..=40).contains(&new.source.len()) || !new.source.chars().all(plain) {
        add("/source", "Use 1 to 40 of a-z, 0-9, _ and -, as thank_you.");
    }
    let customer = new.customer.unwrap_or_default();
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let email = filled(customer.email);
    let phone = filled(customer.phone);
    if email
        .as_deref()
        .is_some_and(|text| email_hash(text).is_none())
    {
        add("/customer/email", "This is not an e-mail address.");
    }
    if phone
        .as_deref()
        .is_some_and(|text| phone_hash(text).is_none())
    {
        add(
            "/customer/phone",
            "Give a phone number with its country code.",
        );
    }
    let checkout_token = filled(new.checkout_token);
    if checkout_token
        .as_deref()
        .is_some_and(|text| text.len() > 200)
    {
        add(
            "/checkout_token",
            "This is too long for a checkout's token.",
        );
    }
    let customer_id = customer.id.and_then(customer_id);
    if customer_id.as_deref().is_some_and(|id| id.len() > 64) {
        add("/customer/id", "This is too long for a customer's id.");
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    Ok(NewLink {
        name: name.to_owned(),
        source: new.source,
        consent_text: None,
        known: Known {
            customer_id,
            email,
            phone,
            ..Known::default()
        },
        checkout_token,
        about: None,
    })
}

/// The number alone: Shopify's APIs also write `gid://shopify/Customer/123`.
fn customer_id(id: TextOrNumber) -> Option<String> {
    let text = match id {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    };
    let id = text.trim();
    let id = id.rsplit('/').next().unwrap_or(id);
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn link(body: serde_json::Value) -> Result<NewLink, Problem> {
        checked(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn a_customer_is_named_by_number_text_or_gid() {
        for id in [json!(77), json!("77"), json!("gid://shopify/Customer/77")] {
            let made = link(json!({"name": "A", "source": "checkout", "customer": {"id": id}}));
            assert_eq!(made.unwrap().known.customer_id.as_deref(), Some("77"));
        }
    }

    #[test]
    fn a_source_is_a_plain_word() {
        for source in ["", "Thank You", "QR", "caf\u{e9}", &"a".repeat(41)] {
            assert!(
                link(json!({"name": "A", "source": source})).is_err(),
                "{source}"
            );
        }
        assert!(link(json!({"name": "A", "source": "thank_you-2"})).is_ok());
    }
}
