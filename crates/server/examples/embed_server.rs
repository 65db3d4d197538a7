//! Runs the server inside your own program, which makes the batches:
//!
//!     cargo run -p tee-server --example embed_server -- deploy/examples/server.yaml batch.json
//!
//! A node would add each batch when it seals it. Batches are handed out, and proofs accepted, until the program is
//! interrupted.

use std::{error::Error, fs::File, io::BufReader};

use tee_server::{Config, NewBatch, Server};
use tee_verifier::{BatchInput, InputForm, MAX_INPUT_BYTES};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let config = arguments.next().ok_or("usage: embed_server CONFIG.yaml [BATCH.json…]")?;

    let server = Server::start(Config::read(config.as_ref())?).await?;
    println!("http://{}", server.local_addr());

    for file in arguments {
        let input = BatchInput::read(BufReader::new(File::open(&file)?), InputForm::Json, MAX_INPUT_BYTES)?;
        // With the chain's root, a proof of another root is an alarm at once.
        let batch = NewBatch { input, expected_root: None, sealed_at_ms: None, source: "example".to_owned() };
        let added = server.service().add_batch(batch).await?;
        println!("{file}: {added:?}");
    }

    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
