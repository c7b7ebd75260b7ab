//! Holds a JSON value against its own published schema and names every place that does not fit:
//! the document that describes the API is what checks the requests, so the two cannot differ.
//! Only the schemas that our types yield are understood, not JSON Schema at large.

use serde_json::{Map, Value};

use crate::web::api::problem::FieldError;

/// More problems than this help nobody.
const MOST: usize = 50;

/// `value` against the schema called `name` among the document's components.
pub(super) fn check(components: &Value, name: &str, value: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    if let Some(schema) = components.get(name) {
        let shape = Shape { components };
        shape.walk(schema, value, "", &mut found);
    }
    found.truncate(MOST);
    found
}

/// One step of a JSON pointer.
pub(super) fn step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

struct Shape<'a> {
    components: &'a Value,
}

impl Shape<'_> {
    fn walk(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<FieldError>) {
        let schema = self.resolve(schema);
        if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
            return self.one_of(variants, value, at, found);
        }
        let kinds = kinds(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_kind(value, kind)) {
            found.push(FieldError::new(
                at,
                format!("This must be {}.", named(&kinds)),
            ));
            return;
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, at, found),
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (i, item) in items.iter().enumerate() {
                        self.walk(schema, item, &format!("{at}/{i}"), found);
                    }
                }
            }
            Value::String(text) => {
                let words: Vec<&str> = strings(schema.get("enum"));
                if !words.is_empty() && !words.contains(&text.as_str()) {
                    found.push(FieldError::new(at, one_word_of(&words)));
                }
            }
            _ => {}
        }
    }

    fn object(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        at: &str,
        found: &mut Vec<FieldError>,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let place = format!("{at}{}", step(name));
            match known.and_then(|known| known.get(name)) {
                Some(field) if field.get("readOnly") == Some(&Value::Bool(true)) => {
                    found.push(FieldError::new(place, "This can be read, but not set."));
                }
                Some(field) => self.walk(field, value, &place, found),
                None => match schema.get("additionalProperties") {
                    Some(Value::Bool(true)) => {}
                    Some(open @ Value::Object(_)) => self.walk(open, value, &place, found),
                    _ => found.push(FieldError::new(place, unknown(known))),
                },
            }
        }
        for name in strings(schema.get("required")) {
            if !fields.contains_key(name) {
                let place = format!("{at}{}", step(name));
                found.push(FieldError::new(place, "This is missing."));
            }
        }
    }

    /// Either something or nothing, or one of the kinds that a `kind` tells apart.
    fn one_of(&self, variants: &[Value], value: &Value, at: &str, found: &mut Vec<FieldError>) {
        let nothing = |schema: &&Value| schema.get("type") == Some(&Value::from("null"));
        if value.is_null() && variants.iter().any(|schema| nothing(&schema)) {
            return;
        }
        let rest: Vec<&Value> = variants.iter().filter(|v| !nothing(v)).collect();
        if let [only] = rest.as_slice() {
            return self.walk(only, value, at, found);
        }
        let Value::Object(fields) = value else {
            found.push(FieldError::new(at, "This must be an object with a `kind`."));
            return;
        };
        let place = format!("{at}/kind");
        let kinds: Vec<&str> = rest.iter().flat_map(|variant| self.tags(variant)).collect();
        let Some(kind) = fields.get("kind") else {
            let detail = format!("This is missing. {}", one_word_of(&kinds));
            found.push(FieldError::new(place, detail));
            return;
        };
        let chosen = rest
            .iter()
            .find(|variant| self.tags(variant).iter().any(|tag| kind == tag));
        match chosen {
            Some(variant) => self.walk(variant, value, at, found),
            None => found.push(FieldError::new(place, one_word_of(&kinds))),
        }
    }

    /// The values of `kind` that this variant is for.
    fn tags<'s>(&'s self, variant: &'s Value) -> Vec<&'s str> {
        strings(self.resolve(variant).pointer("/properties/kind/enum"))
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix("#/components/schemas/"))
            .and_then(|name| self.components.get(name))
            .unwrap_or(schema)
    }
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        list => strings(list),
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn named(kinds: &[&str]) -> String {
    let word = |kind: &&&str| match **kind {
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        _ => "an object",
    };
    let words: Vec<&str> = kinds
        .iter()
        .filter(|kind| **kind != "null")
        .map(|kind| word(&kind))
        .collect();
    words.join(" or ")
}

fn one_word_of(words: &[&str]) -> String {
    format!("Use one of: {}.", words.join(", "))
}

fn unknown(known: Option<&Map<String, Value>>) -> String {
    let names: Vec<&str> = known
        .into_iter()
        .flatten()
        .filter(|(_, field)| field.get("readOnly") != Some(&Value::Bool(true)))
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        return "There is no such field; nothing is expected here.".to_owned();
    }
    format!("There is no such field. There are: {}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::web::api::document;

    /// Every place that is wrong in the body of this schema.
    fn places(name: &str, body: &Value) -> Vec<String> {
        check(document::components(), name, body)
            .into_iter()
            .map(|error| error.pointer)
            .collect()
    }

    fn campaign(message: &Value, audience: &Value) -> Value {
        json!({"name": "Sale", "message": message, "audience": audience})
    }

    #[test]
    fn a_campaign_as_the_design_draws_it_fits() {
        let everyone = json!({"include": [{"kind": "everyone"}],
            "exclude": [{"kind": "tag", "tag": "vip"}], "holdout_percent": 0});
        for message in [
            json!({"kind":"text","text":"Hi {{first_name}}","buttons":[{"kind":"url","title":"Shop now","url":"https://shop.example/sale"}],"quick_replies":[]}),
            json!({"kind":"cards","text":"optional greeting","cards":[{"title":"A","subtitle":"B","image_url":"https://i.example","buttons":[]}]}),
            json!({"kind":"media","media":"image","url":"https://i.example","buttons":[]}),
            json!({"kind":"coupon","title":"T","code":"SAVE10","url":"https://s.example"}),
        ] {
            let body = campaign(&message, &everyone);
            assert_eq!(places("NewCampaign", &body), [""; 0], "{message}");
        }
        for condition in [
            json!({"kind":"klaviyo_segment","segment_id":"S"}),
            json!({"kind":"klaviyo_list","list_id":"L"}),
            json!({"kind":"ordered","days":30}),
            json!({"kind":"not_ordered","days":30}),
            json!({"kind":"clicked","days":30}),
            json!({"kind":"source","source":"qr"}),
        ] {
            let body = json!({"include": [condition]});
            assert_eq!(places("Audience", &body), [""; 0], "{condition}");
        }
    }

    #[test]
    fn an_unknown_field_is_named_where_it_stands_however_deep() {
        let text = json!({"kind":"text","text":"Hi","foo":1,
            "buttons":[{"kind":"url","title":"A","url":"u"},{"kind":"url","title":"B","url":"u","x~/y":1}]});
        let audience = json!({"include":[{"kind":"tag","tag":"vip","days":3}]});
        let mut body = campaign(&text, &audience);
        body["nmae"] = json!("typo");
        assert_eq!(
            places("NewCampaign", &body),
            [
                "/audience/include/0/days",
                "/message/buttons/1/x~0~1y",
                "/message/foo",
                "/nmae"
            ]
        );
    }

    #[test]
    fn a_missing_field_and_a_wrong_value_are_named_inside_a_tagged_object() {
        let text = json!({"kind":"text","buttons":[
            {"kind":"url","title":"A","url":"u"}, {"kind":"url","title":"B"}]});
        let body = campaign(&text, &json!({"include":[{"kind":"ordered","days":"3"}]}));
        assert_eq!(
            places("NewCampaign", &body),
            [
                "/audience/include/0/days",
                "/message/buttons/1/url",
                "/message/text"
            ]
        );
        let steps = json!([{"wait_minutes": 0, "message": {"kind": "text", "text": 5}}]);
        let body = json!({"name": "A", "trigger": {"kind": "opted_in"}, "steps": steps});
        assert_eq!(places("NewAutomation", &body), ["/steps/0/message/text"]);
    }

    #[test]
    fn a_kind_that_is_missing_or_unknown_says_which_there_are() {
        let audience = json!({"include": [{"kind": "everybody"}, {}, "everyone"]});
        let found = check(document::components(), "Audience", &audience);
        let places: Vec<&str> = found.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(places, ["/include/0/kind", "/include/1/kind", "/include/2"]);
        assert!(found[0].detail.contains("everyone"), "{}", found[0].detail);
    }

    #[test]
    fn settings_can_be_cleared_but_the_klaviyo_key_not_set() {
        assert_eq!(
            places("SettingsPatch", &json!({"quiet_hours": null})),
            [""; 0]
        );
        assert_eq!(
            places("SettingsPatch", &json!({"klaviyo": {"flow_key": "x"}})),
            ["/klaviyo"]
        );
        assert_eq!(
            places(
                "SettingsPatch",
                &json!({"quiet_hours": {"start": "21:00"}, "cap_hours": null})
            ),
            ["/cap_hours", "/quiet_hours/end"]
        );
    }
}
