// The browser's side of workers: starts a job on the server, asks for its result now and then, stops it when it is
// cancelled or the page is left.
//
//     <script src="/worker.js"></script>                       import { Worker } from "/worker.js";
//     const work = new quick_server.Worker();                  const work = new Worker();
//     work.status((jobs) => …);                                work.status = (jobs) => …;
//     work.post("sum", "/api/sum", {n: 3}, (result) => …);     (the same)
//     work.cancel("sum");                                      (the same)
//
// One file serves both. In a module `await` is an operator, so that its last lines begin with a regular expression,
// /[/*/]/, and go on with the exports; in a script it is a name, and they are a division by an array, [0], with a
// comment in it: /*/]/ … //*/.
"use strict";

var quickServerWorker = (() => {
  const VERSION = "1.0";
  const FIRST_DELAY = 500;  // ms between two questions; then max(d * 1.01, d + 10), at most
  const LAST_DELAY = 60000;
  const RETRIES = 5;  // failed questions in a row (a server that starts anew) before a job is given up
  const pages = new Set();  // each Worker's jobs, for the page's end

  class WorkerError extends Error {
    // status: of the HTTP answer, 0 if there was none.
    constructor(message, status) {
      super(message);
      this.name = "WorkerError";
      this.status = status;
    }
  }

  const nextDelay = (delay) => Math.min(Math.max(delay * 1.01, delay + 10), LAST_DELAY);
  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

  async function send(url, body) {
    let response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        cache: "no-store",
      });
    } catch (error) {
      throw new WorkerError(String(error && error.message), 0);
    }
    if (!response.ok) {
      throw new WorkerError(response.statusText || `status ${response.status}`, response.status);
    }
    try {
      return await response.json();
    } catch (error) {
      throw new WorkerError("not a worker's answer", response.status);
    }
  }

  // Only trouble on the way, or a server that says "later", is worth another try.
  const passing = (error) => error.status === 0 || error.status === 502 || error.status === 503 || error.status === 504;

  async function sendPatiently(url, body) {
    let delay = FIRST_DELAY;
    for (let failed = 1; ; failed += 1) {
      try {
        return await send(url, body);
      } catch (error) {
        if (failed >= RETRIES || !passing(error)) {
          throw error;
        }
        await pause(delay);
        delay *= 2;
      }
    }
  }

  // The page may be gone before an answer is there: a beacon is sent all the same.
  function sendStop(job) {
    const body = JSON.stringify({ action: "stop", token: job.token });
    const blob = new Blob([body], { type: "application/json" });
    if (!(navigator.sendBeacon && navigator.sendBeacon(job.url, blob))) {
      const headers = { "Content-Type": "application/json" };
      fetch(job.url, { method: "POST", headers, body, keepalive: true }).catch(() => {});
    }
  }

  // Once started a job has a token; `over` says that nobody waits for it any more.
  function stop(job) {
    job.over = true;
    if (job.token !== null) {
      sendStop(job);
      job.token = null;
    }
  }

  async function compute(job) {
    let answer = await send(job.url, { action: "start", payload: job.payload });
    job.token = answer.token;
    if (job.over) {  // cancelled before the server's answer: now it has a name to be stopped by
      if (answer.continue) {
        stop(job);
      }
      return undefined;
    }
    for (let delay = FIRST_DELAY; answer.continue && !answer.done; delay = nextDelay(delay)) {
      await pause(delay);
      if (job.over) {
        return undefined;
      }
      answer = await sendPatiently(job.url, { action: "get", token: job.token });
    }
    job.token = null;  // the server has forgotten it
    if (!answer.done) {
      throw new WorkerError("the server does not know the job any more", 200);
    }
    const text = answer.continue ? await unload(job, answer.result) : answer.result;
    return text === undefined ? undefined : JSON.parse(text);
  }

  // undefined if it is cancelled meanwhile.
  async function unload(job, tokens) {
    let text = "";
    for (const token of tokens) {
      text += (await sendPatiently(job.url, { action: "cargo", token })).result;
      if (job.over) {
        return undefined;
      }
    }
    return text;
  }

  // What a function of the page's throws is shown in the console; it is no failure of the job, and keeps nobody else
  // from being told.
  function call(callback, ...values) {
    try {
      callback(...values);
    } catch (error) {
      setTimeout(() => { throw error; });
    }
  }

  class Worker {
    constructor() {
      this._jobs = new Map();  // name: job
      this._status = null;
      pages.add(this._jobs);
    }

    // Of a classic script: status(function) sets, status() gets what is called with the number of jobs under way at
    // each change; with -1 and the error when one has failed. Of a module: the same as a property.
    get status() {
      return (...values) => {
        if (!values.length) {
          return this._status;
        }
        this._status = values[0];
        return this;
      };
    }

    set status(callback) {
      this._status = callback;
    }

    // Starts a job, in place of one of the same name. done(result) is called with the result; failed(error), if it is
    // given, with a WorkerError. Neither is called for a job that was cancelled. Gives a promise of the same: of
    // undefined for one that was cancelled; it may be left alone.
    post(name, url, payload, done, failed) {
      this._drop(name);
      const job = { url: new URL(url, document.baseURI).href, payload, token: null, over: false };
      job.again = () => this.post(name, url, payload, done, failed);
      this._jobs.set(name, job);
      this._tell(this.active());
      const promise = compute(job).then(
        (result) => this._end(name, job, () => {
          if (done) {
            call(done, result);
          }
          return result;
        }),
        (error) => this._end(name, job, () => {
          this._tell(-1, error);
          if (failed) {
            call(failed, error);
          }
          throw error;
        }));
      promise.catch(() => {});  // told by status and failed
      return promise;
    }

    // Stops the job of that name, here and on the server; whether there was one.
    cancel(name) {
      const dropped = this._drop(name);
      if (dropped) {
        this._tell(this.active());
      }
      return dropped;
    }

    // How many jobs are under way.
    active() {
      return this._jobs.size;
    }

    _drop(name) {
      const job = this._jobs.get(name);
      if (job) {
        this._jobs.delete(name);
        stop(job);
      }
      return Boolean(job);
    }

    _end(name, job, then) {
      if (job.over) {
        return undefined;
      }
      this._jobs.delete(name);
      this._tell(this.active());
      return then();
    }

    _tell(jobs, error) {
      if (this._status) {
        call(this._status, jobs, error);
      }
    }
  }

  // A page that is kept to be gone back to is stopped as well, and its jobs begin anew when it is shown again.
  addEventListener("pagehide", () => {
    for (const jobs of pages) {
      jobs.forEach(stop);
    }
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      for (const jobs of pages) {
        [...jobs.values()].forEach((job) => job.again());
      }
    }
  });

  const library = { VERSION, Worker, WorkerError };
  globalThis.quick_server = Object.assign(globalThis.quick_server || {}, library);
  return library;
})();

typeof await /[/*/]/;
export const { VERSION, Worker, WorkerError } = quickServerWorker;
export default Worker;
//*/ 0];
