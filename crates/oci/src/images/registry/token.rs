//! Tokens by which registries let anybody read.
//!
//! Invariant: no I/O, and nothing of this machine or its owner is told.

use reqwest::Url;
use serde::Deserialize;

/// Longest answer with a token.
pub(super) const MOST_BYTES: u64 = 256 << 10;

/// Where a registry sends those who come without a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    service: Option<String>,
}

impl Challenge {
    /// Reads `Bearer realm="...",service="..."`; `None` of anything else.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut challenge = Self { realm: String::new(), service: None };
        let mut rest = rest.trim_start();
        while let Some((key, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"')?;
            match key.trim_start_matches([',', ' ']) {
                "realm" => value.clone_into(&mut challenge.realm),
                "service" => challenge.service = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }

    /// What to ask for a token to read `repository`.
    pub(super) fn url(&self, repository: &str) -> Option<Url> {
        let mut url = Url::parse(&self.realm).ok()?;
        {
            let mut pairs = url.query_pairs_mut();
            if let Some(service) = &self.service {
                pairs.append_pair("service", service);
            }
            pairs.append_pair("scope", &format!("repository:{repository}:pull"));
        }
        Some(url)
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The token in an answer.
pub(super) fn read(content: &[u8]) -> Option<String> {
    let answer: Answer = serde_json::from_slice(content).ok()?;
    answer.token.or(answer.access_token).filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_where_to_ask() {
        let header = r#"Bearer realm="https://auth.example.org/token",service="registry, of example",scope="x""#;
        let challenge = Challenge::parse(header).expect("a challenge");
        let url = challenge.url("library/alpine").expect("a place");
        assert_eq!(
            url.as_str(),
            "https://auth.example.org/token?service=registry%2C+of+example&scope=repository%3Alibrary%2Falpine%3Apull"
        );
        for header in ["Basic realm=\"x\"", "Bearer", "Bearer x", "Bearer realm=\"", "Bearer service=\"s\""] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_token_is_one_word() {
        assert_eq!(read(br#"{"token":"abc.def"}"#), Some("abc.def".into()));
        assert_eq!(read(br#"{"access_token":"abc"}"#), Some("abc".into()));
        for text in ["", "{}", r#"{"token":"a\r\nX: y"}"#] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
