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
pub(crate) fn install(names: Vec<String>, path: &Path) -> Result<ServerConfig, String> {
    let (pem, tls) = issue(names).map_err(|error| format!("no certificate can be made: {error}"))?;
    std::fs::write(path, pem).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, Error, RootCertStore, ServerConnection};

    use super::*;

    /// Speaks TLS in memory, as a client that trusts `authority` and looks for `name`.
    fn connect(authority: &str, server: &Arc<ServerConfig>, name: &str) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::clone(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        client.writer().write_all(b"x").unwrap();
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut heard = [0];
        server.reader().read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"x", "what one side says the other hears");
        Ok(())
    }

    #[test]
    fn the_certificate_is_valid_for_its_names_and_under_its_own_authority_alone() {
        let names = ["127.0.0.1", "localhost", "gateway01.us-east-1.prod.aws.tidbcloud.com"];
        let (authority, tls) = issue(names.map(str::to_owned).to_vec()).unwrap();
        let tls = Arc::new(tls);
        for name in names {
            connect(&authority, &tls, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let other_name = connect(&authority, &tls, "gateway01.us-west-2.prod.aws.tidbcloud.com");
        assert!(matches!(other_name, Err(Error::InvalidCertificate(_))), "another name: {other_name:?}");
        let (other, _) = issue(Vec::new()).unwrap();
        let other = connect(&other, &tls, "localhost");
        assert!(matches!(other, Err(Error::InvalidCertificate(_))), "the authority of another start: {other:?}");
    }
}
