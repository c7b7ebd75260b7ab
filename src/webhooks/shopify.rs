//! What each of Shopify's topics means for us.

use crate::app::App;
use crate::attribution::record_refund;
use crate::opt_ins;
use crate::shopify::payloads::{
    Checkout, Customer, Order, Product, Refund, ScopesUpdate, variant_id,
};
use crate::shopify::webhooks::named_shops;
use crate::store::Conn;
use crate::store::ids::WorkspaceId;
use crate::subscribers::{self, Known};
use crate::webhooks::process::{Delivery, Trouble, Understood};
use crate::webhooks::{checkouts, orders, privacy};
use crate::workspaces::{self, Shop};

pub(super) async fn apply(
    app: &App,
    conn: &mut Conn,
    delivery: &Delivery,
) -> Result<Understood, Trouble> {
    // Only the body is signed: where it names the shop, the headers must agree.
    let named = named_shops(&delivery.body).map_err(Trouble::unreadable)?;
    if named
        .iter()
        .any(|named| !named.eq_ignore_ascii_case(&delivery.account))
    {
        let words = "The body names another shop than the headers; nothing was done.";
        return Err(Trouble::Unreadable(words.to_owned()));
    }
    let Some(shop) = workspaces::shop_by_domain(conn, &delivery.account).await? else {
        return Ok(unknown_shop(delivery));
    };
    let mut done = Understood {
        workspace: Some(shop.workspace),
        ..Understood::default()
    };
    match delivery.topic.as_str() {
        "orders/create" | "orders/paid" | "orders/updated" | "orders/cancelled"
        | "orders/fulfilled" => {
            let order = Order::parse(&delivery.body).map_err(Trouble::unreadable)?;
            let is_paid = delivery.topic == "orders/paid";
            done.runs |= orders::apply(app, conn, shop.workspace, &order, is_paid).await?;
        }
        "refunds/create" => {
            let refund = Refund::parse(&delivery.body).map_err(Trouble::unreadable)?;
            record_refund(app, conn, shop.workspace, &refund).await?;
        }
        "checkouts/create" | "checkouts/update" => {
            checkout(app, conn, &shop, delivery, &mut done).await?;
        }
        "customers/data_request" | "customers/redact" | "shop/redact" => {
            privacy::obey(app, conn, &shop, delivery, &mut done).await?;
        }
        "customers/delete" => {
            let customer = Customer::parse(&delivery.body).map_err(Trouble::unreadable)?;
            let (ws, demand) = (shop.workspace, privacy::demand(delivery));
            subscribers::privacy::erase(app, conn, ws, demand, known(&customer), &[]).await?;
            done.forget = true;
            done.erasure = true;
        }
        "customers/create" | "customers/update" | "customers/enable" | "customers/disable" => {
            let customer = Customer::parse(&delivery.body).map_err(Trouble::unreadable)?;
            let at = customer.updated_at.unwrap_or(delivery.received_at);
            subscribers::save_customer(app, conn, shop.workspace, &known(&customer), at).await?;
        }
        "app/uninstalled" => {
            // Whatever else was signed once must not end an installation: this body names its shop.
            if named.is_empty() {
                let words =
                    "The body does not name the shop that removed the app; nothing was done.";
                return Err(Trouble::Unreadable(words.to_owned()));
            }
            let at = delivery.triggered_at.unwrap_or(delivery.received_at);
            if workspaces::shop_uninstalled(conn, shop.id, at).await? {
                privacy::removed(app, conn, &shop).await?;
            } else {
                done.remark = Some(
                    "The app was installed again since this notice; nothing was done.".to_owned(),
                );
            }
        }
        "app/scopes_update" => {
            let scopes = ScopesUpdate::parse(&delivery.body).map_err(Trouble::unreadable)?;
            let at = delivery.triggered_at.unwrap_or(delivery.received_at);
            workspaces::shop_scopes_changed(conn, shop.id, &scopes.current, at).await?;
        }
        "variants/in_stock" => {
            let variant = variant_id(&delivery.body).map_err(Trouble::unreadable)?;
            let at = delivery.triggered_at.unwrap_or(delivery.received_at);
            opt_ins::came_back(conn, shop.workspace, &variant.to_string(), at).await?;
        }
        "app_subscriptions/update" => {
            workspaces::plan_changed(conn, shop.workspace, app.clock.now()).await?;
        }
        "products/update" => {
            let product = Product::parse(&delivery.body).map_err(Trouble::unreadable)?;
            save_product(conn, shop.workspace, &product).await?;
        }
        _ => {}
    }
    Ok(done)
}

/// A demand about people of whom we keep nothing is done as soon as it is understood.
fn unknown_shop(delivery: &Delivery) -> Understood {
    let is_demand = privacy::is_demand(&delivery.topic);
    Understood {
        remark: (!is_demand).then(|| {
            "No workspace is connected to this shop. Connect it, then replay this.".to_owned()
        }),
        forget: is_demand,
        ..Understood::default()
    }
}

async fn checkout(
    app: &App,
    conn: &mut Conn,
    shop: &Shop,
    delivery: &Delivery,
    done: &mut Understood,
) -> Result<(), Trouble> {
    let checkout = Checkout::parse(&delivery.body).map_err(Trouble::unreadable)?;
    let ws = shop.workspace;
    let mut buyer = checkout.customer.as_ref().map(known).unwrap_or_default();
    if let Some(customer) = &checkout.customer {
        let at = customer.updated_at.unwrap_or(checkout.updated_at);
        subscribers::save_customer(app, conn, ws, &buyer, at).await?;
    }
    buyer.email = buyer.email.or(checkout.email.clone());
    buyer.phone = buyer.phone.or(checkout.phone.clone());
    if !checkouts::save(conn, ws, &checkout).await? {
        return Ok(());
    }
    let mut people = subscribers::recognise(app, conn, ws, &buyer).await?;
    people.extend(subscribers::by_checkout(conn, ws, &checkout.token).await?);
    people.sort();
    people.dedup();
    done.runs |= checkouts::start_abandoned(app, conn, ws, &people, &checkout.token).await?;
    Ok(())
}

pub(super) fn known(customer: &Customer) -> Known {
    Known {
        customer_id: Some(customer.id.to_string()),
        email: customer.email.clone(),
        phone: customer.phone.clone(),
        klaviyo_profile_id: None,
        first_name: customer.first_name.clone(),
        last_name: customer.last_name.clone(),
    }
}

async fn save_product(conn: &mut Conn, ws: WorkspaceId, product: &Product) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO products (workspace_id, id, title, handle, image_url, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (workspace_id, id) DO UPDATE SET
             title = excluded.title, handle = excluded.handle, image_url = excluded.image_url,
             updated_at = excluded.updated_at
         WHERE products.updated_at <= excluded.updated_at",
    )
    .bind(ws)
    .bind(product.id.to_string())
    .bind(&product.title)
    .bind(product.handle.as_deref())
    .bind(product.image_url.as_deref())
    .bind(product.updated_at)
    .execute(conn)
    .await?;
    Ok(())
}
