// What is answered: the files of one directory, and nothing else.
#pragma once

#include <memory>
#include <string>

#include "http/files.hpp"
#include "http/server.hpp"
#include "www/log.hpp"

namespace quicken::www {

class Site final : public http::Application {
 public:
    /// `verbose`: a line for each request, not for errors alone.
    explicit Site(bool verbose) : verbose_(verbose) {}

    /// The directory's files, with a listing where there is no index.html. Before the loop runs.
    void serve(http::Server& server, const std::string& directory);
    /// Before the server goes.
    void end() { files_.reset(); }

    void handle(std::shared_ptr<http::Exchange> exchange) override;
    void answered(const http::Request& request, unsigned status, std::uint64_t size, double seconds) override;

 private:
    std::unique_ptr<http::Files> files_;
    bool verbose_;
    Log log_;
};

}  // namespace quicken::www
