// What answers a script's requests: its handlers, then files that exist, then
// the proxy, then the script's fallback hook, then 404.
//
// Knows nothing of Python: Handlers calls the script. All of it is on the
// loop's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"
#include "http/files.hpp"
#include "http/proxy.hpp"
#include "http/representation.hpp"
#include "http/routes.hpp"
#include "http/server.hpp"
#include "http/settings.hpp"

namespace quicken::http {

/// Who calls a script. After call() and fallback() their caller touches nothing: they may take long, and the
/// loop may be another thread's by then.
class Handlers {
 public:
    virtual ~Handlers() = default;
    /// Answers by Site::answer(), or by the exchange itself, now or later. `body` is empty where there is
    /// none.
    virtual void call(std::shared_ptr<Exchange> exchange, Match match, Body body) = 0;
    virtual bool has_fallback() const = 0;
    /// Asks the script's fallback hook: answers by Files::answer_file() or Site::not_found().
    virtual void fallback(std::shared_ptr<Exchange> exchange, std::string path) = 0;
    /// A line for the log, without an end.
    virtual void log(std::string line) = 0;
};

class Site final : public Application {
 public:
    /// Both outlive it; the settings are changed on the loop's thread only.
    Site(Handlers& handlers, const Settings& settings);

    Server& server() { return server_; }
    Files& files() { return files_; }

    void set_routes(std::shared_ptr<const Routes> routes) { routes_ = std::move(routes); }
    void set_files(FileRules rules);
    /// Throws Error for a rule that cannot be served.
    void set_proxy(std::vector<Proxy::Rule> rules) { proxy_.set(std::move(rules)); }
    /// No log lines for 200 and 304.
    void set_quiet(bool quiet) { quiet_ = quiet; }
    /// A log line for what a proxy is asked.
    void set_debug_proxy(bool debug) { debug_proxy_ = debug; }

    /// What a handler has made: with its ETag and the like if it is a GET's 200, with cross-origin fields.
    void answer(Exchange& exchange, Response response);
    /// The same of one that represent() has been given already.
    void send(Exchange& exchange, Response response);
    const Policy& policy() const { return policy_; }
    /// Of one in parts: with cross-origin fields.
    void begin(Exchange& exchange, Response head);
    void not_found(Exchange& exchange);

    void handle(std::shared_ptr<Exchange> exchange) override;
    void complete(const Request& request, Response& page) override {
        add_cross_origin(request, page, policy_);
    }
    void answered(const Request& request, unsigned status, std::uint64_t size, double seconds) override;
    void failed(const std::string& line) override { handlers_.log(line); }

 private:
    void start(std::shared_ptr<Exchange> exchange, Match match);
    void answer_options(Exchange& exchange);
    bool forward(const std::shared_ptr<Exchange>& exchange, std::string_view path);
    void refuse(Exchange& exchange);

    Handlers& handlers_;
    const Settings& settings_;
    Server server_;
    Files files_;
    Proxy proxy_;
    std::shared_ptr<const Routes> routes_ = std::make_shared<Routes>();
    Policy policy_;
    bool quiet_ = false;
    bool debug_proxy_ = false;
};

}  // namespace quicken::http
