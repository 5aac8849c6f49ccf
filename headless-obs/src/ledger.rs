//! The ledger: attributed totals.
