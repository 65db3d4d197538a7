"use strict";

// Shows an OpenAPI document and lets its operations be tried. All text comes in as text: nothing is taken for HTML.

const MAX_SHOWN = 200_000;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function resolve(api, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((part, key) => part[key], api);
}

// An example of what a schema describes, to begin with.
function example(api, schema, depth = 0) {
  schema = resolve(api, schema);
  if (schema.example !== undefined) return schema.example;
  if (schema.enum) return schema.enum[0];
  const choice = (schema.oneOf || schema.anyOf || schema.allOf || [])[0];
  if (choice) return depth > 4 ? null : example(api, choice, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object" && depth < 5) {
    const required = new Set(schema.required || []);
    const entries = Object.entries(schema.properties || {}).filter(([name]) => required.has(name));
    return Object.fromEntries(entries.map(([name, part]) => [name, example(api, part, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false, array: [] }[type] ?? null;
}

function parameterField(api, parameter) {
  const schema = resolve(api, parameter.schema);
  const input = schema.enum
    ? element("select", {}, ...schema.enum.map((value) => element("option", { value, textContent: value })))
    : element("input", { placeholder: parameter.required ? "required" : "" });
  const label = element("label", {}, element("span", { textContent: parameter.name }), input, " ",
    element("small", { textContent: parameter.description || "" }));
  return { parameter, input, label };
}

async function show(response, output) {
  const head = [`${response.status} ${response.statusText}`];
  for (const [name, value] of response.headers) head.push(`${name}: ${value}`);
  output.textContent = head.join("\n") + "\n\n";
  if (!response.body) return;
  // Read as it comes, so that events show while they happen.
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const type = response.headers.get("content-type") || "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
    if (text.length > MAX_SHOWN) {
      await reader.cancel();
      text += "\n… (cut)";
      break;
    }
    output.textContent = head.join("\n") + "\n\n" + text;
  }
  if (/json/.test(type)) {
    try {
      text = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Cut or not JSON after all: shown as it came.
    }
  }
  output.textContent = head.join("\n") + "\n\n" + text;
}

function operationView(api, path, method, operation) {
  const fields = (operation.parameters || []).map((parameter) => parameterField(api, parameter));
  const content = (operation.requestBody || {}).content;
  const types = Object.keys(content || {});
  const body = content && element("textarea", { spellcheck: false });
  const type = content && element("select", {}, ...types.map((value) => element("option", { value, textContent: value })));
  if (body && /json/.test(types[0])) {
    const media = content[types[0]];
    body.value = JSON.stringify(media.example ?? example(api, media.schema), null, 2);
  }
  const output = element("pre", { hidden: true });
  let running = null;

  async function send() {
    if (running) running.abort();
    running = new AbortController();
    const headers = {};
    const token = document.getElementById("token").value.trim();
    if (token) headers.authorization = `Bearer ${token}`;
    let target = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      const value = input.value.trim();
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (value && parameter.in === "query") query.set(parameter.name, value);
      else if (value && parameter.in === "header") headers[parameter.name] = value;
    }
    if (query.size) target += `?${query}`;
    const request = { method: method.toUpperCase(), headers, signal: running.signal, cache: "no-store" };
    if (body) {
      headers["content-type"] = type.value;
      request.body = body.value;
    }
    output.hidden = false;
    output.textContent = "…";
    try {
      await show(await fetch(target, request), output);
    } catch (error) {
      if (error.name !== "AbortError") output.textContent = String(error);
    }
  }

  const roles = (operation.security || []).flatMap((need) => Object.keys(need)).join(" or ");
  const parts = [
    element("summary", {}, element("b", { textContent: method }), element("code", { textContent: path })),
    element("p", { textContent: operation.description || operation.summary || "" }),
  ];
  if (roles) parts.push(element("p", {}, element("small", { textContent: `Needs the token of: ${roles}` })));
  parts.push(...fields.map(({ label }) => label));
  if (body) parts.push(element("label", {}, element("span", { textContent: "body" }), type), body);
  parts.push(
    element("button", { type: "button", textContent: "Send", onclick: send }),
    " ",
    element("button", { type: "button", textContent: "Stop", onclick: () => running && running.abort() }),
    output,
  );
  return element("details", {}, ...parts);
}

async function main() {
  const response = await fetch("/openapi.json");
  const api = await response.json();
  document.getElementById("description").textContent = api.info.description || "";
  const operations = document.getElementById("operations");
  for (const tag of api.tags || []) {
    const section = element("section", {}, element("h2", { textContent: tag.name }), element("p", { textContent: tag.description || "" }));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if ((operation.tags || []).includes(tag.name)) section.append(operationView(api, path, method, operation));
      }
    }
    operations.append(section);
  }
}

main().catch((error) => document.getElementById("operations").append(String(error)));
