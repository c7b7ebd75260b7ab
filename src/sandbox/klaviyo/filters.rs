//! The filter language: `operator(field,value)`, joined by commas.

/// `operator(field,value)`; `any` has several values.
#[derive(Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) operator: String,
    pub(super) field: String,
    pub(super) values: Vec<String>,
}

impl Filter {
    /// Compares text, or times when both sides are times.
    pub(super) fn holds(&self, own: Option<&str>) -> bool {
        let Some(own) = own else { return false };
        let first = self.values.first().map_or("", String::as_str);
        let time = |text: &str| crate::clock::parse_rfc3339(text);
        let order = match (time(own), time(first)) {
            (Some(own), Some(value)) => own.cmp(&value),
            _ => own.cmp(first),
        };
        match self.operator.as_str() {
            "greater-than" => order.is_gt(),
            "greater-or-equal" => order.is_ge(),
            "less-than" => order.is_lt(),
            "less-or-equal" => order.is_le(),
            _ => self.values.iter().any(|value| value == own),
        }
    }
}

/// Every condition of a `filter` parameter; `None` when it cannot be read.
pub(super) fn parse_filters(text: &str) -> Option<Vec<Filter>> {
    split_outside(text)?
        .into_iter()
        .map(|part| {
            let (operator, rest) = part.trim().split_once('(')?;
            let (field, value) = rest.strip_suffix(')')?.split_once(',')?;
            let value = value.trim();
            let values = match value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
                Some(list) => split_outside(list)?.iter().map(|v| unquoted(v)).collect(),
                None => vec![unquoted(value)],
            };
            Some(Filter {
                operator: operator.to_owned(),
                field: field.to_owned(),
                values,
            })
        })
        .collect()
}

/// Splits at commas that stand in no bracket and no quotes.
fn split_outside(text: &str) -> Option<Vec<String>> {
    let (mut depth, mut quoted) = (0_i32, None);
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match c {
            '"' | '\'' if quoted.is_none() => quoted = Some(c),
            _ if quoted == Some(c) => quoted = None,
            '(' | '[' if quoted.is_none() => depth += 1,
            ')' | ']' if quoted.is_none() => depth -= 1,
            ',' if depth == 0 && quoted.is_none() => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut()?.push(c);
    }
    (depth == 0 && quoted.is_none()).then_some(parts)
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_with_commas_quotes_and_lists() {
        let filters = parse_filters(
            r#"any(email,["a,b@c","d@e"]),greater-or-equal(joined_group_at,2026-01-01T00:00:00Z)"#,
        )
        .unwrap();
        assert_eq!(filters[0].values, ["a,b@c", "d@e"]);
        assert_eq!(filters[1].field, "joined_group_at");
        assert!(filters[1].holds(Some("2026-01-01T02:00:00+02:00")));
        assert_eq!(parse_filters("equals(email,"), None);
    }
}
