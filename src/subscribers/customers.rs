//! The shop's customers, as far as they are needed to recognise a subscriber.

use crate::app::App;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::names;
use crate::store::sealed::{email_hash, phone_hash};
use crate::store::{Conn, clean};

/// What is known of a person from outside; any part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub customer_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub klaviyo_profile_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// A value as it is kept: clean, and absent rather than empty.
fn kept(value: Option<&String>) -> Option<String> {
    value
        .map(|text| clean(text.trim()))
        .filter(|text| !text.is_empty())
}

impl Known {
    pub fn email_hash(&self) -> Option<String> {
        self.email.as_deref().and_then(email_hash)
    }

    pub fn phone_hash(&self) -> Option<String> {
        self.phone.as_deref().and_then(phone_hash)
    }
}

/// Creates or updates the shop's customer (never backwards in `updated_at`) and hands names and
/// addresses on to the subscribers linked to it.
pub async fn save_customer(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    customer: &Known,
    updated_at: i64,
) -> anyhow::Result<()> {
    let Some(id) = kept(customer.customer_id.as_ref()) else {
        return Ok(());
    };
    let context = |field: &str| format!("customers.{field}:{}:{id}", ws.0);
    let (email, phone) = (kept(customer.email.as_ref()), kept(customer.phone.as_ref()));
    let seal = |field: &str, value: &Option<String>| {
        value
            .as_deref()
            .map(|value| app.keys.seal(&context(field), value))
            .transpose()
    };
    let saved = sqlx::query(
        "INSERT INTO customers (workspace_id, id, first_name, last_name, email_hash, email_sealed,
             phone_hash, phone_sealed, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (workspace_id, id) DO UPDATE SET
             first_name = COALESCE(excluded.first_name, customers.first_name),
             last_name = COALESCE(excluded.last_name, customers.last_name),
             email_hash = COALESCE(excluded.email_hash, customers.email_hash),
             email_sealed = COALESCE(excluded.email_sealed, customers.email_sealed),
             phone_hash = COALESCE(excluded.phone_hash, customers.phone_hash),
             phone_sealed = COALESCE(excluded.phone_sealed, customers.phone_sealed),
             updated_at = excluded.updated_at
         WHERE customers.updated_at <= excluded.updated_at AND customers.erased_at IS NULL",
    )
    .bind(ws)
    .bind(&id)
    .bind(kept(customer.first_name.as_ref()))
    .bind(kept(customer.last_name.as_ref()))
    .bind(customer.email_hash())
    .bind(seal("email", &email)?)
    .bind(customer.phone_hash())
    .bind(seal("phone", &phone)?)
    .bind(updated_at)
    .execute(&mut *conn)
    .await?;
    if saved.rows_affected() == 0 {
        return Ok(());
    }
    let linked: Vec<(SubscriberId,)> =
        sqlx::query_as("SELECT id FROM subscribers WHERE workspace_id = $1 AND customer_id = $2")
            .bind(ws)
            .bind(&id)
            .fetch_all(&mut *conn)
            .await?;
    for (subscriber,) in linked {
        link_customer(app, conn, subscriber, customer).await?;
    }
    Ok(())
}

/// The customer with everything the shop told us, for a link that knows only its id.
pub async fn customer(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: &str,
) -> anyhow::Result<Option<Known>> {
    type Row = (
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(
        "SELECT first_name, last_name, email_sealed, phone_sealed FROM customers
         WHERE workspace_id = $1 AND id = $2 AND erased_at IS NULL",
    )
    .bind(ws)
    .bind(id)
    .fetch_optional(conn)
    .await?;
    let Some((first_name, last_name, email, phone)) = row else {
        return Ok(None);
    };
    let open = |field: &str, sealed: Option<String>| {
        sealed
            .map(|sealed| {
                app.keys
                    .open(&format!("customers.{field}:{}:{id}", ws.0), &sealed)
            })
            .transpose()
            .map(|secret| {
                secret.map(|secret| secrecy::ExposeSecret::expose_secret(&secret).to_owned())
            })
    };
    Ok(Some(Known {
        customer_id: Some(id.to_owned()),
        email: open("email", email)?,
        phone: open("phone", phone)?,
        klaviyo_profile_id: None,
        first_name,
        last_name,
    }))
}

/// Writes what is known onto the subscriber; never replaces a value by nothing.
pub async fn link_customer(
    app: &App,
    conn: &mut Conn,
    id: SubscriberId,
    known: &Known,
) -> anyhow::Result<()> {
    // Addresses are opened again when events go to Klaviyo: profiles knows these contexts.
    let seal = |field: &str, value: Option<String>| {
        value
            .map(|value| {
                app.keys
                    .seal(&format!("subscribers.{field}:{}", id.0), &value)
            })
            .transpose()
    };
    sqlx::query(
        "UPDATE subscribers SET
             customer_id = COALESCE($2, customer_id),
             klaviyo_profile_id = COALESCE($3, klaviyo_profile_id),
             first_name = COALESCE($4, first_name),
             last_name = COALESCE($5, last_name),
             first_key = COALESCE($10, first_key),
             last_key = COALESCE($11, last_key),
             email_hash = COALESCE($6, email_hash),
             email_sealed = COALESCE($7, email_sealed),
             phone_hash = COALESCE($8, phone_hash),
             phone_sealed = COALESCE($9, phone_sealed)
         WHERE id = $1 AND erased_at IS NULL",
    )
    .bind(id)
    .bind(kept(known.customer_id.as_ref()))
    .bind(kept(known.klaviyo_profile_id.as_ref()))
    .bind(kept(known.first_name.as_ref()))
    .bind(kept(known.last_name.as_ref()))
    .bind(known.email_hash())
    .bind(seal("email", kept(known.email.as_ref()))?)
    .bind(known.phone_hash())
    .bind(seal("phone", kept(known.phone.as_ref()))?)
    .bind(kept(known.first_name.as_ref()).map(|name| names::key(&name)))
    .bind(kept(known.last_name.as_ref()).map(|name| names::key(&name)))
    .execute(conn)
    .await?;
    Ok(())
}

/// The workspace's subscribers that this person is: by customer, Klaviyo profile, e-mail, phone.
pub async fn recognise(
    _app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    known: &Known,
) -> anyhow::Result<Vec<SubscriberId>> {
    let rows: Vec<(SubscriberId,)> = sqlx::query_as(
        "SELECT id FROM subscribers WHERE workspace_id = $1 AND erased_at IS NULL
           AND id IN (
             SELECT id FROM subscribers WHERE workspace_id = $1 AND customer_id = $2
             UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND klaviyo_profile_id = $3
             UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND email_hash = $4
             UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND phone_hash = $5)
         ORDER BY id LIMIT 100",
    )
    .bind(ws)
    .bind(kept(known.customer_id.as_ref()))
    .bind(kept(known.klaviyo_profile_id.as_ref()))
    .bind(known.email_hash())
    .bind(known.phone_hash())
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
