//! TLS towards PostgreSQL: as the URL says, and never towards a server that cannot prove its name.

use std::path::Path;

use ringway::base::Secret;
use ringway::config::{Engine, Storage};
use ringway::offload::store::tables::SCHEMA;
use ringway::offload::store::{ErrorKind, Filter, Select, Store, Upgrade, tables};

use crate::servers::{Kind, Server, private_file};
use crate::world::{new_name, run, skip, storage_of};

/// A certificate for loopback that signs itself, and the options with which the server shows it.
fn with_certificate(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    private_file(&folder.join("cert.pem"), &made.cert.pem());
    private_file(&folder.join("key.pem"), &made.signing_key.serialize_pem());
    let folder = folder.display();
    format!("-c ssl=on -c ssl_cert_file={folder}/cert.pem -c ssl_key_file={folder}/key.pem")
}

async fn open(storage: &Storage, options: &str) -> Result<Store, ErrorKind> {
    let Engine::Postgres { url, .. } = &storage.engine else { panic!("PostgreSQL") };
    let url = Secret::new(format!("{}?{options}", url.reveal()));
    let storage = Storage { engine: Engine::Postgres { url, connections_max: 1 }, ..storage.clone() };
    Store::open(&storage, &SCHEMA, Upgrade::Forward).await.map_err(|error| error.kind)
}

#[test]
fn tls_is_used_where_the_url_says_so_and_the_certificate_is_verified() {
    let Some(server) = Server::start_with(Kind::Postgres, with_certificate) else {
        return skip("postgresql");
    };
    let storage = storage_of(&server, &new_name());
    let trusted = format!("sslrootcert={}/cert.pem", server.folder.display());
    run(async {
        for mode in ["require", "verify-full", "prefer"] {
            let store = open(&storage, &format!("sslmode={mode}&{trusted}")).await.expect(mode);
            assert_eq!(
                store.select(Select::new(&tables::USAGE, Filter::all(), 1)).await,
                Ok(vec![]),
                "{mode}"
            );
            // Nobody vouches for it without that file.
            assert_eq!(
                open(&storage, &format!("sslmode={mode}")).await.err(),
                Some(ErrorKind::Down),
                "{mode}"
            );
        }
        assert!(open(&storage, "sslmode=disable").await.is_ok());
    });
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_required() {
    let Some(server) = Server::start(Kind::Postgres) else { return skip("postgresql") };
    let storage = storage_of(&server, &new_name());
    run(async {
        assert_eq!(open(&storage, "sslmode=require").await.err(), Some(ErrorKind::Down));
        assert!(open(&storage, "sslmode=prefer").await.is_ok());
    });
}
