//! Attribution: connection to Service, endpoint and resolution.
