//! Evidence: the DNS answers each client received.
