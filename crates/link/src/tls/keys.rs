//! Our key in the shape TLS wants it, and the checks of a peer's.

use std::fmt;
use std::sync::{Arc, OnceLock};

use potluck_base::PeerId;
use potluck_identity::SecretKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, sign};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime, alg_id,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, public_key_to_spki};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

/// Our side of every TLS handshake.
pub(crate) struct TlsKeys {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    server: Arc<ServerConfig>,
    alpn: Vec<u8>,
}

impl TlsKeys {
    pub(crate) fn new(secret: &SecretKey, alpn: &[u8]) -> Self {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..default_provider()
        });
        let certified = certified(secret);
        let verifier = Arc::new(KeyCheck::new(&provider, None));
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider knows TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
                certified.clone(),
            )));
        // A resumed session would skip the check of the key.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.alpn_protocols = protocols(alpn);
        server.enable_secret_extraction = true;
        Self { provider, certified, server: Arc::new(server), alpn: alpn.to_vec() }
    }

    pub(crate) fn alpn(&self) -> &[u8] {
        &self.alpn
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// How to shake hands with this peer and no other; the key that answers is left in `seen`.
    pub(crate) fn client(&self, expected: PeerId, seen: Arc<OnceLock<PeerId>>) -> ClientConfig {
        let verifier = Arc::new(KeyCheck::new(&self.provider, Some(Expected { expected, seen })));
        let resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.certified.clone()));
        let mut client = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider knows TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(resolver);
        client.enable_sni = false;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = protocols(&self.alpn);
        client.enable_secret_extraction = true;
        client
    }
}

/// What is offered in the handshake; an empty name offers nothing.
fn protocols(alpn: &[u8]) -> Vec<Vec<u8>> {
    [alpn].iter().filter(|name| !name.is_empty()).map(|name| name.to_vec()).collect()
}

/// The peer's key from its "certificate", which is nothing but the key in DER.
pub(crate) fn peer_of(certificates: Option<&[CertificateDer<'_>]>) -> Option<PeerId> {
    let [certificate] = certificates? else {
        return None;
    };
    let key: [u8; 32] = certificate.as_ref().get(12..44)?.try_into().ok()?;
    let id = PeerId(key);
    (public_of(&id).as_ref() == certificate.as_ref()).then_some(id)
}

fn public_of(id: &PeerId) -> SubjectPublicKeyInfoDer<'static> {
    public_key_to_spki(&alg_id::ED25519, id.0)
}

/// The secret key as PKCS #8 (RFC 8410: a fixed prefix, then the seed).
fn certified(secret: &SecretKey) -> Arc<CertifiedKey> {
    const PREFIX: [u8; 16] =
        [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [PREFIX.as_slice(), secret.to_seed().as_slice()].concat();
    let key = sign::any_supported_type(&PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der)))
        .expect("every seed is an ed25519 key");
    let public = CertificateDer::from(public_of(&secret.peer_id()).to_vec());
    Arc::new(CertifiedKey::new(vec![public], key))
}

struct Expected {
    expected: PeerId,
    seen: Arc<OnceLock<PeerId>>,
}

/// Checks that the other side proves a key: any one, or the expected one.
struct KeyCheck {
    algorithms: WebPkiSupportedAlgorithms,
    only: Option<Expected>,
}

impl KeyCheck {
    fn new(provider: &CryptoProvider, only: Option<Expected>) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, only }
    }

    fn check(&self, end: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Error> {
        let id = peer_of(Some(std::slice::from_ref(end)))
            .filter(|_| rest.is_empty())
            .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let Some(only) = &self.only else {
            return Ok(());
        };
        let _ = only.seen.set(id);
        if id == only.expected {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

impl fmt::Debug for KeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCheck")
    }
}

impl ServerCertVerifier for KeyCheck {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end, rest).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for KeyCheck {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end, rest).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
