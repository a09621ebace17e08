//! The certificate authority of one run, and the server certificate that it signs.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long both certificates are valid: some systems refuse server certificates of more than 825 days.
const VALID: Duration = Duration::days(365);

fn parameters(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    // A day ago, for clients whose clock is behind.
    parameters.not_before = OffsetDateTime::now_utc() - Duration::DAY;
    parameters.not_after = parameters.not_before + VALID;
    Ok(parameters)
}

/// The authority's certificate as PEM, and how to speak TLS with a certificate for `names`. The authority's key is gone when
/// this returns.
fn issue(names: Vec<String>) -> Result<(String, ServerConfig), Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = parameters(Vec::new(), "tidbcloud-sandbox CA")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let pem = authority.self_signed(&authority_key)?.pem();
    let mut server = parameters(names, "tidbcloud-sandbox")?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((pem, tls))
}

/// Makes a new authority, writes its certificate to `path`, and says how to speak TLS with a certificate for `names`.
///
/// # Errors
/// The file cannot be written; the text says why.
pub(super) fn install(names: Vec<String>, path: &Path) -> Result<ServerConfig, String> {
    let (pem, tls) = issue(names).map_err(|error| format!("no certificate can be made: {error}"))?;
    std::fs::write(path, pem).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(tls)
}
