//! Session tokens, app proxy signatures and the legacy query signature, by the rules of facts/shopify.md.
