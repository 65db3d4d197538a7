//! People click through the pages, while batches of a chain are proven.

use std::{path::Path, time::Duration};

use reqwest::StatusCode;
use serde_json::Value;
use tee_api::{SigningKey, SubmitProof, TeeType};
use tee_devnet::{Chain, Genesis, Load};
use tee_server::NewBatch;
use tee_verifier::{BatchInput, H256, Options, verify};

use crate::{
    access::Tokens,
    attestations,
    browser::Browser,
    page_rules::Rules,
    pages, pages_verify,
    world::{Key, World},
};

const SEED: u8 = 1;

/// A browser, or `None` if there is none and that is allowed.
async fn browser() -> Option<Browser> {
    let browser = Browser::start().await;
    if browser.is_none() {
        test_skips::skip("chromedriver");
    }
    browser
}

/// Batches as the chain seals them, with their roots.
fn sealed(batches: usize) -> Vec<(BatchInput, H256)> {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let load = Load { transactions: 3, cold_reads: 0, l1_transactions: 2 };
    let batches = (0..batches).map(|_| chain.seal(load).unwrap());
    batches.map(|sealed| (sealed.input, sealed.root)).collect()
}

async fn add(world: &World, input: &BatchInput, root: H256) -> u32 {
    let sealed_at_ms = attestations_now_ms() - 40_000;
    let number = input.l1_batch_env.number.0;
    let batch = NewBatch {
        input: input.clone(),
        expected_root: Some(root),
        sealed_at_ms: Some(sealed_at_ms),
        source: "devnet".to_owned(),
    };
    world.server.service().add_batch(batch).await.unwrap();
    number
}

fn attestations_now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Proves a batch as a prover does: executes it again and signs the result.
async fn prove(world: &World, input: &BatchInput) {
    let key = SigningKey::from_hex(&hex::encode([SEED; 32])).unwrap();
    let (claimed, lease) = world.claim("sgx").await.unwrap();
    assert_eq!(claimed, input.l1_batch_env.number.0);
    let signed = key.sign(&verify(input.clone(), &Options::danger_any_code()).unwrap(), &[]);
    let proof = SubmitProof {
        signature: signed.signature,
        pubkey: key.public_key(),
        proof: signed.statement.statement.root,
        tee_type: TeeType::Sgx,
        statement: Some(signed.statement),
    };
    world.clock.advance(Duration::from_secs(12));
    world.submit(claimed, &proof, Some(&lease)).await.assert_success();
}

/// Three batches (one proven, one disputed, one that waits), and one that fails.
async fn chain_at_work(folder: &Path) -> (World, Vec<u32>) {
    let world = attestations::world(folder).await;
    let batches = sealed(4);
    let mut numbers = vec![];
    for (input, root) in &batches {
        numbers.push(add(&world, input, *root).await);
    }
    world.registered_key(SEED).await;
    prove(&world, &batches[0].0).await;
    prove(&world, &batches[1].0).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    let report =
        serde_json::json!({ "kind": "root_mismatch", "error": "the root after the batch is not the expected one" });
    let failed = world.post(&format!("/tee/leases/{lease}/fail"), &report).await;
    assert_eq!(failed.status, StatusCode::OK);
    (world, numbers)
}

/// What is wrong with a page's layout, and with what people need who do not see it.
const FLAWS: &str = "
    const flaws = [];
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) flaws.push(`wider than the window: ${root.scrollWidth} > ${innerWidth}`);
    if (document.querySelectorAll('h1').length !== 1) flaws.push('not one h1');
    if (!document.title || !root.lang) flaws.push('no title or no language');
    for (const landmark of ['header', 'main', 'nav[aria-label]', 'footer'])
        if (!document.querySelector(landmark)) flaws.push(`no ${landmark}`);
    const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) flaws.push(`id twice: ${id}`);
    for (const one of document.querySelectorAll('[aria-labelledby]'))
        if (!document.getElementById(one.getAttribute('aria-labelledby'))) flaws.push('labelled by nothing');
    for (const field of document.querySelectorAll('input, textarea'))
        if (!field.labels.length) flaws.push(`no label: ${field.name}`);
    for (const link of document.querySelectorAll('a'))
        if (!link.textContent.trim()) flaws.push(`no text: ${link.href}`);
    for (const head of document.querySelectorAll('th')) if (!head.scope) flaws.push('a head of what?');
    for (const drawing of document.querySelectorAll('svg'))
        if (!drawing.getAttribute('aria-label')) flaws.push('a drawing that says nothing');
    const light = (colour) => {
        const parts = colour.match(/[0-9.]+/g).slice(0, 3).map(Number).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const behind = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (!colour.endsWith(', 0)')) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    for (const one of document.querySelectorAll('main *, header *, footer')) {
        const has = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!has || one.closest('svg') || !one.checkVisibility()) continue;
        const [front, back] = [light(getComputedStyle(one).color), light(behind(one))];
        const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (contrast < 4.5) flaws.push(`contrast ${contrast.toFixed(2)}: ${one.tagName} ${one.className} ${one.textContent.slice(0, 30)}`);
    }
    return flaws;";

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_read_at_every_width_in_both_themes_with_and_without_scripts() {
    let Some(browser) = browser().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (world, numbers) = chain_at_work(folder.path()).await;
    let key = Key::new(SEED).public().to_string();
    let pages = [
        ("home", "/".to_owned()),
        ("batch", format!("/batches/{}", numbers[1])),
        ("failing", format!("/batches/{}", numbers[2])),
        ("key", format!("/keys/{key}")),
        ("overview", "/overview".to_owned()),
        ("disagreements", "/disagreements".to_owned()),
        ("guide", "/guide".to_owned()),
        ("search", "/search?q=nothing".to_owned()),
        ("verify", "/verify".to_owned()),
    ];
    for scripts in [true, false] {
        browser.run_scripts(scripts).await;
        for (width, dark) in [(360, false), (820, true), (1440, false), (1440, true)] {
            browser.look(width, dark).await;
            for (name, path) in &pages {
                browser.open(&format!("{}{path}", world.url())).await;
                let flaws = browser.run(FLAWS).await;
                assert_eq!(flaws, Value::Array(vec![]), "{path} at {width}, dark {dark}, scripts {scripts}");
                // Pictures to look at, and for the README.
                if let Some(folder) = std::env::var_os("TEE_PICTURES").filter(|_| scripts) {
                    let theme = if dark { "dark" } else { "light" };
                    let file = Path::new(&folder).join(format!("{name}-{width}-{theme}.png"));
                    std::fs::write(file, browser.picture().await).unwrap();
                }
            }
        }
    }
    // Only the search that found nothing is missing.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("/search?q=nothing")), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_valid_html_and_keeps_nobody_out_in_either_theme() {
    let (Some(browser), Some(rules)) = (browser().await, Rules::read()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (world, numbers) = chain_at_work(folder.path()).await;
    let key = Key::new(SEED).public();
    let published = world.get(&format!("/batches/{}/proofs.json", numbers[0])).await;
    let published = String::from_utf8(published.body).unwrap();
    let quote = hex::encode(Key::new(SEED).quote().as_bytes());
    let mut paths: Vec<_> = numbers.iter().map(|number| format!("/batches/{number}")).collect();
    paths.push(format!("/keys/{key}"));
    let others =
        ["/", "/overview", "/disagreements", "/guide", "/search?q=nothing", "/verify", "/batches/4000000000", "/docs"];
    paths.extend(others.map(str::to_owned));
    let mut valid = vec![];
    for path in &paths {
        let answer = world.send(reqwest::Method::GET, path, &[pages::HTML], "").await;
        valid.push((path.clone(), String::from_utf8(answer.body).unwrap()));
    }
    for (name, text) in [("a proof", &published), ("a quote", &quote)] {
        valid.push((name.to_owned(), pages_verify::judged(&world, text).await));
    }
    assert_eq!(rules.errors(&valid), Vec::<String>::new());

    for (width, dark) in [(360, true), (1440, false)] {
        browser.look(width, dark).await;
        for path in &paths {
            browser.open(&format!("{}{path}", world.url())).await;
            assert_eq!(rules.barriers(&browser).await, Vec::<String>::new(), "{path} at {width}, dark {dark}");
        }
        for text in [&published, &quote, "<script>"] {
            browser.open(&format!("{}/verify", world.url())).await;
            browser.run(&format!("document.getElementById('text').value = {}", Value::from(text))).await;
            browser.run("document.querySelector('main button').click()").await;
            browser.until("document.querySelector('main section[aria-labelledby]:not([aria-labelledby=paste]), [role=alert]')").await;
            assert_eq!(rules.barriers(&browser).await, Vec::<String>::new(), "/verify at {width}, dark {dark}");
            if let Some(folder) = std::env::var_os("TEE_PICTURES") {
                let name = format!("judged-{}-{width}-{}.png", text.len(), if dark { "dark" } else { "light" });
                std::fs::write(Path::new(&folder).join(name), browser.picture().await).unwrap();
            }
        }
    }
    // A page that is wrong is noticed.
    let broken = "<!doctype html><html lang=en><title>x</title><img src=x><p id=a><p id=a>";
    assert!(rules.errors(&[("broken".to_owned(), broken.to_owned())]).len() > 1);
    browser.open(&format!("data:text/html,{broken}")).await;
    assert!(rules.barriers(&browser).await.iter().any(|barrier| barrier.contains("image-alt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_goes_from_the_list_to_a_batch_to_its_key_and_finds_it_again() {
    let Some(browser) = browser().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (world, numbers) = chain_at_work(folder.path()).await;
    browser.open(&world.url()).await;
    browser.run(&format!("document.querySelector('a[href=\"/batches/{}\"]').click()", numbers[0])).await;
    browser.until(&format!("document.querySelector('h1')?.textContent === 'Batch {}'", numbers[0])).await;
    let badge = browser.run("return document.querySelector('.badge strong').textContent").await;
    assert_eq!(badge, "Proven by 1 key (SGX)");
    let banner = browser.run("return document.querySelector('.banner strong').textContent").await;
    assert_eq!(banner, "Simulated.");
    let root = browser.run("return document.querySelector('.roots code').textContent").await;
    assert!(
        browser.run("return document.body.textContent.includes('number of L1 transactions')").await.as_bool().unwrap()
    );
    browser.run("document.querySelector('#signed ~ .wide a').click()").await;
    browser.until("document.querySelector('h1')?.textContent.startsWith('Key')").await;
    let rules = browser.run("return document.querySelectorAll('#verdict ~ .wide tbody tr').length").await;
    assert!(rules.as_u64().unwrap() > 10, "{rules}");
    assert_eq!(browser.run("return document.querySelectorAll('#verdict ~ .wide .mark.bad').length").await, 0);
    let search =
        format!("document.getElementById('find').value = {root}; document.querySelector('.find button').click()");
    browser.run(&search).await;
    browser.until(&format!("document.querySelector('h1')?.textContent === 'Batch {}'", numbers[0])).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_types_a_token_and_the_overview_follows_what_happens() {
    let Some(browser) = browser().await else { return };
    let tokens = Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    world.clock.advance(Duration::from_secs(1_000_000));
    let typed = format!("http://ops:{}@{}", tokens.reader, world.server.local_addr());
    browser.open(&format!("{typed}/overview")).await;
    browser.until("document.getElementById('pulse')?.textContent.includes('live')").await;
    let waiting = "[...document.querySelectorAll('.tile')].find((tile) => tile.textContent.includes('waiting'))?.querySelector('.count').textContent";
    assert_eq!(browser.run(&format!("return {waiting}")).await, "0");
    // The first prover that asks makes the jobs.
    world.add(1).await;
    world.add(2).await;
    let bearer = format!("Bearer {}", tokens.prover);
    let claimed = world
        .send(reqwest::Method::POST, "/tee/proof_inputs", &[("authorization", &bearer)], r#"{"tee_type":"sgx"}"#)
        .await;
    assert_eq!(claimed.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(5));
    browser.until(&format!("{waiting} === '1'")).await;
    browser.until("document.body.textContent.includes('token:p')").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
