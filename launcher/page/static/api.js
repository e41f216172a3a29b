// Requests to the page's own server, with the token that stands after the # of its address. It is
// kept for this tab, so that a reload works, and taken out of sight.

const KEPT = "leeky-raft-token";

function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) sessionStorage.setItem(KEPT, given);
  return given ?? sessionStorage.getItem(KEPT) ?? "";
}

export function hasToken() {
  return token() !== "";
}

export function request(path, options = {}) {
  return fetch(path, { ...options, headers: { ...options.headers, "X-Leeky-Token": token() }, cache: "no-store", referrerPolicy: "no-referrer" });
}

/** The JSON of an answer. Throws an Error with the server's line when there is none. */
export async function api(path, options = {}) {
  const response = await request(path, options);
  const said = await response.json().catch(() => ({}));
  if (!response.ok && said.error !== undefined && said.status === undefined) throw new Error(said.error);
  if (!response.ok && said.status === undefined) throw new Error(`${path}: ${response.status}`);
  return said;
}
