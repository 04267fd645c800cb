// One request to the service; an answer is always an object, also when nobody answers.

export async function ask(method, path, body) {
  try {
    const options = { method, headers: { Accept: "application/json" } };
    if (method !== "GET") {
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body ?? {});
    }
    const response = await fetch(path, options);
    return { ok: response.ok, body: await response.json() };
  } catch {
    return { ok: false, body: { error: "the service does not answer" } };
  }
}
