//! The description of the API, and the page to try it.

use std::{collections::HashSet, env, fs, path::Path};

use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn the_committed_description_is_the_one_that_the_code_makes() {
    let world = World::start().await;
    let served = String::from_utf8(world.get("/openapi.json").await.body).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&file, format!("{served}\n")).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed.trim_end() == served, "docs/openapi.json is not current: run this test with UPDATE_OPENAPI=1");
}

#[tokio::test]
async fn the_description_names_every_operation_once_and_who_may_use_it() {
    let world = World::start().await;
    let document: Value = serde_json::from_slice(&world.get("/openapi.json").await.body).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut names = HashSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            let is_open = path.starts_with("/health/");
            assert_eq!(operation.get("security").is_none(), is_open, "{method} {path}");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
        }
    }
    assert!(names.len() >= 19, "{names:?}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for schema in ["SubmitProof", "SignedStatement", "RegisterAttestation", "TeeProof", "JobEntry", "Problem"] {
        assert!(schemas.contains_key(schema), "{schema}");
    }
    let mut references = vec![];
    collect_references(&document, &mut references);
    for reference in references {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} is not there");
    }
}

fn collect_references(part: &Value, references: &mut Vec<String>) {
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        references.push(reference.to_owned());
    }
    let parts: Vec<_> = match part {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => vec![],
    };
    parts.into_iter().for_each(|part| collect_references(part, references));
}

#[tokio::test]
async fn the_page_to_try_it_needs_nothing_from_elsewhere() {
    let world = World::start().await;
    let page = world.get("/docs").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    let links: Vec<_> = html.split(['"', '\'']).filter(|part| part.starts_with('/') || part.contains("://")).collect();
    assert_eq!(links, ["/docs/page.css", "/docs/page.js", "/openapi.json"]);
    for (path, content_type) in [("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")] {
        let answer = world.get(path).await;
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(content_type));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("://") && !text.contains("innerHTML") && !text.contains("eval("), "{path}");
    }
}
