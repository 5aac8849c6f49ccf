//! The server's certificate, read again when its files change.
//!
//! In: the paths of chain and key. Out: handshakes. Invariants: what is served was read and checked as a whole; files that
//! do not fit together, as in the middle of a replacement, change nothing. A handshake has a time limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TimedStream;
use crate::config::access::CertificateFiles;

/// The interval at which the files are read.
const EVERY: Duration = Duration::from_secs(10);
/// Time limit for a handshake, the wait for its first byte included.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The first byte of every handshake. No HTTP method begins with it.
const IS_HANDSHAKE: u8 = 0x16;

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One cannot be read.
    #[error("cannot read {file}: {1}; --tls-cert and --tls-key name the files", file = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// It has nothing of that kind.
    #[error("{file} has no usable {1} in PEM: {2}", file = .0.display())]
    Wrong(PathBuf, &'static str, pem::Error),
    /// They do not belong together, or the kind of key is unknown.
    #[error("cannot serve the certificate {chain} with the key {key}: {1}", chain = .0.chain.display(), key = .0.key.display())]
    Misfit(CertificateFiles, rustls::Error),
}

/// A certificate that is served.
pub struct Certificate {
    files: CertificateFiles,
    served: Mutex<Served>,
}

struct Served {
    contents: Contents,
    acceptor: TlsAcceptor,
}

/// The protocol of a peer.
#[derive(Debug)]
pub(super) enum Accepted {
    Tls(Box<TlsStream<TimedStream>>),
    /// No TLS.
    Plain(TimedStream),
}

/// The bytes of chain and key.
type Contents = [Vec<u8>; 2];

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If they are no certificate with its key.
    pub fn open(files: CertificateFiles) -> Result<Self, CertificateError> {
        let contents = read(&files)?;
        let acceptor = acceptor(&files, &contents)?;
        Ok(Self { files, served: Mutex::new(Served { contents, acceptor }) })
    }

    /// Reads the files again and again. Never ends.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut told = None;
        loop {
            tokio::time::sleep(EVERY).await;
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.renew()).await {
                Ok(Ok(is_new)) => {
                    if is_new {
                        tracing::info!(file = %self.files.chain.display(), "serves the certificate that is there now");
                    }
                    told = None;
                }
                Ok(Err(error)) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "still serves the certificate that was there before");
                    }
                    told = Some(error);
                }
                Err(error) => tracing::error!(%error, "reading the certificate crashed; please report this"),
            }
        }
    }

    /// Reads the files; returns whether they have changed.
    fn renew(&self) -> Result<bool, CertificateError> {
        let contents = read(&self.files)?;
        if self.served.lock().unwrap_or_else(PoisonError::into_inner).contents == contents {
            return Ok(false);
        }
        let acceptor = acceptor(&self.files, &contents)?;
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = Served { contents, acceptor };
        Ok(true)
    }

    /// Shakes hands, with a peer that wants to; nothing if that fails or takes too long.
    pub(super) async fn accept(&self, stream: TimedStream) -> Option<Accepted> {
        let accepted = async {
            let mut first = [0];
            stream.get_ref().peek(&mut first).await?;
            if first != [IS_HANDSHAKE] {
                return Ok(Accepted::Plain(stream));
            }
            let acceptor = self.served.lock().unwrap_or_else(PoisonError::into_inner).acceptor.clone();
            Ok::<_, io::Error>(Accepted::Tls(Box::new(acceptor.accept(stream).await?)))
        };
        match timeout(HANDSHAKE, accepted).await {
            Ok(Ok(accepted)) => Some(accepted),
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake failed");
                None
            }
            Err(_elapsed) => None,
        }
    }
}

fn read(files: &CertificateFiles) -> Result<Contents, CertificateError> {
    let read =
        |path: &Path| fs::read(path).map_err(|error| CertificateError::Unreadable(path.to_owned(), error));
    Ok([read(&files.chain)?, read(&files.key)?])
}

fn acceptor(files: &CertificateFiles, [chain, key]: &Contents) -> Result<TlsAcceptor, CertificateError> {
    let no_chain = |error| CertificateError::Wrong(files.chain.clone(), "certificate", error);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(no_chain)?;
    if chain.is_empty() {
        return Err(no_chain(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| CertificateError::Wrong(files.key.clone(), "private key", error))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| CertificateError::Misfit(files.clone(), error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
pub(crate) mod test_authority;
#[cfg(test)]
mod tests;
