//! DNS messages out of TCP segments.
