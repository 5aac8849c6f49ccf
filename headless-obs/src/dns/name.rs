//! Domain names to Services: which Service, hostname or SRV port a name could mean.
