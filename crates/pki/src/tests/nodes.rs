use super::{HOUR_MS, authority, node_identity, now};
use crate::{NodeKey, PkiError, node_of, validity};
use hivemind_model::{NodeId, Timestamp};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ED25519, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::prelude::{FromDer, X509Certificate};

fn leaf(chain_pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(chain_pem.as_bytes()).expect("a certificate")
}

#[test]
fn a_node_certificate_names_the_node_and_lasts_a_day() {
    let (_dir, authority) = authority();
    let at = now();
    let identity = node_identity(&authority, NodeId(7), at);
    assert_eq!(node_of(&leaf(&identity.chain_pem)), Some(NodeId(7)));
    assert!(identity.chain_pem.ends_with(authority.ca_pem()), "the chain ends in the authority");
    let (from, until) = validity(&identity.chain_pem).expect("a certificate");
    assert!(
        from <= Timestamp(at.0 - 59_000) && until.0 >= at.0 + 24 * HOUR_MS - 1000 && until.0 <= at.0 + 24 * HOUR_MS
    );
    assert!(!format!("{identity:?}").contains("PRIVATE"));
}

#[test]
fn nothing_of_a_request_but_its_key_is_taken() {
    let (_dir, authority) = authority();
    let pair = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["pool.example.org".to_owned()]).expect("names");
    params.subject_alt_names.push(SanType::URI("hivemind:node:1".try_into().expect("a uri")));
    params.distinguished_name.push(DnType::CommonName, "node_1");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = params.serialize_request(&pair).and_then(|request| request.pem()).expect("a request");
    let chain = authority.sign_node(&request, NodeId(9), now()).expect("a certificate");
    let der = leaf(&chain);
    assert_eq!(node_of(&der), Some(NodeId(9)));
    let (_, parsed) = X509Certificate::from_der(&der).expect("readable");
    assert_eq!(parsed.subject().to_string(), "CN=node_9");
    let names = parsed.subject_alternative_name().expect("readable").expect("there");
    assert_eq!(names.value.general_names.len(), 1);
    let usage = parsed.extended_key_usage().expect("readable").expect("there");
    assert!(usage.value.client_auth && !usage.value.server_auth);
    assert!(!parsed.is_ca());
}

#[test]
fn a_request_that_is_not_sound_is_refused() {
    let (_dir, authority) = authority();
    let good = NodeKey::generate().and_then(|key| key.csr_pem()).expect("a request");
    let mut der = CertificateSigningRequestDer::from_pem_slice(good.as_bytes()).expect("a request").to_vec();
    // The last byte belongs to the signature.
    *der.last_mut().expect("bytes") ^= 1;
    let certificate = crate::node::to_pem(&CertificateDer::from(der));
    let broken = certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST");
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let other_kind =
        CertificateParams::default().serialize_request(&ed25519).and_then(|request| request.pem()).expect("a request");
    for (request, why) in [
        (broken.as_str(), "not signed with its own key"),
        (other_kind.as_str(), "not an ECDSA P-256 key"),
        ("", "not a PEM"),
        (authority.ca_pem(), "not a PEM"),
        (&format!("{good}{}", " ".repeat(20_000)), "longer than 16 KiB"),
    ] {
        let refused = authority.sign_node(request, NodeId(1), now()).expect_err(why);
        assert!(matches!(refused, PkiError::BadRequest { .. }) && refused.to_string().contains(why), "{refused}");
    }
}

#[test]
fn only_our_own_form_of_a_name_is_a_node() {
    let pair = KeyPair::generate().expect("a key");
    let uri = |text: &str| SanType::URI(text.try_into().expect("a uri"));
    for (names, expected) in [
        (vec![uri("hivemind:node:12")], Some(NodeId(12))),
        (vec![], None),
        (vec![uri("hivemind:node:")], None),
        (vec![uri("hivemind:node:012")], None),
        (vec![uri("hivemind:node:+1")], None),
        (vec![uri("hivemind:node:99999999999999999999")], None),
        (vec![uri("other:node:1")], None),
        (vec![uri("hivemind:node:1"), uri("hivemind:node:2")], None),
        (vec![SanType::DnsName("hivemind:node:1".try_into().expect("a name"))], None),
    ] {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.clone();
        let certificate = params.self_signed(&pair).expect("a certificate");
        assert_eq!(node_of(certificate.der()), expected, "{names:?}");
    }
    assert_eq!(node_of(&CertificateDer::from(vec![1, 2, 3])), None);
}

#[test]
fn a_key_reads_back_and_stays_hidden() {
    let key = NodeKey::generate().expect("a key");
    let again = NodeKey::from_pem(key.pem()).expect("the same key");
    assert_eq!(again.pem(), key.pem());
    assert_eq!(format!("{again:?}"), "NodeKey(hidden)");
    assert!(NodeKey::from_pem("nonsense").is_err());
}

#[test]
fn a_clock_outside_all_calendars_is_told() {
    let (_dir, authority) = authority();
    for at in [Timestamp(-1), Timestamp(i64::MAX), Timestamp(i64::MIN)] {
        let request = NodeKey::generate().and_then(|key| key.csr_pem()).expect("a request");
        assert!(matches!(authority.sign_node(&request, NodeId(1), at), Err(PkiError::BadTime)));
    }
}
