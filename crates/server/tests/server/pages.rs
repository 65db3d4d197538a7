//! Pages for people: what they show, to whom, and how little a browser may do with them.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_api::{SubmitProof, TeeType};
use tee_verifier::H256;

use crate::{
    access::Tokens,
    attestations,
    world::{Answer, Key, PREVIOUS_ROOT, ROOT, World, new_batch, root},
};

/// The most bytes of a page, with everything that it loads.
pub(crate) const MAX_BYTES: usize = 100 * 1024;

pub(crate) const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// A page as a browser requests it.
pub(crate) async fn page(world: &World, path: &str) -> String {
    let answer = world.send(Method::GET, path, &[HTML], "").await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&answer.body));
    html(path, &answer)
}

/// What holds for every page, errors included.
pub(crate) fn html(path: &str, answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{policy}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.headers["cache-control"].to_str().unwrap().contains("private"));
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(text.starts_with("<!doctype html>") && text.trim_end().ends_with("</html>"), "{path}");
    for forbidden in [" style=", "<style", "javascript:", " onclick", "http-equiv"] {
        assert!(!text.contains(forbidden), "{path}: {forbidden}");
    }
    // Everything that it loads is on this server.
    for attribute in [" src=\"", "<link rel=\"stylesheet\" href=\""] {
        for source in text.split(attribute).skip(1) {
            assert!(source.starts_with("/pages/"), "{path}: {source:.40}");
        }
    }
    text
}

pub(crate) fn stating(key: &Key, number: u32, root: H256) -> SubmitProof {
    let statement = key.statement(|statement| {
        statement.batch_number = number;
        statement.root = root;
    });
    SubmitProof { statement: Some(statement), ..key.proof(root) }
}

#[tokio::test]
async fn a_batchs_page_says_how_it_stands_and_how_to_check_it() {
    let world = World::start().await;
    world.add_expecting(1, Some(ROOT)).await;
    let waiting = page(&world, "/batches/1").await;
    assert!(waiting.contains("Not asked for yet"), "{waiting}");
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    assert!(page(&world, "/batches/1").await.contains("Being proven"));
    world.submit(1, &stating(&key, 1, ROOT), Some(&lease)).await.assert_success();

    let proven = page(&world, "/batches/1").await;
    assert!(proven.contains("<strong>Proven by 1 key (SGX)</strong>"), "{proven}");
    // Nothing is judged here, and the page says that first.
    assert!(proven.contains("Not attested."), "{proven}");
    for shown in [
        format!("href=\"/keys/{}\"", key.public()),
        hex::encode(ROOT),
        hex::encode(PREVIOUS_ROOT),
        "Protocol version".to_owned(),
        "<span class=\"mark good\">same</span>".to_owned(),
        "a prover took it".to_owned(),
        format!("teectl proofs verify --rpc {} --batch 1 --policy policy.yaml", world.url()),
        "/tee/proof_inputs_no_lock/1".to_owned(),
    ] {
        assert!(proven.contains(&shown), "{shown}\n{proven}");
    }
    assert!(!proven.contains("different"), "{proven}");
    // Whoever has the id of a prover's lease has the lease.
    assert!(!proven.contains(&lease) && !proven.contains("address:"), "{proven}");
    let missing = world.send(Method::GET, "/batches/2", &[HTML], "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(html("/batches/2", &missing).contains("the batch is unknown"));
}

#[tokio::test]
async fn a_disputed_batch_is_called_disputed_until_somebody_explains_it() {
    let world = World::start().await;
    world.add(1).await;
    let (honest, forger) = (world.registered_key(1).await, world.registered_key(2).await);
    world.claim("sgx").await.unwrap();
    world.submit(1, &honest.proof(ROOT), None).await.assert_success();
    world.submit(1, &forger.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
    let disputed = page(&world, "/batches/1").await;
    assert!(disputed.contains("<strong>Disputed</strong>"), "{disputed}");
    assert!(disputed.contains(&hex::encode(root(9))) && disputed.contains("<span class=\"mark bad\">different</span>"));
    assert!(page(&world, "/").await.contains("<span class=\"mark bad\">Disputed</span>"));
    let service = world.server.service();
    assert!(service.resolve_disagreement(1, TeeType::Sgx, &forger.public(), "a test machine").await.unwrap());
    let explained = page(&world, "/batches/1").await;
    assert!(!explained.contains("<strong>Disputed</strong>") && explained.contains("a test machine"), "{explained}");
}

/// However many were explained before, the page has room for some.
#[tokio::test]
async fn one_open_disagreement_among_many_is_seen() {
    let world = World::start().await;
    world.add(1).await;
    let honest = world.registered_key(99).await;
    world.submit(1, &honest.proof(ROOT), None).await.assert_success();
    let service = world.server.service();
    let mut keys: Vec<_> = (1..=26).map(Key::new).collect();
    keys.sort_by_key(|key| key.public());
    for (number, key) in keys.iter().enumerate() {
        world.post("/tee/register_attestation", &key.registration()).await.assert_success();
        world.submit(1, &key.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
        if number < 25 {
            service.resolve_disagreement(1, TeeType::Sgx, &key.public(), "a test machine").await.unwrap();
        }
    }
    let disputed = page(&world, "/batches/1").await;
    assert!(disputed.contains("<strong>Disputed</strong>"), "{disputed}");
}

/// A revoked key's claims are shown as its own, and as nobody else's.
#[tokio::test]
async fn a_revoked_key_stands_neither_for_the_root_nor_for_the_statement() {
    let world = World::start().await;
    world.add(1).await;
    let (revoked, good) = (world.registered_key(1).await, world.registered_key(2).await);
    world.claim("sgx").await.unwrap();
    world.submit(1, &stating(&revoked, 1, ROOT), None).await.assert_success();
    let service = world.server.service();
    service.revoke_key(&revoked.public(), "lost", false).await.unwrap();
    for path in ["/", "/batches/1"] {
        assert!(page(&world, path).await.contains("Not proven: its keys were revoked"), "{path}");
    }
    assert!(!page(&world, "/").await.contains(&hex::encode(ROOT)));
    assert!(!page(&world, "/batches/1").await.contains("Protocol version"));
    world.submit(1, &stating(&good, 1, ROOT), None).await.assert_success();
    assert!(page(&world, "/").await.contains(&hex::encode(ROOT)));
    assert!(page(&world, "/batches/1").await.contains("Protocol version"));
}

/// Keys that were registered while nothing was judged are worth no more once quotes are judged.
#[tokio::test]
async fn keys_whose_quote_never_passed_prove_nothing_where_quotes_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let world = attestations::world(folder.path()).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.claim("sgx").await.unwrap();
    world.submit(1, &stating(&key, 1, ROOT), None).await.assert_success();
    for path in ["/", "/batches/1"] {
        assert!(page(&world, path).await.contains("Proven by 1 key (SGX)"), "{path}");
    }
    world.execute("UPDATE tee_attestations SET standing = 'unjudged', passed_at = NULL").await;
    for path in ["/", "/batches/1"] {
        let shown = page(&world, path).await;
        assert!(shown.contains("Signed by 1 key (SGX), not attested") && !shown.contains("Proven by"), "{path}");
    }
}

#[tokio::test]
async fn a_bare_root_that_nothing_else_says_is_not_called_proven() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
    for path in ["/", "/batches/1"] {
        let shown = page(&world, path).await;
        assert!(shown.contains("Root signed by 1 key (SGX)") && !shown.contains("Proven by"), "{path}");
    }
    // The next batch starts from it.
    let mut next = new_batch(2, None);
    next.input.l1_batch_env.previous_batch_hash = Some(ROOT);
    world.server.service().add_batch(next).await.unwrap();
    for path in ["/", "/batches/1"] {
        assert!(page(&world, path).await.contains("Proven by 1 key (SGX)"), "{path}");
    }
}

#[tokio::test]
async fn what_strangers_wrote_is_text_and_never_markup() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>";
    let world = World::start().await;
    let mut batch = new_batch(1, None);
    batch.source = HOSTILE.to_owned();
    world.server.service().add_batch(batch).await.unwrap();
    let (honest, forger) = (world.registered_key(1).await, Key::new(2));
    let registration = forger.registration().to_string();
    let registered = world.send(Method::POST, "/tee/register_attestation", &[("user-agent", HOSTILE)], registration);
    registered.await.assert_success();
    let (_, lease) = world.claim("sgx").await.unwrap();
    let report = json!({ "kind": "root_mismatch", "error": HOSTILE });
    let failed = world.post(&format!("/tee/leases/{lease}/fail"), &report).await;
    assert_eq!(failed.status, StatusCode::OK, "{}", String::from_utf8_lossy(&failed.body));
    let failing = page(&world, "/batches/1").await;
    assert!(failing.contains("root_mismatch: &#60;img"), "{failing}");
    world.submit(1, &honest.proof(ROOT), None).await.assert_success();
    world.submit(1, &forger.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
    let service = world.server.service();
    service.resolve_disagreement(1, TeeType::Sgx, &forger.public(), HOSTILE).await.unwrap();
    service.revoke_key(&honest.public(), HOSTILE, false).await.unwrap();
    let query: String = HOSTILE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let key = format!("/keys/{}", forger.public());
    for path in
        ["/batches/1", "/", &key, &format!("/search?q={query}"), &format!("/batches/{query}"), &format!("/?{query}=1")]
    {
        let answer = world.send(Method::GET, path, &[HTML], "").await;
        let shown = html(path, &answer);
        assert!(
            !shown.contains("<img src=x") && !shown.contains("<script>") && !shown.contains("\"'&<"),
            "{path}: {shown}"
        );
        // The list of batches, and the error for a path that is no number, repeat nothing of it.
        if path != "/" && !path.starts_with("/batches/%") {
            assert!(shown.contains("&#60;img src=x onerror"), "{path}: {shown}");
        }
    }
    // A name that a shell would run is not put into a command.
    let answer = world.send(Method::GET, "/batches/1", &[HTML, ("host", "127.0.0.1;reboot")], "").await;
    assert!(!html("/batches/1", &answer).contains("--rpc http"));
}

#[tokio::test]
async fn pages_are_for_those_who_may_read_what_they_show() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    world.add(1).await;
    let closed = world.send(Method::GET, "/batches/1", &[HTML], "").await;
    assert_eq!(closed.status, StatusCode::UNAUTHORIZED);
    assert!(closed.headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    assert!(html("/batches/1", &closed).contains("This page is not public"));
    // A client that does not ask for a page gets what a program understands.
    let answer = world.get("/batches/1").await;
    answer.assert_problem(401, "unauthorized");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    let password = |token: &str| format!("Basic {}", base64(&format!("me:{token}")));
    for (token, status) in [(&tokens.reader, 200), (&tokens.admin, 200), (&tokens.prover, 403)] {
        let typed = password(token);
        let answer = world.send(Method::GET, "/batches/1", &[HTML, ("authorization", &typed)], "").await;
        assert_eq!(answer.status, status);
        html("/batches/1", &answer);
    }
    // Anybody's page could send what a browser keeps: it changes nothing.
    let typed = password(&tokens.admin);
    let path = "/admin/jobs/1/sgx/retry";
    let answer = world.send(Method::POST, path, &[HTML, ("authorization", &typed)], "").await;
    answer.assert_problem(401, "unauthorized");
}

#[tokio::test]
async fn public_pages_name_no_prover_and_show_no_operators_text() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| {
        config.tokens_file = Some(tokens.path());
        config.public_proofs = true;
    })
    .await;
    let mut batch = new_batch(1, None);
    batch.source = "the-operators-own-words".to_owned();
    world.server.service().add_batch(batch).await.unwrap();
    let bearer = format!("Bearer {}", tokens.prover);
    let prover = [("authorization", bearer.as_str())];
    let claimed = world.send(Method::POST, "/tee/proof_inputs", &prover, r#"{"tee_type":"sgx"}"#).await;
    let lease = claimed.headers["tee-lease-id"].to_str().unwrap().to_owned();
    let report = json!({ "kind": "root_mismatch", "error": "at 10.1.2.3" }).to_string();
    let path = format!("/tee/leases/{lease}/fail");
    assert_eq!(world.send(Method::POST, &path, &prover, report).await.status, StatusCode::OK);
    for path in ["/", "/batches/1", "/search?q=nothing", "/batches/1/proofs.json"] {
        let shown = world.send(Method::GET, path, &[HTML], "").await;
        let shown = String::from_utf8(shown.body).unwrap();
        for hidden in [
            "token:",
            "address:",
            "10.1.2.3",
            "root_mismatch",
            "the-operators-own-words",
            "proof_inputs_no_lock",
            "1 job fails",
        ] {
            assert!(!shown.contains(hidden), "{path}: {hidden}\n{shown}");
        }
    }
    let bearer = format!("Bearer {}", tokens.reader);
    let shown = world.send(Method::GET, "/batches/1", &[HTML, ("authorization", &bearer)], "").await;
    let shown = html("/batches/1", &shown);
    for of_reader in ["at 10.1.2.3", "the-operators-own-words", "/tee/proof_inputs_no_lock/1"] {
        assert!(shown.contains(of_reader), "{of_reader}\n{shown}");
    }
}

#[tokio::test]
async fn a_keys_page_shows_its_verdict_then_and_now_and_what_it_proved() {
    let folder = tempfile::tempdir().unwrap();
    let world = attestations::world(folder.path()).await;
    let key = world.registered_key(1).await;
    world.claim("sgx").await;
    let path = format!("/keys/{}", key.public());
    let shown = page(&world, &path).await;
    assert!(
        shown.contains("<strong>SGX, accepted</strong>") && shown.contains("<strong>Simulated.</strong>"),
        "{shown}"
    );
    assert!(shown.contains("Its prover's program</dt><dd><span class=\"quiet\">not known here</span>"), "{shown}");
    for text in
        ["<code>mrenclave</code>", "MRENCLAVE", "UpToDate", "There are none here", "At registration", ">passes<"]
    {
        assert!(shown.contains(text), "{text}\n{shown}");
    }
    assert!(shown.contains(&format!("{:?}", key.public().address())));
    assert!(!shown.contains(">broken<") && !shown.contains(">not judged<"), "{shown}");
    let listed = world.get("/api/attestations").await.json();
    let quote = world.get(&format!("{path}/quote.bin")).await;
    assert_eq!(listed["items"][0]["quote"], hex::encode(&quote.body));
    assert_eq!(quote.headers["x-content-type-options"], "nosniff");
    assert!(world.get(&format!("{path}/collateral.json")).await.json()["tcb_info"].is_string());
    // More than a year later the certificates have ended: at registration the key passed, now it does not.
    world.clock.advance(Duration::from_secs(400 * 24 * 3600));
    let shown = page(&world, &path).await;
    assert!(shown.contains(">does not pass<") && shown.contains(">broken<") && shown.contains(">kept<"), "{shown}");
    let unknown = world.send(Method::GET, &format!("/keys/{}", Key::new(9).public()), &[HTML], "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    html("/keys/…", &unknown);
}

#[tokio::test]
async fn a_list_gives_a_keys_build_a_name_and_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let world = attestations::world(folder.path()).await;
    let key = world.registered_key(1).await;
    let path = format!("/keys/{}", key.public());
    let shown = page(&world, &path).await;
    assert!(shown.contains("version 9.9.9 of this repository, commit abc, by the list builds.json."), "{shown}");
    // The operator's folders are not shown.
    assert!(!shown.contains(&*folder.path().to_string_lossy()), "{shown}");
    std::fs::write(folder.path().join("builds.json"), r#"{"builds": []}"#).unwrap();
    for _ in 0..200 {
        if !page(&world, &path).await.contains("Known build") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the list was never read again");
}

#[tokio::test]
async fn the_policy_is_there_to_be_had_where_quotes_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let world = attestations::world(folder.path()).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    for path in ["/batches/1".to_owned(), format!("/keys/{}", key.public())] {
        assert!(page(&world, &path).await.contains("href=\"/policy.yaml\""), "{path}");
    }
    let policy = world.get("/policy.yaml").await;
    assert_eq!(String::from_utf8(policy.body).unwrap(), attestations::POLICY());
    assert_eq!(policy.headers["content-type"], "application/yaml");
    assert_eq!(policy.headers["content-disposition"], "attachment; filename=\"policy.yaml\"");
    let unjudged = World::start().await;
    unjudged.add(1).await;
    assert!(!page(&unjudged, "/batches/1").await.contains("policy.yaml\">"));
    unjudged.get("/policy.yaml").await.assert_problem(404, "no_policy");
}

#[tokio::test]
async fn a_keys_proofs_come_in_pages_and_a_root_leads_to_its_batches() {
    let world = World::start().await;
    let key = world.registered_key(1).await;
    for number in 1..=60 {
        world.add(number).await;
        let root = if number > 58 { ROOT } else { root(number) };
        world.submit(number, &stating(&key, number, root), None).await.assert_success();
    }
    let first = page(&world, &format!("/keys/{}", key.public())).await;
    let listed = |shown: &str| shown.matches("href=\"/batches/").count();
    assert_eq!(listed(&first), 50);
    let (_, next) = first.split_once("rel=\"next\" href=\"").unwrap();
    let second = page(&world, next.split('"').next().unwrap()).await;
    assert_eq!(listed(&second), 10);
    assert!(!second.contains("rel=\"next\""));
    let found = page(&world, &format!("/search?q=0x{}", hex::encode(root(7)))).await;
    assert!(found.contains("<h1>Batch 7</h1>"), "{found}");
    let several = page(&world, &format!("/search?q={}", hex::encode(ROOT))).await;
    assert!(several.contains("/batches/59") && several.contains("/batches/60"), "{several}");
    let found = page(&world, &format!("/search?q={}", key.public())).await;
    assert!(found.contains("<h1>Key"), "{found}");
    let (_, hash) = first.split_once("href=\"/quotes/").unwrap();
    let hash = hash.split('"').next().unwrap();
    // This also holds for a key that was there before hashes were stored, once the server has restarted.
    for forgotten in [false, true] {
        if forgotten {
            world.execute("UPDATE tee_attestations SET quote_sha256 = NULL").await;
            world.get(&format!("/quotes/{hash}")).await.assert_problem(404, "unknown_key");
            world.beside().await.server.stop().await;
        }
        for path in [format!("/quotes/{hash}"), format!("/search?q={hash}")] {
            let found = page(&world, &path).await;
            assert!(found.contains(&key.public().to_string()), "{path}: {found}");
        }
    }
    world.get(&format!("/quotes/{}", "00".repeat(32))).await.assert_problem(404, "unknown_key");
    world.get("/quotes/00").await.assert_problem(400, "malformed_path");
}

/// The text of the overview, once its last reading is too old to be shown again.
async fn overview(world: &World, until: &str) -> String {
    for _ in 0..200 {
        let shown = page(world, "/overview").await;
        if shown.contains(until) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the overview never said {until}:\n{}", page(world, "/overview").await);
}

#[tokio::test]
async fn the_overview_says_what_is_wrong_and_where_to_read_what_to_do() {
    let world = World::start().await;
    world.clock.advance(Duration::from_secs(1_000_000));
    overview(&world, "All is well").await;
    for number in 1..=4 {
        world.add(number).await;
    }
    let (honest, forger) = (world.registered_key(1).await, world.registered_key(2).await);
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.clock.advance(Duration::from_secs(90));
    world.submit(1, &honest.proof(ROOT), Some(&lease)).await.assert_success();
    let proven = overview(&world, "1 job of the last day by the time from sealed to proven").await;
    assert!(!proven.contains("TeeServer"), "{proven}");
    world.submit(1, &forger.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
    let (_, lease) = world.claim("sgx").await.unwrap();
    let report = json!({ "kind": "root_mismatch<b>", "error": "x" });
    assert_eq!(world.post(&format!("/tee/leases/{lease}/fail"), &report).await.status, StatusCode::OK);
    let disputed = overview(&world, "1 open disagreement about").await;
    for text in
        ["/guide#TeeServerDisagreement", "/guide#TeeServerJobsFailed", "1 job fails", "root_mismatch&#60;b&#62;"]
    {
        assert!(disputed.contains(text), "{text}\n{disputed}");
    }
    assert!(!disputed.contains("nobody proves"), "{disputed}");
    // The only prover goes away.
    world.clock.advance(Duration::from_secs(3600));
    let silent = overview(&world, "SGX: 2 batches wait and nobody proves").await;
    assert!(silent.contains("oldest: batch 2"), "{silent}");
    assert!(page(&world, "/disagreements").await.contains("href=\"/batches/1\""));
    // Whoever comes by another way sees them, too.
    let searched = html("/search", &world.send(Method::GET, "/search?q=nothing", &[HTML], "").await);
    for shown in [page(&world, "/disagreements").await, searched] {
        assert!(shown.contains("<strong>Not attested.</strong>"), "{shown}");
        let (_, alarms) = shown.split_once("<h2 id=\"alarms\">To look at</h2>").expect("alarms");
        for what in ["SGX: 2 batches wait and nobody proves", "/guide#TeeServerDisagreement", "href=\"/overview\""] {
            assert!(alarms.contains(what), "{what}\n{shown}");
        }
    }
    assert!(page(&world, "/guide").await.contains("id=\"TeeServerDisagreement\""));
}

#[tokio::test]
async fn the_list_of_batches_costs_a_page_and_leads_to_all_of_them() {
    let world = World::start().await;
    assert!(page(&world, "/").await.contains("There are no batches here yet"));
    for number in 1..=60 {
        world.add(number).await;
    }
    let mut path = "/".to_owned();
    let mut seen = vec![];
    loop {
        let shown = page(&world, &path).await;
        let numbers =
            shown.split("href=\"/batches/").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap());
        let numbers: Vec<u32> = numbers.collect();
        assert!(numbers.len() <= 25, "{path}: {numbers:?}");
        seen.extend(numbers);
        let Some((_, next)) = shown.split_once("rel=\"next\" href=\"") else { break };
        path = next.split('"').next().unwrap().to_owned();
    }
    assert_eq!(seen, (1..=60).rev().collect::<Vec<_>>());
    for from in ["0", "4294967295"] {
        page(&world, &format!("/?from={from}")).await;
    }
    let wrong = world.send(Method::GET, "/?from=x", &[HTML], "").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_proofs_of_a_page_are_those_of_the_json_rpc() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.claim("sgx").await.unwrap();
    world.submit(1, &stating(&key, 1, ROOT), None).await.assert_success();
    let answer = world.get("/batches/1/proofs.json").await;
    assert!(answer.headers["content-disposition"].to_str().unwrap().contains("batch-1-proofs.json"));
    assert_eq!(answer.json(), world.rpc_proofs(1).await);
    world.get("/batches/2/proofs.json").await.assert_problem(404, "unknown_batch");
}

#[tokio::test]
async fn a_search_leads_to_what_there_is() {
    let world = World::start().await;
    let key = Key::new(1).public();
    let search = async |query: &str| world.send(Method::GET, &format!("/search?q={query}"), &[HTML], "").await;
    for (query, title) in
        [("", "Nothing was asked for"), ("nonsense", "Nothing found"), ("4294967296", "Nothing found")]
    {
        let answer = search(query).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{query}");
        assert!(html(query, &answer).contains(title), "{query}");
    }
    world.add(7).await;
    for query in ["7", "%20%237", "07"] {
        let answer = search(query).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}");
        assert!(html(query, &answer).contains("<h1>Batch 7</h1>"), "{query}");
    }
    assert_eq!(search(&key.to_string()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_page_with_all_that_it_shows_is_small() {
    let world = World::start().await;
    let mut assets = 0;
    for path in ["/pages/style.css", "/pages/icon.svg", "/pages/live.js"] {
        let answer = world.get(path).await;
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assets += answer.body.len();
    }
    let number = 1;
    world.add(number).await;
    world.claim("sgx").await.unwrap();
    for seed in 0..40 {
        let key = Key::numbered(seed);
        world.post("/tee/register_attestation", &key.registration()).await.assert_success();
        let mut proof = stating(&key, number, ROOT);
        let signed = proof.statement.take().unwrap();
        let statement = key.statement(|statement| {
            *statement = signed.statement;
            statement.system_logs = vec![seed as u8; 88 * 512];
        });
        proof.statement = Some(statement);
        world.submit(number, &proof, None).await.assert_success();
    }
    let shown = page(&world, "/batches/1").await;
    assert!(shown.len() + assets < MAX_BYTES, "{} + {assets}", shown.len());
    assert!(shown.contains("More keys signed"), "{shown}");
    assert!(shown.contains("480 more are in the proof"));
}

pub(crate) fn base64(text: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(text)
}
