//! The server judges what somebody pastes, and says that it does.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    access::Tokens,
    attestations,
    pages::{HTML, MAX_BYTES, base64, html, page, stating},
    world::{Answer, Key, ROOT, World, root},
};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>";

async fn post(world: &World, text: &str) -> Answer {
    let body: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let headers = [HTML, ("content-type", "application/x-www-form-urlencoded")];
    world.send(Method::POST, "/verify", &headers, format!("text={body}")).await
}

pub(crate) async fn judged(world: &World, text: &str) -> String {
    let answer = post(world, text).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    html("/verify", &answer)
}

/// The verdict on each of a proof's claims, in order.
fn verdicts(shown: &str) -> Vec<&str> {
    let claims = shown.split("<th scope=\"col\">Claim</th>").nth(1).unwrap().split("</table>").next().unwrap();
    claims.split("<span class=\"mark ").skip(1).map(|mark| mark.split(['>', '<']).nth(1).unwrap()).collect()
}

/// A server that judges quotes, with one batch that is proven.
async fn proven(folder: &std::path::Path) -> (World, Key, Value) {
    let world = attestations::world(folder).await;
    world.add_expecting(1, Some(ROOT)).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &stating(&key, 1, ROOT), Some(&lease)).await.assert_success();
    let published = world.get("/batches/1/proofs.json").await.json();
    (world, key, published)
}

#[tokio::test]
async fn a_published_proof_is_judged_claim_by_claim() {
    let folder = tempfile::tempdir().unwrap();
    let (world, key, published) = proven(folder.path()).await;
    let form = page(&world, "/verify").await;
    for shown in ["<form method=\"post\" action=\"/verify\">", "This server judges", "teectl quote verify quote.bin"] {
        assert!(form.contains(shown), "{shown}\n{form}");
    }
    assert!(page(&world, "/batches/1").await.contains("href=\"/verify\""));
    for text in [published.to_string(), published[0].to_string(), json!({ "result": published }).to_string()] {
        let shown = judged(&world, &text).await;
        assert_eq!(verdicts(&shown), ["holds"; 5], "{shown}");
        for expected in [
            format!("<a href=\"/keys/{}\">registered here</a>", key.public()),
            "<code>mrenclave</code>".to_owned(),
            "Protocol version".to_owned(),
            format!("teectl proofs verify --rpc {} --batch 1 ", world.url()),
        ] {
            assert!(shown.contains(&expected), "{expected}\n{shown}");
        }
        assert!(!shown.contains("class=\"mark bad\""), "{shown}");
    }
}

#[tokio::test]
async fn what_does_not_hold_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (world, key, published) = proven(folder.path()).await;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut proof = published[0].clone();
        change(&mut proof);
        proof.to_string()
    };
    let other_key = Key::new(2);
    for (text, expected) in [
        (changed(&|proof| proof["signature"] = json!("00".repeat(64))), [0, 1, 0, 0, 0]),
        (changed(&|proof| proof["pubkey"] = json!(other_key.public().to_string())), [0, 1, 0, 1, 1]),
        (
            changed(&|proof| {
                proof["proof"] = json!(hex::encode(root(9)));
                proof["signature"] = json!(hex::encode(key.sign(root(9)).to_bytes()));
            }),
            [0, 0, 1, 0, 1],
        ),
        (changed(&|proof| proof["attestation"] = Value::Null), [0, 0, 0, 1, 0]),
        (changed(&|proof| proof["statement"]["signature"] = json!("00".repeat(64))), [0, 0, 0, 0, 1]),
    ] {
        let shown = judged(&world, &text).await;
        let broken: Vec<_> = verdicts(&shown).iter().map(|verdict| u8::from(*verdict == "does not hold")).collect();
        assert_eq!(broken, expected, "{text}\n{shown}");
    }
    // A proof of a key that was revoked here does not count here, whatever the proof says.
    world.server.service().revoke_key(&key.public(), "leaked", false).await.unwrap();
    let shown = judged(&world, &published.to_string()).await;
    assert_eq!(verdicts(&shown)[3], "does not hold", "{shown}");
}

#[tokio::test]
async fn a_quote_is_judged_by_itself_and_is_genuine_only_with_collateral_for_its_platform() {
    let folder = tempfile::tempdir().unwrap();
    let world = attestations::world(folder.path()).await;
    let quote = hex::encode(Key::new(1).quote().as_bytes());
    let shown = judged(&world, &quote).await;
    assert!(shown.contains("does not pass") && shown.contains("broken"), "{shown}");
    let key = world.registered_key(1).await;
    for text in [quote.clone(), format!("0x{}\n{}", &quote[..100], &quote[100..])] {
        let shown = judged(&world, &text).await;
        assert!(shown.contains(">passes<") && !shown.contains("broken"), "{shown}");
        assert!(shown.contains("MRENCLAVE") && shown.contains("teectl quote verify quote.bin"), "{shown}");
    }
    // The stored quote leads to its key.
    let kept = world.get(&format!("/keys/{}/quote.bin", key.public())).await;
    assert!(judged(&world, &hex::encode(&kept.body)).await.contains(&format!("/keys/{}", key.public())));
    // If no quotes are judged, the page says so.
    let unjudged = World::start().await;
    assert!(judged(&unjudged, &quote).await.contains("does not judge quotes"));
}

#[tokio::test]
async fn what_is_pasted_never_becomes_markup_and_never_fills_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _, published) = proven(folder.path()).await;
    let assets = world.get("/pages/style.css").await.body.len();
    let with = |field: &str, value: Value| {
        let mut proof = published[0].clone();
        proof[field] = value;
        proof.to_string()
    };
    let long = HOSTILE.repeat(1000);
    for (text, status) in [
        (HOSTILE.to_owned(), 422),
        (format!("{{\"{HOSTILE}"), 422),
        (json!({ "teeType": HOSTILE }).to_string(), 422),
        (with("teeType", json!(HOSTILE)), 422),
        (with("pubkey", json!(HOSTILE)), 422),
        (with("statement", json!(HOSTILE)), 200),
        (with("statement", json!(long)), 200),
        (with("status", json!(HOSTILE)), 200),
        (with("revokedAt", json!(HOSTILE)), 200),
        (with("collateral", json!({ "tcb_info": HOSTILE })), 200),
        (with("attestation", json!("00".repeat(6000))), 200),
        (published[0].to_string().replace("generated", &HOSTILE.replace('"', "")), 200),
        ("0300".repeat(2000), 200),
        (String::new(), 422),
        ("[".repeat(50_000), 422),
        (json!([json!({ "l1BatchNumber": 1, "teeType": "sgx", "provedAt": "", "status": "failed" })]).to_string(), 422),
    ] {
        let answer = post(&world, &text).await;
        assert_eq!(answer.status.as_u16(), status, "{text:.200}");
        let shown = html("/verify", &answer);
        assert!(!shown.contains("<img src=x") && !shown.contains("<script>") && !shown.contains("\"'&<"), "{shown}");
        assert!(shown.len() + assets < MAX_BYTES, "{} bytes: {text:.200}", shown.len());
        assert_eq!(status == 422, shown.contains("Nothing was judged"), "{shown}");
    }
}

#[tokio::test]
async fn a_form_that_is_too_large_or_none_is_refused_with_a_page() {
    let world = World::start().await;
    let large = post(&world, &"00".repeat(100_000)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(html("/verify", &large).contains("the body is too large"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    for body in ["", "text=00&more=1", "txt=00", "text=00&text=01"] {
        let answer = world.send(Method::POST, "/verify", &[HTML, form], body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        html("/verify", &answer);
    }
    world.post("/verify", &json!({ "text": "00" })).await.assert_problem(400, "malformed_body");
}

#[tokio::test]
async fn who_may_read_proofs_may_paste_one_with_a_token_that_a_browser_keeps() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    assert_eq!(post(&world, "00").await.status, StatusCode::UNAUTHORIZED);
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (token, status) in [(&tokens.reader, 200), (&tokens.prover, 403)] {
        let typed = format!("Basic {}", base64(&format!("me:{token}")));
        let headers = [HTML, form, ("authorization", typed.as_str())];
        let answer = world.send(Method::POST, "/verify", &headers, "text=0300").await;
        assert_eq!(answer.status, status);
    }
    let public = World::start_with(|config| {
        config.tokens_file = Some(tokens.path());
        config.public_proofs = true;
    })
    .await;
    assert_eq!(post(&public, "0300").await.status, StatusCode::OK);
}
