// What a back end answers, taken apart as it comes: Beast's parser, whose body
// is taken from it piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.hpp"

namespace quicken::http {

class AnswerParser {
 public:
    /// `head_only`: the answer to HEAD, which has no body whatever its fields say.
    explicit AnswerParser(bool head_only);
    ~AnswerParser();

    /// False: this is no answer, or not one that can be told where it ends, or a head of more than 64 KiB, a
    /// chunk's line or trailers of more than 16 KiB.
    bool feed(std::string_view bytes);
    /// The back end has ended. False: in the middle of the answer.
    bool feed_end();
    /// After an answer that is done (1xx), for the next one. What was fed and not used is kept: feed({}).
    void restart();

    bool has_head() const;
    bool is_done() const;
    /// Something of an answer has come, complete or not.
    bool has_begun() const;
    /// The connection may have another request when this is done.
    bool keeps_alive() const;

    /// Status, reason and fields: those of its body's length and of the connection are left out.
    Response take_head();
    unsigned status() const;
    /// Of the body as announced; none if chunked or ended by the connection's end.
    std::optional<std::uint64_t> content_length() const;
    /// What has come of the body since the last call.
    std::string take_body();
    /// What was fed after the end of the answer.
    std::string take_rest();
    /// Value of Upgrade, which take_head() leaves out.
    const std::string& upgrade() const;

 private:
    class Parser;
    std::unique_ptr<Parser> parser_;
    bool head_only_;
    bool begun_ = false;
    std::string rest_;
};

}  // namespace quicken::http
