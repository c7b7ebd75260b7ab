//! UTM parameters and the click id, added to the merchant's address; what is there already stays.

use std::collections::HashSet;

use url::form_urlencoded;

use crate::store::ids::ClickId;

/// What every link of a message carries. Stored with the message's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tags {
    /// `utm_source`, `utm_medium`, `utm_campaign`, `utm_id` and what the merchant set, in order.
    pub utm: Vec<(String, String)>,
}

impl Tags {
    /// The defaults of design section 7 for something named `name` with the id `id`; `overrides`
    /// (keys without or with the `utm_` prefix) win, and an empty one leaves its parameter out.
    pub fn new(name: &str, id: &str, overrides: &[(String, String)]) -> Self {
        let mut utm = vec![
            ("utm_source".to_owned(), "pagecast".to_owned()),
            ("utm_medium".to_owned(), "messenger".to_owned()),
            ("utm_campaign".to_owned(), slug(name, id)),
            ("utm_id".to_owned(), id.to_owned()),
        ];
        for (key, value) in overrides {
            let key = key.trim().to_lowercase();
            if key.is_empty() || key == "utm_" {
                continue;
            }
            let key = if key.starts_with("utm_") {
                key
            } else {
                format!("utm_{key}")
            };
            let value = value.trim().to_owned();
            match utm.iter_mut().find(|(known, _)| *known == key) {
                Some(known) => known.1 = value,
                None => utm.push((key, value)),
            }
        }
        utm.retain(|(_, value)| !value.is_empty());
        Self { utm }
    }
}

/// The address to lead on to. `click` becomes `pc_click` and `ref`. What the merchant wrote stays
/// byte for byte, save for click ids of ours: a link copied from the browser after a click would
/// credit everybody's orders to that one click.
pub fn tag(url: &str, tags: &Tags, click: ClickId) -> String {
    let url = url.trim();
    if !is_web(url) {
        return url.to_owned();
    }
    let (address, fragment) = match url.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (url, None),
    };
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut taken = HashSet::new();
    let mut parts: Vec<&str> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let Some((name, value)) = form_urlencoded::parse(part.as_bytes()).next() else {
            continue;
        };
        if is_stale_click(&name, &value) {
            continue;
        }
        taken.insert(comparable(&name));
        parts.push(part);
    }
    let click = click.to_string();
    let ours = tags
        .utm
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .chain([("pc_click", click.as_str()), ("ref", click.as_str())])
        .filter(|(key, _)| !taken.contains(&comparable(key)));
    let mut added = form_urlencoded::Serializer::new(String::new());
    added.extend_pairs(ours);
    let added = added.finish();
    if !added.is_empty() {
        parts.push(&added);
    }
    let mut tagged = path.to_owned();
    if !parts.is_empty() {
        tagged.push('?');
        tagged.push_str(&parts.join("&"));
    }
    if let Some(fragment) = fragment {
        tagged.push('#');
        tagged.push_str(fragment);
    }
    tagged
}

fn is_web(url: &str) -> bool {
    let starts = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("https://") || starts("http://")
}

fn is_stale_click(name: &str, value: &str) -> bool {
    matches!(name, "pc_click" | "ref") && value.parse::<ClickId>().is_ok()
}

/// `UTM_Source` and `utm_source` are one parameter to every analytics tool; others are told apart
/// by case.
fn comparable(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower.starts_with("utm_") {
        lower
    } else {
        name.to_owned()
    }
}

/// Lower case, words joined by hyphens; the id where nothing is left of the name.
fn slug(name: &str, id: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return id.to_owned();
    }
    words.join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    fn tags() -> Tags {
        Tags::new("Spring Sale!", "cmp_1", &[])
    }

    #[test]
    fn the_defaults_name_the_campaign() {
        let expected = [
            pair("utm_source", "pagecast"),
            pair("utm_medium", "messenger"),
            pair("utm_campaign", "spring-sale"),
            pair("utm_id", "cmp_1"),
        ];
        assert_eq!(tags().utm, expected);
        assert_eq!(Tags::new("!!", "cmp_1", &[]).utm[2].1, "cmp_1");
    }

    #[test]
    fn what_the_merchant_set_wins_with_or_without_the_prefix() {
        let set = [
            pair("source", "shop"),
            pair("utm_medium", "chat"),
            pair("UTM_Term", "vip"),
            pair("campaign", ""),
        ];
        let expected = [
            pair("utm_source", "shop"),
            pair("utm_medium", "chat"),
            pair("utm_id", "cmp_1"),
            pair("utm_term", "vip"),
        ];
        assert_eq!(Tags::new("Sale", "cmp_1", &set).utm, expected);
    }

    #[test]
    fn tags_follow_what_the_merchant_wrote() {
        let click = ClickId(77);
        let utm = "utm_source=pagecast&utm_medium=messenger&utm_campaign=spring-sale&utm_id=cmp_1";
        let ours = format!("{utm}&pc_click={click}&ref={click}");
        for (url, expected) in [
            ("https://s.example", format!("https://s.example?{ours}")),
            (
                "https://s.example/a?",
                format!("https://s.example/a?{ours}"),
            ),
            (
                "https://s.example/a?b=%20+%C3%A4&_kx=J8%3D.M#top?x",
                format!("https://s.example/a?b=%20+%C3%A4&_kx=J8%3D.M&{ours}#top?x"),
            ),
            (
                "HTTP://s.example/?flag&z=1",
                format!("HTTP://s.example/?flag&z=1&{ours}"),
            ),
        ] {
            assert_eq!(tag(url, &tags(), click), expected);
        }
    }

    #[test]
    fn a_parameter_that_is_there_is_kept_and_not_doubled() {
        let click = ClickId(77);
        let tagged = tag(
            "https://s.example/?UTM_Source=mail&ref=friend&utm_campaign=",
            &tags(),
            click,
        );
        assert_eq!(
            tagged,
            format!(
                "https://s.example/?UTM_Source=mail&ref=friend&utm_campaign=\
                 &utm_medium=messenger&utm_id=cmp_1&pc_click={click}"
            )
        );
    }

    #[test]
    fn a_click_id_copied_from_an_older_click_gives_way() {
        let tagged = tag(
            &format!(
                "https://s.example/?a=1&pc_click={0}&ref={0}&b=2",
                ClickId(5)
            ),
            &Tags::default(),
            ClickId(77),
        );
        let click = ClickId(77);
        assert_eq!(
            tagged,
            format!("https://s.example/?a=1&b=2&pc_click={click}&ref={click}")
        );
    }

    #[test]
    fn what_is_no_web_address_is_left_alone() {
        for url in ["tel:+491234", "mailto:a@b.example?subject=x", "äöü", ""] {
            assert_eq!(tag(url, &tags(), ClickId(1)), url);
        }
    }

    proptest! {
        #[test]
        fn the_merchants_query_survives_and_the_click_arrives(
            query in "[a-zA-Z0-9=&%+._~-]{0,40}",
            fragment in proptest::option::of("[a-z?#=]{0,10}"),
        ) {
            let mut url = format!("https://s.example/p?{query}");
            if let Some(fragment) = &fragment {
                url.push('#');
                url.push_str(fragment);
            }
            let tagged = tag(&url, &tags(), ClickId(9));
            let parsed = url::Url::parse(&tagged).unwrap();
            let pairs: Vec<_> = parsed.query_pairs().into_owned().collect();
            let kept: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned()
                .filter(|(name, value)| !(name.is_empty() && value.is_empty())).collect();
            let found: Vec<_> = pairs.iter()
                .filter(|(name, value)| !(name.is_empty() && value.is_empty()))
                .take(kept.len()).cloned().collect();
            prop_assert_eq!(kept, found);
            prop_assert_eq!(parsed.fragment(), fragment.as_deref());
            prop_assert!(pairs.iter().any(|(name, _)| name == "pc_click"));
        }
    }
}
