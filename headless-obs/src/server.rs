//! HTTP: /metrics, /healthz, /readyz, /api/v1/snapshot.
