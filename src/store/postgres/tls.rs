//! TLS to the server, whose certificate chain and host name are always verified: tokio-postgres has no such mode.

use std::{
    error::Error,
    fs, io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::store::ServerFault;

/// Makes TLS connections to any host.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

/// Makes a TLS connection to one host.
pub(super) struct ToHost {
    connector: TlsConnector,
    name: ServerName<'static>,
}

pub(super) struct Stream<S>(Box<client::TlsStream<S>>);

impl Tls {
    /// # Errors
    /// If the file with the certificate authorities cannot be used.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(ca) = ca {
            roots.roots.clear();
            for certificate in certificates(ca)? {
                let added = roots.add(certificate);
                added.map_err(|_| format!("{} has a certificate that cannot be read", ca.display()))?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS cannot be used: {e}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = file.display();
    let pem = fs::read(file).map_err(|e| format!("{path}: {e}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| format!("{path} has no certificate in PEM"))
}

/// Why a handshake with a host failed; none if the connection broke for another reason than TLS.
pub(super) fn fault(error: &io::Error, host: &str) -> Option<ServerFault> {
    use rustls::{CertificateError as Fault, Error};
    Some(match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(fault) => match fault {
            // A bad signature: an authority of the same name with another key.
            Fault::UnknownIssuer | Fault::BadSignature => ServerFault::UnknownAuthority,
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
                ServerFault::OtherName(host.to_owned())
            }
            Fault::Expired | Fault::ExpiredContext { .. } => certificate("it has expired"),
            Fault::NotValidYet | Fault::NotValidYetContext { .. } => certificate("it is not valid yet"),
            Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
                certificate("it is not for a server")
            }
            fault => ServerFault::Certificate(fault.to_string()),
        },
        error => ServerFault::Failed(format!("the TLS handshake failed: {error}")),
    })
}

fn certificate(why: &str) -> ServerFault {
    ServerFault::Certificate(why.to_owned())
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = ToHost;
    type Error = Box<dyn Error + Sync + Send>;

    fn make_tls_connect(&mut self, host: &str) -> Result<ToHost, Self::Error> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(ToHost { connector: TlsConnector::from(Arc::clone(&self.0)), name })
    }
}

impl<S> TlsConnect<S> for ToHost
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.name, stream).await?;
            Ok(Stream(Box::new(stream)))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
