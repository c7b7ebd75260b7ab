//! The Admin GraphQL API, throttle-aware; every query stands in `queries/` and is checked against the schema by a test.
