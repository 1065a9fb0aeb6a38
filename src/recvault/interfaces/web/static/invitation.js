// The secret of a link stands after its #, which never leaves the browser: it goes into the form, and out of the address.
"use strict";

const field = document.querySelector("[data-secret]");
const given = location.hash.slice(1);
if (given) {
  field.value = given;
  history.replaceState(null, "", location.pathname + location.search);
  for (const link of document.querySelectorAll("a[hreflang]")) { link.hash = given; }
}
if (field.value) { field.closest("label").hidden = true; }
