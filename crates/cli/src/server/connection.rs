//! The server that a command talks to.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use tee_api::{Client, ClientCertificate, ClientOptions, TlsFiles, settings};

use crate::PROGRAM;

/// The variable with the token, used if no file is named.
const TOKEN: &str = "TEECTL_TOKEN";

/// A server, by default one on this machine.
#[derive(clap::Args)]
pub(crate) struct ServerArgs {
    /// URL of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3320")]
    pub(crate) server: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How to speak to a server.
#[derive(clap::Args)]
pub(crate) struct ConnectionArgs {
    /// File with the token, if the server requires one; by default the variable TEECTL_TOKEN is used.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust the certificate authorities in this PEM file instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Client certificate for a server that requires one, in PEM.
    #[arg(long, value_name = "FILE", requires = "client_key_file")]
    client_certificate_file: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "client_certificate_file")]
    client_key_file: Option<PathBuf>,
}

impl ServerArgs {
    pub(crate) fn client(&self) -> Result<Client> {
        self.connection.client(&self.server)
    }
}

impl ConnectionArgs {
    pub(crate) fn client(&self, server: &str) -> Result<Client> {
        let text = match &self.token_file {
            Some(path) => Some(fs::read_to_string(path).with_context(|| format!("token file {}", path.display()))?),
            None => settings::environment(TOKEN).filter(|text| !text.is_empty()),
        };
        let token = text.map(|text| text.parse()).transpose().context("token")?;
        let client = self.client_certificate_file.clone().zip(self.client_key_file.clone());
        let client = client.map(|(certificate_file, key_file)| ClientCertificate { certificate_file, key_file });
        let tls = TlsFiles { ca_file: self.ca_file.clone(), client };
        let client = Client::new(server, ClientOptions { program: PROGRAM, token, tls, ..ClientOptions::default() })
            .with_context(|| format!("server {server}"))?;
        if client.exposes_token() {
            eprintln!(
                "warning: the token is sent to {server} unencrypted, and anyone on the way can read it: use https://"
            );
        }
        Ok(client)
    }
}
