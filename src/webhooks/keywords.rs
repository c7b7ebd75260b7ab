//! Words that are decisions: STOP and its like end all messages, START and its like resume them, in
//! the languages of the people who may be written to.

use std::collections::HashSet;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Stop,
    Start,
}

/// Whole messages, in any spelling that [`plain`] levels.
const STOP: &[&str] = &[
    // English
    "stop",
    "stop all",
    "stopall",
    "stop it",
    "stop this",
    "stop now",
    "stop messages",
    "stop messaging",
    "stop sending",
    "stop texting",
    "no more messages",
    "unsubscribe",
    "unsub",
    "cancel",
    "end",
    "quit",
    "opt out",
    "optout",
    "remove",
    // Spanish
    "alto",
    "baja",
    "dar de baja",
    "darme de baja",
    "parar",
    "para",
    "pare",
    "basta",
    "cancelar",
    "cancela",
    "cancelar suscripción",
    "cancelar suscripcion",
    "detener",
    "detente",
    "desuscribir",
    "desuscribirme",
    "no más",
    "no mas",
    "salir",
    "terminar",
    // Portuguese
    "sair",
    "chega",
    "cancelar inscrição",
    "cancelar inscricao",
    "descadastrar",
    "desinscrever",
    "encerrar",
    "remover",
    // French
    "arret",
    "arrêt",
    "arreter",
    "arrêter",
    "arretez",
    "arrêtez",
    "annuler",
    "desabonner",
    "désabonner",
    "me désabonner",
    "désabonnement",
    "desinscrire",
    "désinscrire",
    "désinscription",
    "fin",
    "résilier",
    // German, Dutch, Danish, Swedish, Norwegian
    "stopp",
    "abmelden",
    "abmeldung",
    "abbestellen",
    "austragen",
    "beenden",
    "afmelden",
    "stoppen",
    "uitschrijven",
    "opzeggen",
    "afmeld",
    "avsluta",
    "avslutt",
    "avregistrera",
    // Italian
    "annulla",
    "cancellami",
    "disiscrivi",
    "disiscrivimi",
    "ferma",
    "fermare",
    // Polish
    "anuluj",
    "koniec",
    "rezygnuję",
    "rezygnuje",
    "wypisz",
    "wypisz się",
    "wypisz sie",
    "zakończ",
    "zakoncz",
    "zatrzymaj",
    // Russian, Ukrainian
    "стоп",
    "отписаться",
    "отпишите",
    "отмена",
    "хватит",
    "відписатися",
    // Turkish
    "dur",
    "durdur",
    "iptal",
    "iptal et",
    "abonelikten çık",
    "abonelikten cik",
    "ret",
    // Indonesian, Malay
    "berhenti",
    "berhenti berlangganan",
    "berhenti langganan",
    "henti",
    "hentikan",
    "batal",
    "batalkan",
    "batal langganan",
    "nyahlanggan",
    "tamat",
    // Tagalog
    "itigil",
    "itigil na",
    "tigil",
    "tigilan",
    "ihinto",
    "hinto",
    "huminto",
    "tama na",
    "ayaw ko na",
    // Vietnamese
    "dừng",
    "dừng lại",
    "ngừng",
    "ngừng lại",
    "ngung",
    "hủy",
    "huỷ",
    "hủy đăng ký",
    "huỷ đăng ký",
    "huy dang ky",
    "từ chối",
    // Thai
    "หยุด",
    "หยุดส่ง",
    "หยุดส่งข้อความ",
    "เลิก",
    "เลิกรับ",
    "ยกเลิก",
    "ยกเลิกการรับข้อความ",
    "ยกเลิกการสมัคร",
    "ยกเลิกการติดตาม",
    // Chinese, simplified and traditional
    "停",
    "停止",
    "停止发送",
    "停止發送",
    "退订",
    "退訂",
    "td",
    "取消",
    "取消订阅",
    "取消訂閱",
    "请停止",
    "請停止",
    "终止",
    "終止",
    "结束",
    "結束",
    // Japanese
    "中止",
    "解除",
    "退会",
    "登録解除",
    "配信停止",
    "ストップ",
    "キャンセル",
    "やめて",
    "やめてください",
    "止めて",
    "止めてください",
    // Korean
    "중지",
    "중단",
    "정지",
    "그만",
    "취소",
    "해지",
    "수신거부",
    "수신 거부",
    "구독취소",
    "구독 취소",
    "구독해지",
    "구독 해지",
    // Hebrew
    "עצור",
    "עצרו",
    "הפסק",
    "הפסיקו",
    "תפסיקו",
    "להפסיק",
    "הסר",
    "הסרה",
    "להסיר",
    "הסירו אותי",
    "ביטול",
    "בטל",
    // Arabic
    "توقف",
    "توقفوا",
    "قف",
    "أوقف",
    "اوقف",
    "إيقاف",
    "ايقاف",
    "إلغاء",
    "الغاء",
    "إلغاء الاشتراك",
    "الغاء الاشتراك",
    // Hindi, Bengali, Tamil
    "रोकें",
    "रोको",
    "रोक दो",
    "बंद करें",
    "बंद करो",
    "बंद कर दो",
    "band karo",
    "roko",
    "स्टॉप",
    "सदस्यता समाप्त करें",
    "বন্ধ করুন",
    "বন্ধ",
    "நிறுத்து",
    "நிறுத்தவும்",
];

/// What may stand around a word that ends messages without making it a sentence.
const AROUND: &[&str] = &[
    "please",
    "pls",
    "plz",
    "me",
    "all",
    "now",
    "thanks",
    "thank",
    "you",
    "por",
    "favor",
    "bitte",
    "svp",
    "proszę",
    "prosze",
    "mnie",
    "lütfen",
    "lutfen",
    "tolong",
    "mohon",
    "po",
    "nga",
    "пожалуйста",
    "请",
    "請",
    "من",
    "فضلك",
    "בבקשה",
    "कृपया",
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

/// The whole message must be the word, as often as it is said and however politely: "stop by the
/// store" is none. What brings messages back must be said plainly.
pub(super) fn keyword(text: &str) -> Option<Keyword> {
    // No word is as long as this, and a long text is not taken apart.
    if text.len() > 400 {
        return None;
    }
    let said = plain(text);
    if START.contains(&said.as_str()) {
        return Some(Keyword::Start);
    }
    let mut words: Vec<&str> = said.split(' ').collect();
    words.dedup();
    is_stop(&words).then_some(Keyword::Stop)
}

/// Tries every way of leaving out what stands around, for some of it belongs to a phrase.
fn is_stop(words: &[&str]) -> bool {
    let around = |word: &&&str| AROUND.contains(*word);
    let before = words.iter().take_while(around).count();
    let after = words.iter().rev().take_while(around).count();
    (0..=before).any(|from| {
        (0..=after).any(|left| {
            let rest = words.get(from..words.len() - left);
            rest.is_some_and(|rest| stops().contains(&rest.join(" ")))
        })
    })
}

fn stops() -> &'static HashSet<String> {
    static STOPS: OnceLock<HashSet<String>> = OnceLock::new();
    STOPS.get_or_init(|| STOP.iter().map(|word| plain(word)).collect())
}

/// Small letters and digits, one space between words: no emoji, no punctuation of any script. Wide
/// letters are ordinary ones, and accents that are written beside their letter are left out.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            _ => c,
        };
        for c in c.to_lowercase() {
            match c {
                '\u{300}'..='\u{36f}' => {}
                _ if c.is_alphanumeric() => plain.push(c),
                _ if plain.ends_with(' ') || plain.is_empty() => {}
                _ => plain.push(' '),
            }
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
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
            "«STOP»",
            "stop…",
            "stop！",
            "ＳＴＯＰ",
            "STOP 🛑🙏",
            "🛑stop🛑",
            "stop stop stop",
            "Please stop",
            "stop, please!",
            "PLEASE STOP ALL",
            "unsubscribe me please",
            "Stop messages, thank you",
            "opt-out",
            "UNSUBSCRIBE!",
            "Arrêt",
            "arre\u{302}t",
            "quit",
        ] {
            assert_eq!(keyword(text), Some(Keyword::Stop), "{text}");
        }
    }

    #[test]
    fn stop_is_understood_in_the_languages_of_those_who_may_be_written_to() {
        for text in [
            "Berhenti",
            "tolong berhenti",
            "หยุด!",
            "ยกเลิก",
            "DỪNG",
            "Hủy đăng ký",
            "停止。",
            "退订",
            "取消訂閱",
            "עצור",
            "הסר בבקשה",
            "توقف",
            "إلغاء الاشتراك",
            "İPTAL",
            "DUR",
            "बंद करो",
            "रोकें।",
            "Itigil na po",
            "配信停止",
            "やめてください！",
            "수신거부",
            "Wypisz mnie",
            "Parar, por favor",
            "¡ALTO!",
            "Sair",
            "me désabonner",
            "СТОП",
        ] {
            assert_eq!(keyword(text), Some(Keyword::Stop), "{text}");
        }
    }

    #[test]
    fn every_word_of_the_list_is_found_as_it_stands_there() {
        for word in STOP {
            assert_eq!(keyword(word), Some(Keyword::Stop), "{word}");
        }
        for word in START {
            assert_eq!(keyword(word), Some(Keyword::Start), "{word}");
        }
    }

    #[test]
    fn a_sentence_with_the_word_in_it_is_a_sentence() {
        for text in [
            "please don't stop",
            "don’t stop",
            "Don't stop me now",
            "never stop",
            "stop by the store",
            "Stop by the shop!",
            "I can stop by all week",
            "where is the bus stop",
            "cancel my order 1001 please",
            "the end",
            "please",
            "thank you",
            "all",
            "me",
            "",
            "...",
            "👍",
            "restart",
        ] {
            assert_eq!(keyword(text), None, "{text}");
        }
        let long = format!("stop {}", "🛑".repeat(500));
        assert_eq!(keyword(&long), None);
    }

    #[test]
    fn start_is_said_plainly() {
        assert_eq!(keyword("Start!"), Some(Keyword::Start));
        assert_eq!(keyword("please start all"), None);
        assert_eq!(keyword("start now"), None);
    }
}
