//! TLS to the mail server: which certificates are trusted, and why a handshake failed.

use std::{fs, io, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_name,
        },
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
        server::ParsedCertificate,
    },
};

use crate::config;

pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts the public authorities, and the certificates in `smtp.ca_file`.
    ///
    /// # Errors
    /// Startup error, shown to the operator, if that file or the name of the server cannot be used.
    pub fn new(settings: &config::Smtp) -> Result<Self, String> {
        let own = if settings.ca_file.as_os_str().is_empty() {
            Vec::new()
        } else {
            certificates(&settings.ca_file)?
        };
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in &own {
            let file = settings.ca_file.display();
            let added = roots.add(certificate.clone());
            added.map_err(|_| format!("smtp.ca_file: {file} holds a certificate that cannot be read"))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable = |why: &dyn std::fmt::Display| format!("TLS cannot be used: {why}");
        let by_authority =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|e| unusable(&e))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { by_authority, own }))
            .with_no_client_auth();
        let name = ServerName::try_from(settings.host.clone())
            .map_err(|_| format!("smtp.host: {} is no name of a server", settings.host))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = file.display();
    let pem = fs::read(file).map_err(|e| format!("smtp.ca_file: {path}: {e}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("smtp.ca_file: {path} holds no certificate in PEM")),
    }
}

/// Trusts certificates signed by an authority, and a server's own certificate in `smtp.ca_file`: `openssl req -x509` makes one
/// that is self-signed and marked as an authority, which webpki refuses for a server.
#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.by_authority.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            // webpki checks the validity period before it returns this error.
            Err(error) if lacks_authority(&error) && self.own.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// Whether the only fault of a certificate is that no trusted authority signed it.
fn lacks_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(fault) => is_an_authority(fault),
        _ => false,
    }
}

fn is_an_authority(fault: &CertificateError) -> bool {
    let CertificateError::Other(other) = fault else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate is not valid, and why.
    Certificate(&'static str),
    /// There is no version or cipher in common.
    Incompatible,
    /// The server does not speak TLS.
    NotTls,
}

/// Returns `None` if the connection broke for another reason than TLS.
pub fn tls_error(error: &io::Error) -> Option<TlsError> {
    Some(match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(fault) => TlsError::Certificate(describe(fault)),
        Error::AlertReceived(_) | Error::PeerIncompatible(_) => TlsError::Incompatible,
        _ => TlsError::NotTls,
    })
}

fn describe(fault: &CertificateError) -> &'static str {
    use CertificateError as Fault;
    match fault {
        Fault::Expired | Fault::ExpiredContext { .. } => "it has expired",
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => "it is not valid yet",
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => "it is for another name",
        Fault::UnknownIssuer => "it is from an authority that is not trusted here",
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => "it is not for a server",
        Fault::BadSignature => "its signature is wrong",
        Fault::Revoked => "it was revoked",
        fault if is_an_authority(fault) => {
            "it is an authority's own: a server may use that only if it is itself in smtp.ca_file"
        }
        _ => "it cannot be checked",
    }
}
