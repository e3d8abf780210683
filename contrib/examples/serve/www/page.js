"use strict";

const element = (id) => document.getElementById(id);
const show = (id, value) => { element(id).textContent = typeof value === "string" ? value : JSON.stringify(value); };

async function ask(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) {
    throw new Error(`${response.status} ${response.statusText}`);
  }
  return (response.headers.get("Content-Type") || "").startsWith("application/json") ? response.json() : response.text();
}

const send = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// Does what a form is for, and shows the answer, or the error, below it.
function on(form, action) {
  element(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action(new FormData(event.target)).then((answer) => show(`${form}-answer`, answer),
      (error) => show(`${form}-answer`, String(error)));
  });
}

on("hello", (form) => ask(`/api/hello?name=${encodeURIComponent(form.get("name"))}`));
on("upload", (form) => ask("/api/upload", { method: "POST", body: form }));

// The worker. The name of its progress on the server is this page's own.
const work = new quick_server.Worker();
const name = `page${Math.random()}`;
let shown = 0;

work.status((jobs, error) => {
  show("status", jobs < 0 ? `failed: ${error.message}` : String(jobs));
  clearInterval(shown);
  if (jobs > 0) {
    shown = setInterval(showProgress, 200);
  }
});

async function showProgress() {
  const jobs = await ask("/api/jobs");
  if (name in jobs) {
    element("progress").value = jobs[name];
  }
}

element("primes").addEventListener("submit", (event) => {
  event.preventDefault();
  show("primes-answer", "");
  element("progress").value = 0;
  work.post("primes", "/api/primes", { below: Number(new FormData(event.target).get("below")), name }, (result) => {
    element("progress").value = 1;
    show("primes-answer", `${result.primes} primes below ${result.below}`);
  }, (error) => show("primes-answer", error.message));
});

element("cancel").addEventListener("click", () => {
  if (work.cancel("primes")) {
    show("primes-answer", "cancelled");
  }
});

// The token.
async function visit() {
  const answer = await ask("/api/visit", send({ token: localStorage.getItem("token") }));
  localStorage.setItem("token", answer.token);
  show("visits", String(answer.visits));
}

element("forget").addEventListener("click", () => {
  localStorage.removeItem("token");
  visit();
});

visit();
ask("/other/some/path?a=b").then((answer) => show("other", answer), (error) => show("other", String(error)));
