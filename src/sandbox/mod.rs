//! Meta, Shopify and Klaviyo imitated over HTTP, strict as the originals.
