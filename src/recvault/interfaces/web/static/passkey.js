// Asks the browser for a passkey and sends what it answers as a form (Web Authentication, Level 3, 5.1). The form carries
// the options; a form with data-at-once asks without waiting for its button.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));

const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function readable(options) {
  const read = { ...options, challenge: bytes(options.challenge) };
  if (options.user) { read.user = { ...options.user, id: bytes(options.user.id) }; }
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    if (options[list]) { read[list] = options[list].map((one) => ({ ...one, id: bytes(one.id) })); }
  }
  return read;
}

function written(credential) {
  const { response } = credential;
  const parts = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) { parts[name] = base64url(response[name]); }
  }
  if (response.getTransports) { parts.transports = response.getTransports(); }
  return JSON.stringify({ id: credential.id, rawId: base64url(credential.rawId), type: credential.type, response: parts });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const publicKey = readable(JSON.parse(form.dataset.options));
  const button = form.querySelector("button");
  const fault = form.querySelector("[data-fault]");
  const ask = async () => {
    button.disabled = true;
    fault.hidden = true;
    try {
      form.elements.answer.value = written(await navigator.credentials[form.dataset.passkey]({ publicKey }));
      form.submit();
    } catch {
      fault.hidden = false;
      button.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  button.disabled = !navigator.credentials;
  fault.hidden = Boolean(navigator.credentials);
  if (navigator.credentials && "atOnce" in form.dataset) { ask(); }
}
