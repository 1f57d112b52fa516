use super::{HOUR_MS, Met, authority, meet, names, node_identity, now, server_of};
use crate::pin::PinnedCa;
use crate::{
    Authority, NodeIdentity, RotatingCert, Trust, client_config, node_of, provider, server_config, write_private,
};
use hivemind_model::{NodeId, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

fn trusting(trust: Trust, identity: Option<&NodeIdentity>) -> Arc<ClientConfig> {
    client_config(&trust, identity).expect("client settings")
}

fn by_pem(authority: &Authority) -> Trust {
    Trust::CaPem(authority.ca_pem().to_owned())
}

#[tokio::test]
async fn the_right_authority_is_believed_in_either_way() {
    let (_dir, authority) = authority();
    for trust in [by_pem(&authority), Trust::CaHash(authority.ca_hash())] {
        for name in ["localhost", "127.0.0.1"] {
            let met = meet(server_of(&authority), trusting(trust.clone(), None), name).await;
            assert_eq!(met.client.map(|chain| chain.len()), Ok(2), "{trust:?}");
            assert_eq!(met.server.map(|chain| chain.len()), Ok(0), "{trust:?}");
        }
    }
}

#[tokio::test]
async fn a_foreign_authority_and_another_name_are_refused_in_either_way() {
    let (_dir, ours) = authority();
    let (_other_dir, other) = authority();
    for trust in [by_pem(&ours), Trust::CaHash(ours.ca_hash())] {
        let foreign = meet(server_of(&other), trusting(trust.clone(), None), "localhost").await;
        assert!(foreign.client.is_err(), "{trust:?}");
        let misnamed = meet(server_of(&ours), trusting(trust.clone(), None), "elsewhere.example").await;
        assert!(misnamed.client.is_err(), "{trust:?}");
    }
    let foreign = meet(server_of(&other), trusting(Trust::CaHash(ours.ca_hash()), None), "localhost").await;
    let why = foreign.client.expect_err("a foreign authority");
    assert!(why.contains("another pool") && why.contains("join token"), "{why}");
}

#[tokio::test]
async fn presenting_our_authority_beside_a_foreign_certificate_does_not_help() {
    let (_dir, ours) = authority();
    let (_other_dir, other) = authority();
    let foreign = other.issue_server(&names(), now()).expect("a certificate");
    let dressed_up = CertifiedKey::new(vec![foreign.cert[0].clone(), ours.trusted()[0].clone()], foreign.key.clone());
    let server = server_config(&other, Arc::new(RotatingCert::new(dressed_up))).expect("server settings");
    let met = meet(server, trusting(Trust::CaHash(ours.ca_hash()), None), "localhost").await;
    assert!(met.client.is_err());
}

#[tokio::test]
async fn an_expired_server_certificate_is_refused_in_either_way() {
    let (_dir, authority) = authority();
    let old = authority.issue_server(&names(), Timestamp(now().0 - 91 * 24 * HOUR_MS)).expect("a certificate");
    let server = server_config(&authority, Arc::new(RotatingCert::new(old))).expect("server settings");
    for trust in [by_pem(&authority), Trust::CaHash(authority.ca_hash())] {
        let met = meet(server.clone(), trusting(trust, None), "localhost").await;
        assert!(met.client.expect_err("expired").contains("expired"));
    }
}

#[tokio::test]
async fn a_node_is_known_by_its_certificate() {
    let (_dir, authority) = authority();
    let identity = node_identity(&authority, NodeId(7), now());
    let met = meet(server_of(&authority), trusting(by_pem(&authority), Some(&identity)), "localhost").await;
    let chain = met.server.expect("accepted");
    assert_eq!(node_of(&chain[0]), Some(NodeId(7)));
}

#[tokio::test]
async fn expired_and_foreign_node_certificates_are_refused() {
    let (_dir, authority) = authority();
    let (_other_dir, other) = super::authority();
    let expired = node_identity(&authority, NodeId(7), Timestamp(now().0 - 25 * HOUR_MS));
    let foreign = node_identity(&other, NodeId(7), now());
    for (identity, why) in [(expired, "expired"), (foreign, "another certificate authority")] {
        let met = meet(server_of(&authority), trusting(by_pem(&authority), Some(&identity)), "localhost").await;
        let told = met.server.expect_err(why);
        assert!(told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn certificates_serve_only_the_side_they_were_made_for() {
    let (_dir, authority) = authority();
    let server_side = authority.issue_server(&names(), now()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(authority.trusted()[0].clone()).expect("a root");
    let as_client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(server_side)));
    let met = meet(server_of(&authority), Arc::new(as_client), "localhost").await;
    assert!(met.server.is_err(), "a server's certificate was taken from a client");

    let identity = node_identity(&authority, NodeId(7), now());
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).map(|der| der.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key");
    let node_side = CertifiedKey::from_der(chain, key, &provider()).expect("a pair");
    let as_server = server_config(&authority, Arc::new(RotatingCert::new(node_side))).expect("server settings");
    let met = meet(as_server, trusting(Trust::CaHash(authority.ca_hash()), None), "localhost").await;
    assert!(met.client.is_err(), "a node's certificate was taken from a server");
}

#[tokio::test]
async fn the_pin_holds_in_tls_1_2_too() {
    let (_dir, authority) = authority();
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12])
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedCa::new(authority.ca_hash())))
        .with_no_client_auth();
    let Met { client, server } = meet(server_of(&authority), Arc::new(client), "localhost").await;
    assert!(client.is_ok() && server.is_ok(), "{client:?} {server:?}");
}

#[tokio::test]
async fn a_new_certificate_is_served_from_the_next_connection_on() {
    let (_dir, authority) = authority();
    let issue = || authority.issue_server(&names(), now()).expect("a certificate");
    let rotating = Arc::new(RotatingCert::new(issue()));
    let server = server_config(&authority, rotating.clone()).expect("server settings");
    let client = trusting(by_pem(&authority), None);
    let first = meet(server.clone(), client.clone(), "localhost").await.client.expect("met");
    let second = meet(server.clone(), client.clone(), "localhost").await.client.expect("met");
    rotating.replace(issue());
    let third = meet(server, client, "localhost").await.client.expect("met");
    assert!(first[0] == second[0] && second[0] != third[0]);
}

#[tokio::test]
async fn an_authority_before_the_current_one_is_still_trusted() {
    let (dir, old) = authority();
    let (new_dir, new) = authority();
    let key = std::fs::read(new_dir.path().join("keys/ca.key")).expect("a key");
    write_private(&dir.path().join("keys/ca.key"), &key).expect("written");
    std::fs::write(dir.path().join("ca.pem"), format!("{}{}", new.ca_pem(), old.ca_pem())).expect("written");
    let both = Authority::open(dir.path(), now()).expect("both");
    assert_eq!(both.ca_hash(), new.ca_hash());
    for signer in [&old, &new] {
        let identity = node_identity(signer, NodeId(7), now());
        let met = meet(server_of(&both), trusting(by_pem(&both), Some(&identity)), "localhost").await;
        assert!(met.server.is_ok() && met.client.is_ok());
    }
    let met = meet(server_of(&both), trusting(Trust::CaHash(new.ca_hash()), None), "localhost").await;
    assert!(met.client.is_ok());
}

#[test]
fn settings_from_texts_that_hold_nothing_are_refused() {
    let (_dir, authority) = authority();
    assert!(client_config(&Trust::CaPem(String::new()), None).is_err());
    let mut identity = node_identity(&authority, NodeId(7), now());
    identity.key_pem = node_identity(&authority, NodeId(8), now()).key_pem;
    assert!(client_config(&by_pem(&authority), Some(&identity)).is_err(), "another node's key");
}
