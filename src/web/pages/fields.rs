//! What a form says: names and values in order, so lists of fields need no script.

use axum::extract::{Form, FromRequest, Request};

use super::error::Error;
use crate::store::clean;

/// The query of a GET or the body of a POST.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of this name, trimmed; empty when absent.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).unwrap_or_default().trim()
    }

    /// As [`Self::get`], but nothing rather than empty.
    pub fn optional(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// All values of this name, trimmed.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.trim())
    }

    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), clean(&value.into().replace("\r\n", "\n"))))
                .collect(),
        )
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let Form(pairs) = Form::<Vec<(String, String)>>::from_request(request, state)
            .await
            .map_err(|_| {
                Error::refused(
                    "The form could not be read",
                    "Go back, load the page again and send the form once more.",
                )
            })?;
        Ok(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_the_first_or_all_values_of_a_name() {
        let fields: Fields = [("tag", " a "), ("tag", "b\0"), ("text", "x\r\ny")]
            .into_iter()
            .collect();
        assert_eq!(fields.get("tag"), "a");
        assert_eq!(fields.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(fields.get("text"), "x\ny");
        assert_eq!(fields.optional("none"), None);
        assert!(!fields.has("none"));
    }
}
