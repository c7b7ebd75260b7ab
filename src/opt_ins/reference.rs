//! The `ref` of an m.me link: opaque and signed. It carries the link's id; what the link knows of
//! the person stays in our row and never travels.

use crate::store::ids::LinkId;
use crate::store::sealed::Keys;

/// Version byte, id, MAC: 25 characters of base64url.
pub fn reference(_keys: &Keys, _link: LinkId) -> String {
    unimplemented!()
}

/// The link of a `ref` that we signed.
pub fn resolve_reference(_keys: &Keys, _text: &str) -> Option<LinkId> {
    unimplemented!()
}
