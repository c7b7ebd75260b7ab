//! The OpenAPI document, made from what the handlers say of themselves; what holds for every call
//! (the token, the errors, the idempotency key) is added here once.

use std::sync::LazyLock;

use axum::Router;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::web::Web;
use crate::web::api::problem::{Document, FieldError};
use crate::web::api::{
    automations, campaigns, messages, opt_in_links, orders, repair, reports, settings, subscribers,
};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| complete(&routes_and_document().1));

/// The document, as it is answered.
pub(super) fn document() -> &'static Value {
    &DOCUMENT
}

/// Its schemas by name.
pub(super) fn components() -> &'static Value {
    static NONE: Value = Value::Null;
    DOCUMENT.pointer("/components/schemas").unwrap_or(&NONE)
}

/// Every call of the API, without who may call.
pub(super) fn calls() -> Router<Web> {
    routes_and_document().0
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pagecast",
        version = "1",
        description = "Marketing on Messenger for Shopify stores. A token opens one workspace; \
            make one with `pagecast token create`.",
    ),
    components(schemas(Document, FieldError))
)]
struct Api;

fn routes_and_document() -> (Router<Web>, utoipa::openapi::OpenApi) {
    let calls = OpenApiRouter::new()
        .routes(routes!(
            campaigns::create_campaign,
            campaigns::list_campaigns
        ))
        .routes(routes!(
            campaigns::get_campaign,
            campaigns::change_campaign,
            campaigns::delete_campaign
        ))
        .routes(routes!(campaigns::schedule_campaign))
        .routes(routes!(campaigns::pause_campaign))
        .routes(routes!(campaigns::resume_campaign))
        .routes(routes!(campaigns::cancel_campaign))
        .routes(routes!(repair::repair_campaign))
        .routes(routes!(campaigns::test_campaign))
        .routes(routes!(messages::list_messages))
        .routes(routes!(
            automations::create_automation,
            automations::list_automations
        ))
        .routes(routes!(
            automations::get_automation,
            automations::change_automation,
            automations::delete_automation
        ))
        .routes(routes!(subscribers::list_subscribers))
        .routes(routes!(subscribers::get_subscriber))
        .routes(routes!(subscribers::opt_out_subscriber))
        .routes(routes!(subscribers::tag_subscriber))
        .routes(routes!(opt_in_links::create_opt_in_link))
        .routes(routes!(orders::list_orders))
        .routes(routes!(orders::get_order))
        .routes(routes!(reports::get_overview))
        .routes(routes!(settings::get_settings, settings::change_settings));
    OpenApiRouter::with_openapi(Api::openapi())
        .nest("/api/v1", calls)
        .split_for_parts()
}

fn complete(generated: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(generated).unwrap_or_default();
    document["security"] = json!([{ "token": [] }]);
    document["components"]["securitySchemes"] = json!({"token": {
        "type": "http", "scheme": "bearer", "bearerFormat": "pc_…",
        "description": "An API token of one workspace."
    }});
    document["components"]["responses"] = json!({"Problem": {
        "description": "Why the call was not carried out.",
        "content": {"application/problem+json":
            {"schema": {"$ref": "#/components/schemas/Problem"}}}
    }});
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        close(schemas);
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, calls) in paths {
        for (method, call) in calls.as_object_mut().into_iter().flatten() {
            describe_errors(path, method, call);
            if method == "post" {
                accept_key(call);
            }
        }
    }
    document
}

/// Objects told apart by their `kind` refuse other fields, as the types behind them do.
fn close(schemas: &mut Value) {
    for (_, schema) in schemas.as_object_mut().into_iter().flatten() {
        let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        for variant in variants.into_iter().flatten() {
            if variant.pointer("/properties/kind").is_some() {
                variant["additionalProperties"] = json!(false);
            }
        }
    }
}

fn describe_errors(path: &str, method: &str, call: &mut Value) {
    let mut statuses = vec!["401"];
    if path.contains("{id}") {
        statuses.push("404");
    }
    if method == "get" {
        statuses.push("400");
    } else {
        statuses.extend(["409", "422"]);
    }
    statuses.push("default");
    let responses = &mut call["responses"];
    for status in statuses {
        responses[status] = json!({"$ref": "#/components/responses/Problem"});
    }
}

fn accept_key(call: &mut Value) {
    let key = json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "The same key with the same request is carried out once; its answer is \
            kept for a day and given again with `Idempotency-Replayed: true`.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255}
    });
    match call.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(key),
        None => call["parameters"] = json!([key]),
    }
}
