//! A daemon with a certificate, and clients that trust it or do not.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::commands::snapshot_source::SnapshotSource;
use crate::config::access::Judgement;
use crate::config::values::Last;
use crate::engine_handle::fake;
use crate::expose::test_fixtures;
use crate::readiness::Readiness;
use crate::server::access::Access;
use crate::server::tls::Certificate;
use crate::server::tls::test_authority::Authority;
use crate::server::{MAIN, Server, routes::routes};

/// The URL of a daemon with a certificate for this name, until this year.
async fn daemon(certificate: Option<Certificate>, access: Option<Access>) -> String {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), MAIN).await.unwrap();
    let server = server.with_certificate(certificate);
    let url = server.url();
    let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
    tokio::spawn(server.serve(routes(engine, Readiness::waiting_for([]), access), std::future::pending()));
    url
}

/// The complaint; empty if there is none.
async fn said(url: &str, credentials: Credentials) -> String {
    let source = SnapshotSource::Origins(vec![url.parse().unwrap()], credentials, Last::All);
    match source.snapshot().await {
        Ok(snapshot) => {
            assert_eq!(snapshot, test_fixtures::snapshot());
            String::new()
        }
        Err(error) => error.to_string(),
    }
}

fn trusting(ca_file: PathBuf) -> Credentials {
    Credentials { ca_file: Some(ca_file), ..Credentials::default() }
}

#[tokio::test]
async fn a_certificate_is_checked() {
    let (ours, other) = (Authority::new(), Authority::new());
    let url = daemon(Some(Certificate::open(ours.sign(&["127.0.0.1", "obs"], 2100)).unwrap()), None).await;
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    assert_eq!(said(&url, trusting(ours.file())).await, "");
    let named = |name: &str| Credentials { server_name: Some(name.to_owned()), ..trusting(ours.file()) };
    assert_eq!(said(&url, named("obs")).await, "");
    for (credentials, hint) in [
        (named("obs.example"), "--tls-server-name says the name"),
        (trusting(other.file()), "--ca-file names the file of its authority"),
        (trusting("/nowhere".into()), "cannot use the certificates in /nowhere: No such file"),
        (trusting(ours.file().with_file_name("tls.key")), "it has no certificate in PEM"),
    ] {
        let said = said(&url, credentials).await;
        assert!(said.contains(hint), "{hint}: {said}");
    }
    let expired = daemon(Some(Certificate::open(ours.sign(&["127.0.0.1"], 2001)).unwrap()), None).await;
    let said = said(&expired, trusting(ours.file())).await;
    assert!(said.contains("expired") && said.contains("renew its certificate"), "{said}");
}

#[tokio::test]
async fn the_other_protocol_is_told() {
    let authority = Authority::new();
    let encrypted =
        daemon(Some(Certificate::open(authority.sign(&["127.0.0.1"], 2100)).unwrap()), None).await;
    let told = said(&encrypted.replace("https", "http"), Credentials::default()).await;
    assert!(told.contains("400 Bad Request: this port has TLS: the address begins with https://"), "{told}");
    let plain = daemon(None, None).await;
    let told = said(&plain.replace("http", "https"), trusting(authority.file())).await;
    assert!(told.contains("does it serve plain HTTP? Then write http://"), "{told}");
}

#[tokio::test]
async fn a_token_is_sent_and_missed() {
    let authority = Authority::new();
    let certificate = Certificate::open(authority.sign(&["127.0.0.1"], 2100)).unwrap();
    let access = Access::new(Arc::new(|token| {
        let is_good = token == "good";
        Box::pin(
            async move { Ok(if is_good { Judgement::Allowed } else { Judgement::Forbidden("x".into()) }) },
        )
    }));
    let url = daemon(Some(certificate), Some(access)).await;
    let file = authority.file().with_file_name("token");
    let with_token = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Credentials { token_file: Some(file.clone()), ..trusting(authority.file()) }
    };
    assert_eq!(said(&url, with_token("good\n")).await, "");
    for (credentials, hint) in [
        (with_token("bad"), "answers 403 Forbidden: x may not get /metrics"),
        (trusting(authority.file()), "answers 401 Unauthorized: no bearer token"),
    ] {
        let said = said(&url, credentials).await;
        assert!(said.contains(hint) && said.contains("--token-file"), "{hint}: {said}");
    }
    let told = said(&url, with_token(" \n")).await;
    assert!(told.contains("cannot use the token in") && told.contains("it is no token"), "{told}");
}
