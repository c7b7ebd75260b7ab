//! The click code: message, link number and MAC in at most 32 characters, without a row.

use crate::store::ids::MessageKey;
use crate::store::sealed::Keys;

/// base64url of origin (8 bytes), subscriber (8), link (1), MAC (7): 32 characters.
pub fn code(_keys: &Keys, _message: MessageKey, _link: u8) -> String {
    unimplemented!()
}

/// What the code says, if we made it.
pub fn parse_code(_keys: &Keys, _text: &str) -> Option<(MessageKey, u8)> {
    unimplemented!()
}
