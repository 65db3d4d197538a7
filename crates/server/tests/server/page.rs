//! The page to try the API, in a browser.

use serde_json::Value;

use crate::{
    access::Tokens,
    browser::Browser,
    world::{World, new_batch},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_tries_the_api_in_a_browser() {
    let Some(browser) = Browser::start().await else {
        return test_skips::skip("chromedriver");
    };
    let tokens = Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    let mut hostile = new_batch(7, None);
    hostile.source = "<img src=x onerror=\"document.title = 'taken over'\">".to_owned();
    world.server.service().add_batch(hostile).await.unwrap();
    let document = world.get("/openapi.json").await.json();
    let operations: usize =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();

    browser.open(&format!("{}/docs", world.url())).await;
    browser.until(&format!("document.querySelectorAll('details').length === {operations}")).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let headings =
        browser.run("return [...document.querySelectorAll('h2')].map((heading) => heading.textContent)").await;
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
    assert_eq!(headings, Value::from(tags));

    let refused = send(&browser, "get", "/api/batches", "").await;
    assert!(refused.starts_with("401"), "{refused}");
    assert!(refused.contains("\"code\": \"unauthorized\""), "{refused}");
    browser.run(&format!("document.getElementById('token').value = '{}'", tokens.reader)).await;
    let listed = send(&browser, "get", "/api/batches", "").await;
    assert!(listed.starts_with("200") && listed.contains("\"batch\": 7"), "{listed}");
    // Text from others is shown as text, not as a part of the page.
    assert!(listed.contains("<img src=x onerror="), "{listed}");
    assert_eq!(
        browser.run("return document.querySelectorAll('img').length + document.title").await,
        "0tee-proof-server"
    );

    let inputs = "/tee/proof_inputs_no_lock/{batch}";
    let missing = send(&browser, "get", inputs, "operation.querySelector('label input').value = '8';").await;
    assert!(missing.starts_with("404"), "{missing}");
    let filled = "operation.querySelector('textarea').value = '{\"tee_type\": \"sgx\"}';";
    browser.run(&format!("document.getElementById('token').value = '{}'", tokens.prover)).await;
    let claimed = send(&browser, "post", "/tee/proof_inputs", filled).await;
    assert!(claimed.starts_with("200") && claimed.contains("tee-lease-id: "), "{claimed}");
}

/// Fills in an operation's fields, presses its button, and reads the result.
async fn send(browser: &Browser, method: &str, path: &str, fill: &str) -> String {
    let find = format!(
        "const operation = [...document.querySelectorAll('details')].find((one) =>
             one.querySelector('b').textContent === '{method}' && one.querySelector('code').textContent === '{path}');"
    );
    browser.run(&format!("{find} operation.open = true; {fill} operation.querySelector('button').click();")).await;
    let output = format!("(() => {{ {find} return operation.querySelector('pre'); }})()");
    // Whole answers are shown with line breaks.
    browser.until(&format!("/^[0-9]{{3}} [^]*\\n\\n\\{{\\n[^]*\\n\\}}$/.test({output}.textContent)")).await;
    browser.run(&format!("return {output}.textContent")).await.as_str().unwrap().to_owned()
}
