//! What comes with every webhook: the signature over the raw bytes and the headers of both families.
