//! The yardstick: an actix-web + awc proxy that does nothing but pass bytes, with the gateway's socket settings.
//!
//! `cargo run --release --example bare_proxy -- <listen> <upstream base>`

use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// The gateway allocates with it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct NoDelay(actix_tls::connect::ConnectorService);

impl actix_service::Service<actix_tls::connect::ConnectInfo<actix_http::Uri>> for NoDelay {
    type Response = actix_tls::connect::Connection<actix_http::Uri, actix_rt::net::TcpStream>;
    type Error = actix_tls::connect::ConnectError;
    type Future = futures::future::LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, request: actix_tls::connect::ConnectInfo<actix_http::Uri>) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            connection.io_ref().set_nodelay(true).map_err(actix_tls::connect::ConnectError::Io)?;
            Ok(connection)
        })
    }
}

async fn pass(
    request: HttpRequest,
    body: web::Bytes,
    client: web::Data<(awc::Client, String)>,
) -> HttpResponse {
    let (client, base) = client.get_ref();
    let mut outgoing = client.post(format!("{base}{}", request.path())).no_decompress();
    for name in ["authorization", "content-type"] {
        if let Some(value) = request.headers().get(name) {
            outgoing = outgoing.insert_header((name, value.clone()));
        }
    }
    let Ok(mut response) = outgoing.send_body(body).await else { return HttpResponse::BadGateway().finish() };
    let mut answer = HttpResponse::build(response.status());
    let kind = response.headers().get("content-type");
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if let Some(kind) = kind {
        answer.insert_header(("content-type", kind.clone()));
    }
    if is_stream {
        return answer.streaming(response);
    }
    match response.body().limit(usize::MAX).await {
        Ok(body) => answer.body(body),
        Err(_) => HttpResponse::BadGateway().finish(),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:3100".to_owned());
    let base = arguments.next().unwrap_or_else(|| "http://127.0.0.1:3200".to_owned());
    HttpServer::new(move || {
        let connector = awc::Connector::new()
            .connector(NoDelay(actix_tls::connect::ConnectorService::default()))
            .limit(0)
            .conn_lifetime(Duration::from_secs(86_400));
        let client = awc::Client::builder()
            .connector(connector)
            .no_default_headers()
            .disable_redirects()
            .disable_timeout()
            .finish();
        App::new().app_data(web::Data::new((client, base.clone()))).default_service(web::to(pass))
    })
    .workers(1)
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .bind(listen)?
    .run()
    .await
}
