//! The `ref` of an m.me link: opaque and signed. It carries the link's id; what the link knows of
//! the person stays in our row and never travels.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::ids::LinkId;
use crate::store::sealed::{Keys, Purpose};

const VERSION: u8 = 1;
const MAC: usize = 9;

/// Version, id and MAC: 24 characters of base64url.
pub fn reference(keys: &Keys, link: LinkId) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&link.0.to_be_bytes());
    let mac: [u8; MAC] = keys.sign(Purpose::Reference, &bytes);
    bytes.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The link of a `ref` that we signed.
pub fn resolve_reference(keys: &Keys, text: &str) -> Option<LinkId> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok()?;
    let (signed, mac) = bytes.split_at_checked(9)?;
    if signed.first() != Some(&VERSION) || mac.len() != MAC {
        return None;
    }
    if !keys.verify(Purpose::Reference, signed, mac) {
        return None;
    }
    Some(LinkId(i64::from_be_bytes(
        signed.get(1..)?.try_into().ok()?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_back_to_its_link_and_cannot_be_made_up() {
        let keys = Keys::new(&[[7; 32]]);
        let text = reference(&keys, LinkId(123_456));
        assert_eq!(text.len(), 24);
        assert_eq!(resolve_reference(&keys, &text), Some(LinkId(123_456)));
        assert_eq!(resolve_reference(&Keys::new(&[[8; 32]]), &text), None);
        for i in 0..text.len() {
            let mut other: Vec<char> = text.chars().collect();
            other[i] = if other[i] == 'A' { 'B' } else { 'A' };
            let other: String = other.into_iter().collect();
            assert_eq!(resolve_reference(&keys, &other), None, "{other}");
        }
        for nonsense in ["", "x", "%%%", &"A".repeat(2_000)] {
            assert_eq!(resolve_reference(&keys, nonsense), None);
        }
    }
}
