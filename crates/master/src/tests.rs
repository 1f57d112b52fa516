//! A gateway before a real pool in this process, asked without a network between browser and gateway.

mod access;
mod accounts;
mod calls;
mod figures;
mod hostile;
mod live;
mod strangers;

use crate::{Gateway, Way};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hivemind_client::{Client, Target};
use hivemind_http::pages::Site;
use hivemind_model::Policy;
use hivemind_pki::Trust;
use hivemind_pool::{PoolConfig, PoolHandle};
use hivemind_testkit::port::steady_address;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery";
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool, and a gateway before it.
struct Scene {
    dir: TempDir,
    listen: String,
    pool: Option<PoolHandle>,
    gateway: Gateway,
    router: Router,
}

impl Scene {
    async fn start() -> Self {
        hivemind_pki::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let pool = start_pool(&dir, &steady_address().to_string()).await;
        let listen = pool.grpc_addr().to_string();
        let target = Target {
            server: format!("https://{listen}"),
            trust: Trust::CaPem(pool.ca_pem().to_owned()),
            identity: None,
        };
        let gateway_key = Some(pool.gateway_secret().to_owned());
        let gateway = Gateway {
            listen: "127.0.0.1:0".parse().unwrap(),
            pool: target,
            site: Site::Master,
            way: Way::Plain,
            names: vec!["here".to_owned()],
            gateway_key,
            operate: None,
        };
        let router = gateway.router().unwrap();
        Self { dir, listen, pool: Some(pool), gateway, router }
    }

    async fn stop_pool(&mut self) {
        self.pool.take().unwrap().shutdown().await.unwrap();
    }

    async fn start_pool_again(&mut self) {
        self.pool = Some(start_pool(&self.dir, &self.listen).await);
    }

    /// The same gateway, started anew: it remembers nothing.
    fn restart(&mut self) {
        self.router = self.gateway.router().unwrap();
    }

    fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookies: BTreeMap::new(), csrf: String::new(), bearer: None }
    }

    /// A browser in which a new user is logged in.
    async fn user(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let body = serde_json::json!({"username": name, "password": PASSWORD, "email": "a@example.org"});
        let answer = browser.post("/auth/register", Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        browser
    }

    /// A script with a user token.
    async fn script(&self, name: &str, password: &str) -> Browser {
        let client = Client::connect(&self.gateway.pool, None).await.unwrap();
        let _known_already = client.register(name, password, "a@example.org").await;
        let token = client.login(name, password).await.unwrap().token;
        Browser { bearer: Some(token), ..self.browser() }
    }

    async fn operator(&self) -> Browser {
        let password = std::fs::read_to_string(self.dir.path().join("pool/operator.password")).unwrap();
        self.script("operator", password.trim()).await
    }
}

async fn start_pool(dir: &TempDir, listen: &str) -> PoolHandle {
    let (data, listen) = (dir.path().join("pool"), listen.parse().unwrap());
    let policy = Policy::default();
    let config = PoolConfig { data, listen, advertise: None, names: Vec::new(), policy, reflection: false };
    hivemind_pool::start(config).await.unwrap()
}

/// Somebody who asks, with their cookies.
struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    csrf: String,
    bearer: Option<String>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {} {}", self.status, self.text))
    }

    /// The status and the code of a problem.
    fn refused(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

impl Browser {
    async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, None, &[]).await
    }

    async fn post(&mut self, path: &str, body: Option<Value>) -> Answer {
        self.ask("POST", path, body, &[]).await
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("x-csrf-token", self.csrf.clone())];
        if body.is_some() {
            all.push(("content-type", "application/json".to_owned()));
        }
        all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = self.send(method, path, body, &all).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.unwrap().unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answer = Answer { status, headers, text };
        if path.starts_with("/auth/")
            && status.is_success()
            && !answer.text.is_empty()
            && let Some(csrf) = answer.json()["csrf_token"].as_str()
        {
            self.csrf = csrf.to_owned();
        }
        answer
    }

    /// A request with the cookies or the token, as it is.
    fn request(&self, method: &str, path: &str, body: Body, headers: &[(&str, String)]) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "here:1");
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        request.body(body).unwrap()
    }

    /// Sends it as it is, and gives the answer while it may still go on.
    async fn send(&mut self, method: &str, path: &str, body: String, headers: &[(&str, String)]) -> Response {
        let request = self.request(method, path, Body::from(body), headers);
        let answer = tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await.unwrap().unwrap();
        for line in answer.headers().get_all("set-cookie") {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }
}
