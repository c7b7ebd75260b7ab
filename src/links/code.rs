//! The click code: message, link number and MAC in at most 32 characters, without a row.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::ids::{MessageKey, OriginId, SubscriberId};
use crate::store::sealed::{Keys, Purpose};

/// Origin, subscriber and link number.
const SIGNED: usize = 17;
const MAC: usize = 7;
/// 24 bytes fill 32 characters without spare bits, so there is one spelling of each code.
const CHARACTERS: usize = 32;

/// base64url of origin (8 bytes), subscriber (8), link (1), MAC (7): 32 characters.
pub fn code(keys: &Keys, message: MessageKey, link: u8) -> String {
    let mut bytes = [0; SIGNED + MAC];
    bytes[..8].copy_from_slice(&message.origin.0.to_be_bytes());
    bytes[8..16].copy_from_slice(&message.subscriber.0.to_be_bytes());
    bytes[16] = link;
    let mac: [u8; MAC] = keys.sign(Purpose::Click, &bytes[..SIGNED]);
    bytes[SIGNED..].copy_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What the code says, if we made it.
pub fn parse_code(keys: &Keys, text: &str) -> Option<(MessageKey, u8)> {
    if text.len() != CHARACTERS {
        return None;
    }
    let bytes: [u8; SIGNED + MAC] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (signed, mac) = bytes.split_at(SIGNED);
    if !keys.verify(Purpose::Click, signed, mac) {
        return None;
    }
    let number = |from: usize| -> Option<i64> {
        Some(i64::from_be_bytes(signed[from..from + 8].try_into().ok()?))
    };
    let message = MessageKey {
        origin: OriginId(number(0)?),
        subscriber: SubscriberId(number(8)?),
    };
    Some((message, signed[16]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(origin: i64, subscriber: i64) -> MessageKey {
        MessageKey {
            origin: OriginId(origin),
            subscriber: SubscriberId(subscriber),
        }
    }

    proptest! {
        #[test]
        fn a_code_says_what_went_in(origin: i64, subscriber: i64, link: u8) {
            let keys = Keys::new(&[[7; 32]]);
            let text = code(&keys, key(origin, subscriber), link);
            prop_assert_eq!(text.len(), CHARACTERS);
            prop_assert_eq!(parse_code(&keys, &text), Some((key(origin, subscriber), link)));
        }

        #[test]
        fn a_code_with_any_bit_flipped_is_not_ours(origin: i64, subscriber: i64, link: u8, bit in 0_usize..192) {
            let keys = Keys::new(&[[7; 32]]);
            let mut bytes = URL_SAFE_NO_PAD.decode(code(&keys, key(origin, subscriber), link)).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(parse_code(&keys, &URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn no_other_text_is_a_code(text in ".{0,40}") {
            prop_assert_eq!(parse_code(&Keys::new(&[[7; 32]]), &text), None);
        }
    }

    #[test]
    fn codes_of_an_older_key_still_lead_on_and_those_of_a_stranger_do_not() {
        let old = code(&Keys::new(&[[1; 32]]), key(5, 6), 2);
        let rotated = Keys::new(&[[2; 32], [1; 32]]);
        assert_eq!(parse_code(&rotated, &old), Some((key(5, 6), 2)));
        assert_eq!(parse_code(&Keys::new(&[[2; 32]]), &old), None);
        assert_eq!(parse_code(&rotated, &format!("{old}A")), None);
        assert_eq!(parse_code(&rotated, &old[..28]), None);
    }
}
