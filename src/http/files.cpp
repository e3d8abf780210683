// Files is StaticFiles on a server's loop. Why an edit made before a request is
// never missed: file_cache.hpp.
#include "http/files.hpp"

#include "http/static_files.hpp"

namespace quicken::http {

class Files::Impl : public StaticFiles {
 public:
    using StaticFiles::StaticFiles;
};

Files::Files(Server& server)
    : impl_(
          std::make_unique<Impl>([&server](std::function<void()> action) { server.post(std::move(action)); },
                                 [&server](double seconds, std::function<void()> action) {
                                     return server.after(seconds, std::move(action));
                                 })) {}

Files::~Files() = default;

void Files::set(FileRules rules) {
    impl_->set(std::move(rules));
}

bool Files::answer(const std::shared_ptr<Exchange>& exchange, std::string_view path) {
    return impl_->answer(exchange, path);
}

bool Files::answer_file(const std::shared_ptr<Exchange>& exchange, const std::string& file) {
    return impl_->answer_file(exchange, file);
}

}  // namespace quicken::http
