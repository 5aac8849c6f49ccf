//! Files that are replaced. Handshakes are in the server's tests.

use std::fs;

use super::test_authority::Authority;
use super::*;

#[test]
fn a_certificate_is_replaced_as_a_whole() {
    let authority = Authority::new();
    let certificate = Certificate::open(authority.sign(&["a"], 2100)).unwrap();
    assert!(!certificate.renew().unwrap(), "nothing has changed");
    let files = certificate.files.clone();
    let old_key = fs::read(&files.key).unwrap();
    authority.sign(&["b"], 2100);
    assert!(certificate.renew().unwrap() && !certificate.renew().unwrap());

    // The chain is there before the key.
    let serves = |certificate: &Certificate| certificate.served.lock().unwrap().contents.clone();
    let whole = serves(&certificate);
    let key = fs::read(&files.key).unwrap();
    fs::write(&files.key, &old_key).unwrap();
    let told = certificate.renew().unwrap_err().to_string();
    assert!(told.contains("tls.crt") && told.contains("tls.key"), "{told}");
    assert_eq!(serves(&certificate), whole);
    for half in [&b""[..], b"-----BEGIN PRIVATE KEY-----\nAAAA"] {
        fs::write(&files.key, half).unwrap();
        let told = certificate.renew().unwrap_err().to_string();
        assert!(told.contains("no usable private key"), "{told}");
    }
    fs::remove_file(&files.key).unwrap();
    let told = certificate.renew().unwrap_err().to_string();
    assert!(told.contains("cannot read") && told.contains("--tls-key"), "{told}");
    fs::write(&files.key, key).unwrap();
    assert!(!certificate.renew().unwrap());
}

#[test]
fn what_is_no_certificate_is_told() {
    let authority = Authority::new();
    let files = authority.sign(&["a"], 2100);
    fs::write(&files.chain, "nothing").unwrap();
    let told = Certificate::open(files).unwrap_err().to_string();
    assert!(told.contains("tls.crt has no usable certificate in PEM"), "{told}");
}
