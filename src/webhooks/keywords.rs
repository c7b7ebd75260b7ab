//! Words that are decisions: STOP and its like end all messages, START and its like resume them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Stop,
    Start,
}

const STOP: &[&str] = &[
    "stop",
    "stop all",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "opt out",
    "optout",
    // German, Swedish, Danish; French; Spanish, Portuguese; Italian; Dutch; Tagalog; Vietnamese
    "stopp",
    "abmelden",
    "abbestellen",
    "arret",
    "arrêt",
    "arrêter",
    "désabonner",
    "alto",
    "baja",
    "parar",
    "cancelar",
    "detener",
    "sair",
    "annulla",
    "afmelden",
    "itigil",
    "dừng",
];

const START: &[&str] = &[
    "start",
    "resume",
    "unstop",
    "subscribe",
    "starten",
    "anmelden",
    "reprendre",
    "empezar",
    "iniciar",
    "reanudar",
];

/// The whole message must be the word: "stop by the store" is none.
pub(super) fn keyword(text: &str) -> Option<Keyword> {
    let word = text
        .trim()
        .trim_matches(|c: char| c.is_ascii_punctuation() || matches!(c, '“' | '”' | '’' | '¡'))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    if STOP.contains(&word.as_str()) {
        Some(Keyword::Stop)
    } else if START.contains(&word.as_str()) {
        Some(Keyword::Start)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_means_stop_however_it_is_written() {
        for text in [
            "STOP",
            " stop. ",
            "Stop  All",
            "“stop”",
            "UNSUBSCRIBE!",
            "Arrêt",
            "quit",
        ] {
            assert_eq!(keyword(text), Some(Keyword::Stop), "{text}");
        }
    }

    #[test]
    fn a_sentence_with_the_word_in_it_is_a_sentence() {
        for text in [
            "please don't stop",
            "stop by the store",
            "the end",
            "",
            "...",
            "restart",
        ] {
            assert_eq!(keyword(text), None, "{text}");
        }
        assert_eq!(keyword("Start"), Some(Keyword::Start));
    }
}
