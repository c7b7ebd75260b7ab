//! The shop's products in the campaign editor: searched, and picked into cards.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::answer::{Answer, page};
use super::campaign_form::{ButtonSlot, CampaignForm, CardSlot};
use super::fields::Fields;
use super::format::money;
use super::session::Session;
use crate::delivery::Problem;
use crate::delivery::limits::{CARD_TEXT, CARDS};
use crate::shopify::Error;
use crate::shopify::products::{Price, ShownProduct};
use crate::web::Web;
use crate::workspaces::{self, Shop};

const NO_SHOP: &str = "Connect your shop to use its products.";

pub(super) fn router() -> Router<Web> {
    Router::new().route("/app/campaigns/products", get(search))
}

#[derive(Template)]
#[template(path = "campaigns/products.html")]
struct Found {
    words: String,
    products: Vec<ShownProduct>,
    /// Why there are none to show.
    trouble: Option<String>,
}

impl Found {
    fn price(product: &ShownProduct) -> String {
        product.price.as_ref().map(price_words).unwrap_or_default()
    }
}

async fn search(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let words: String = fields.get("words").chars().take(100).collect();
    let (products, trouble) = match find(&web, &session, &words).await? {
        Ok(products) => (products, None),
        Err(trouble) => (Vec::new(), Some(trouble)),
    };
    page(&Found {
        words,
        products,
        trouble,
    })
}

/// Fills a card of the form with the product; or says why not, with the form as it was.
pub(super) async fn pick(
    web: &Web,
    session: &Session,
    form: CampaignForm,
    id: &str,
) -> anyhow::Result<(CampaignForm, Option<Problem>)> {
    let refused = |form, detail: String| {
        let pointer = "/message/cards".to_owned();
        Ok((form, Some(Problem { pointer, detail })))
    };
    let Ok(id) = id.parse::<i64>() else {
        return refused(form, "Choose a product from the list.".to_owned());
    };
    let product = match load(web, session, id).await? {
        Ok(Some(product)) => product,
        Ok(None) => {
            let words = "This product is no longer in the online store. Choose another.";
            return refused(form, words.to_owned());
        }
        Err(trouble) => return refused(form, trouble),
    };
    match form.clone().with_card(card_of(&product)) {
        Some(form) => Ok((form, None)),
        None => refused(
            form,
            format!("A message has at most {CARDS} cards. Empty one to make room."),
        ),
    }
}

fn card_of(product: &ShownProduct) -> CardSlot {
    let image = product.image.as_deref().unwrap_or_default();
    CardSlot {
        title: product.title.chars().take(CARD_TEXT).collect(),
        subtitle: product.price.as_ref().map(price_words).unwrap_or_default(),
        image: image.to_owned(),
        buttons: vec![ButtonSlot {
            title: "Shop now".to_owned(),
            kind: "url".to_owned(),
            value: product.url.clone(),
        }],
    }
}

fn price_words(price: &Price) -> String {
    let least = money(price.amount, &price.currency);
    if price.is_from {
        format!("from {least}")
    } else {
        least
    }
}

/// What keeps the shop from answering comes back in words.
async fn find(
    web: &Web,
    session: &Session,
    words: &str,
) -> anyhow::Result<Result<Vec<ShownProduct>, String>> {
    let Some(shop) = workspaces::shop(&web.app, session.ws()).await? else {
        return Ok(Err(NO_SHOP.to_owned()));
    };
    let (shopify, domain) = (&web.app.shopify, &shop.domain);
    let asked = workspaces::ask_shop(&web.app, &shop, |token| async move {
        shopify.search_products(domain, &token, words).await
    });
    Ok(asked.await?.map_err(|error| trouble(&shop, &error)))
}

/// As [`find`], for one product.
async fn load(
    web: &Web,
    session: &Session,
    id: i64,
) -> anyhow::Result<Result<Option<ShownProduct>, String>> {
    let Some(shop) = workspaces::shop(&web.app, session.ws()).await? else {
        return Ok(Err(NO_SHOP.to_owned()));
    };
    let (shopify, domain) = (&web.app.shopify, &shop.domain);
    let asked = workspaces::ask_shop(&web.app, &shop, |token| async move {
        shopify.shown_product(domain, &token, id).await
    });
    Ok(asked.await?.map_err(|error| trouble(&shop, &error)))
}

fn trouble(shop: &Shop, error: &Error) -> String {
    let words = match error {
        Error::Retry { .. } => "Shopify does not answer at the moment. Try again in a minute.",
        Error::Reconnect(_) => {
            "Open Pagecast in your Shopify admin once, so that it may read your products again."
        }
        Error::Refused(why) => {
            tracing::warn!(shop.id = %shop.id, "The products could not be read: {why}");
            "Shopify does not let Pagecast read your products. Open Pagecast in your Shopify admin \
             and accept what it asks for."
        }
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mug() -> ShownProduct {
        ShownProduct {
            id: 7,
            title: "Enamel <Mug>".to_owned(),
            url: "https://shop.example/products/mug".to_owned(),
            image: Some("https://cdn.example/mug.jpg".to_owned()),
            price: Some(Price {
                amount: 1_600,
                currency: "USD".to_owned(),
                is_from: true,
            }),
        }
    }

    #[test]
    fn a_product_becomes_a_card_with_everything_filled_in() {
        let mut long = mug();
        long.title = "é".repeat(200);
        assert_eq!(card_of(&long).title.chars().count(), CARD_TEXT);
        let card = card_of(&mug());
        assert_eq!(card.subtitle, "from $16.00");
        assert_eq!(card.image, "https://cdn.example/mug.jpg");
        assert_eq!(card.buttons[0].value, "https://shop.example/products/mug");
    }

    #[test]
    fn the_list_can_be_picked_from_and_says_when_there_is_nothing() {
        let render = |products, trouble| {
            let words = "mug".to_owned();
            Found {
                words,
                products,
                trouble,
            }
            .render()
            .unwrap()
        };
        let html = render(vec![mug()], None);
        assert!(html.contains("value=\"pick:7\"") && html.contains("from $16.00"));
        assert!(html.contains("Enamel &#60;Mug&#62;"));
        assert!(render(Vec::new(), None).contains("No product"));
        assert!(render(Vec::new(), Some("Try again.".to_owned())).contains("Try again."));
    }
}
