//! A peer with certificates, for HTTP/1.1 and HTTP/2: what the sandbox, which serves loopback in clear, does not do.
//!
//! Not here: any idea of what the endpoint is; every request is answered with a success.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Response;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Every answer's body.
const SUCCESS: &str = r#"{"status":"success"}"#;

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate of an authority, and its key.
pub(super) struct Issued {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// Both, as a file holds them.
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as `api.ca_file` wants it.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name or an address, valid until the end of a year.
    pub(super) fn issue(&self, name: &str, year: i32) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
        Issued { certificate: certificate.der().clone(), key: PrivateKeyDer::from(key), pem }
    }
}

/// How a peer secures its connections.
pub(super) struct Security {
    /// Who it says it is.
    pub(super) certificate: Issued,
    /// Whose clients it wants certificates of.
    pub(super) clients_of: Option<CertificateDer<'static>>,
    /// The protocols it offers.
    pub(super) alpn: &'static [&'static str],
}

impl Authority {
    /// Its certificate, as a peer wants it that asks for those of clients.
    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }
}

/// What has come to a peer.
#[derive(Default)]
pub(super) struct Come {
    connections: AtomicUsize,
    http1: AtomicUsize,
    http2: AtomicUsize,
}

/// The peer. Its thread serves until the process ends.
pub(super) struct Peer {
    pub(super) port: u16,
    come: Arc<Come>,
}

impl Peer {
    /// A peer on loopback: with TLS, or in clear and then of HTTP/2 alone.
    pub(super) fn start(security: Option<Security>) -> Peer {
        Peer::refusing(security, 0..0)
    }

    /// The same, which under HTTP/2 refuses the streams of these requests, counted over all connections.
    pub(super) fn refusing(security: Option<Security>, refused: Range<usize>) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let come = Arc::new(Come::default());
        let (told, acceptor) = (Arc::clone(&come), security.map(acceptor));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    told.connections.fetch_add(1, Ordering::SeqCst);
                    let refused = refused.clone();
                    tokio::spawn(connection(tcp, acceptor.clone(), Arc::clone(&told), refused));
                }
            });
        });
        Peer { port, come }
    }

    /// The endpoint under a host name.
    pub(super) fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}/api/v1/device_app_user_update/", self.port)
    }

    /// Connections so far, those that came to nothing included.
    pub(super) fn connections(&self) -> usize {
        self.come.connections.load(Ordering::SeqCst)
    }

    /// Tells how many requests have come under HTTP/1.1, to whoever waits for them.
    pub(super) fn count(&self) -> impl Fn() -> usize + Send + 'static {
        let come = Arc::clone(&self.come);
        move || come.http1.load(Ordering::SeqCst)
    }

    /// Requests so far, under HTTP/1.1 and under HTTP/2.
    pub(super) fn requests(&self) -> (usize, usize) {
        (self.come.http1.load(Ordering::SeqCst), self.come.http2.load(Ordering::SeqCst))
    }
}

fn acceptor(security: Security) -> TlsAcceptor {
    let Security { certificate: Issued { certificate, key, .. }, clients_of, alpn } = security;
    let builder = ServerConfig::builder();
    let builder = match clients_of {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn connection(
    tcp: tokio::net::TcpStream,
    acceptor: Option<TlsAcceptor>,
    come: Arc<Come>,
    refused: Range<usize>,
) {
    let Some(acceptor) = acceptor else { return http2(tcp, come, refused).await };
    match acceptor.accept(tcp).into_fallible().await {
        Ok(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => http2(tls, come, refused).await,
        Ok(tls) => http1(tls, &come).await,
        // The alert is on its way; closing with bytes unread would overtake it with a reset.
        Err((_, mut tcp)) => while matches!(tcp.read(&mut [0; 4096]).await, Ok(1..)) {},
    }
}

async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, come: &Come) {
    let mut heard = String::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
        // Somebody who only knocks. With the token he would be no such one.
        if heard.starts_with("HEAD ") && heard.ends_with("\r\n\r\n") {
            let has_token = heard.to_ascii_lowercase().contains("authorization");
            let status = if has_token { "500 Token Told" } else { "405 Method Not Allowed" };
            heard.clear();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap_or_default();
        }
        // The body is one JSON object, whose end is the request's.
        if heard.ends_with('}') {
            come.http1.fetch_add(1, Ordering::SeqCst);
            heard.clear();
            let length = SUCCESS.len();
            let answer = format!("HTTP/1.1 201 Created\r\nContent-Length: {length}\r\n\r\n{SUCCESS}");
            // A client that is gone has nothing to say.
            stream.write_all(answer.as_bytes()).await.unwrap_or_default();
        }
    }
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin, come: Arc<Come>, refused: Range<usize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number = come.http2.fetch_add(1, Ordering::SeqCst);
        drop(request);
        if refused.contains(&number) {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            continue;
        }
        let answer = Response::builder().status(201).body(()).unwrap();
        if let Ok(mut body) = respond.send_response(answer, false) {
            body.send_data(SUCCESS.into(), true).unwrap_or_default();
        }
    }
}
