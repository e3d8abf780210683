// One call of a script's handler, and of its fallback hook.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "http/python/core.hpp"
#include "http/python/outlet.hpp"
#include "http/python/request.hpp"

namespace quicken::http::python {

class HandlerCall final : public Work, public Sender {
 public:
    HandlerCall(Core& core, std::shared_ptr<Exchange> exchange, Match match, Body body);

    void run() override;
    void complete() override;
    bool is_large() const override;
    void deliver() override;
    void refuse() override;
    bool is_slow() const override;

    void begin(http::Response head) override;
    void write(std::string bytes) override;
    int hijack() override;

 private:
    friend class Core;

    Ref invoke(PyObject* request);
    void convert(PyObject* request, PyObject* result);
    void failed(PyObject* request);
    /// What sends, and what that needs. Python's lock is let go of in there, and where it is used; from then
    /// on this may be gone: another thread of the script's may be the caller, and the handler's own one
    /// return meanwhile. So nothing of this is touched after.
    struct Sending {
        std::shared_ptr<Core> core;
        std::shared_ptr<Outlet> outlet;
    };
    Sending sending();
    double seconds() const;

    Core& core_;                          // lives: whoever runs or delivers has it
    std::shared_ptr<Exchange> exchange_;  // the loop's; its request is looked at in run() and complete()
    const Policy policy_;                 // a copy: the site's is the loop's
    Match match_;
    Body body_;
    std::shared_ptr<Outlet> outlet_;
    std::optional<http::Response> response_;
    bool completed_ = false;
    bool broken_ = false;
    bool begun_ = false;
    std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
    bool reported_ = false;                    // the loop's
    bool watched_ = false;                     // the loop's
    std::list<HandlerCall*>::iterator place_;  // the loop's
};

class FallbackCall final : public Work {
 public:
    FallbackCall(Core& core, std::shared_ptr<Exchange> exchange, std::string path)
        : core_(core), exchange_(std::move(exchange)), path_(std::move(path)) {}

    void run() override;
    void deliver() override;
    void refuse() override;
    bool is_slow() const override;

 private:
    Core& core_;  // lives: whoever runs or delivers has it
    std::shared_ptr<Exchange> exchange_;
    std::string path_;
    std::string file_;
    bool failed_ = false;
};

}  // namespace quicken::http::python
