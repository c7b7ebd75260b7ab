//! What somebody agrees to, in the languages that our extensions speak.

/// A language in which we can ask; whatever else is spoken is asked in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
    German,
    French,
    Spanish,
    Italian,
}

impl Language {
    pub const ALL: [Self; 5] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
    ];

    /// Of a locale as shops write it: `de`, `de-CH`, `pt_BR`.
    pub fn of_locale(locale: &str) -> Self {
        let code = locale.split(['-', '_']).next().unwrap_or_default().trim();
        let known = Self::ALL
            .into_iter()
            .find(|language| code.eq_ignore_ascii_case(language.code()));
        known.unwrap_or_default()
    }

    /// ISO 639-1.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Italian => "it",
        }
    }

    pub(super) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::French => "Français",
            Self::Spanish => "Español",
            Self::Italian => "Italiano",
        }
    }

    /// Who writes, what, how often, and how to stop.
    pub fn consent(self, page: &str) -> String {
        match self {
            Self::English => format!(
                "Yes, send me offers and news from {page} on Messenger, at most one message a day. \
                 I can write STOP at any time."
            ),
            Self::German => format!(
                "Ja, schickt mir Angebote und Neuigkeiten von {page} über Messenger, höchstens eine \
                 Nachricht am Tag. Ich kann jederzeit STOP schreiben."
            ),
            Self::French => format!(
                "Oui, envoyez-moi les offres et les nouvelles de {page} sur Messenger, un message \
                 par jour au plus. Je peux écrire STOP à tout moment."
            ),
            Self::Spanish => format!(
                "Sí, quiero recibir ofertas y novedades de {page} por Messenger, como máximo un \
                 mensaje al día. Puedo escribir STOP en cualquier momento."
            ),
            Self::Italian => format!(
                "Sì, inviatemi offerte e novità di {page} su Messenger, al massimo un messaggio al \
                 giorno. Posso scrivere STOP in qualsiasi momento."
            ),
        }
    }

    /// As [`Self::consent`], of somebody who waits for one thing to come back.
    pub(super) fn stock_consent(self, page: &str) -> String {
        let first = match self {
            Self::English => "Tell me on Messenger when this is back.",
            Self::German => "Sagt mir über Messenger Bescheid, wenn es wieder da ist.",
            Self::French => "Prévenez-moi sur Messenger dès le retour de cet article.",
            Self::Spanish => "Avisadme por Messenger cuando vuelva a estar disponible.",
            Self::Italian => "Avvisatemi su Messenger quando torna disponibile.",
        };
        format!("{first} {}", self.consent(page))
    }

    /// To somebody who asked and is subscribed already.
    pub(super) fn stock_heard(self, title: &str) -> String {
        match self {
            Self::English => format!("We will tell you here when {title} is back."),
            Self::German => format!("Wir sagen dir hier Bescheid, wenn {title} wieder da ist."),
            Self::French => format!("Nous vous préviendrons ici dès le retour de {title}."),
            Self::Spanish => {
                format!("Te avisaremos aquí cuando {title} vuelva a estar disponible.")
            }
            Self::Italian => format!("Ti avviseremo qui quando {title} tornerà disponibile."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_names_its_language_and_a_foreign_one_is_asked_in_english() {
        assert_eq!(Language::of_locale("de-CH"), Language::German);
        assert_eq!(Language::of_locale("FR_ca"), Language::French);
        for other in ["", "pt-BR", "zz", "<script>"] {
            assert_eq!(Language::of_locale(other), Language::English, "{other}");
        }
    }

    #[test]
    fn every_language_says_who_writes_and_how_to_stop() {
        for language in Language::ALL {
            let text = language.consent("Harbour Coffee");
            assert!(
                text.contains("Harbour Coffee") && text.contains("STOP"),
                "{text}"
            );
            assert_eq!(Language::of_locale(language.code()), language);
        }
    }
}
