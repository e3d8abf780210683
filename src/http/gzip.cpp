// What zlib does here: the checksum that is an ETag, and compression.
#include <zlib.h>

#include "common/error.hpp"
#include "http/checksum.hpp"
#include "http/representation.hpp"

namespace quicken::http {

namespace {

constexpr int k_gzip_window = 15 + 16;  // zlib.h: the largest window, with RFC 1952's header and trailer
constexpr int k_memory_level = 8;       // zlib's own default

const Bytef* bytes_of(std::string_view text) {
    return reinterpret_cast<const Bytef*>(text.data());
}

}  // namespace

std::uint32_t add_to_checksum(std::uint32_t sum, std::string_view content) {
    return static_cast<std::uint32_t>(crc32_z(sum, bytes_of(content), content.size()));
}

std::string etag_of_checksum(std::uint32_t sum) {
    char text[9];
    std::size_t begin = 8;
    do {
        text[--begin] = "0123456789abcdef"[sum & 15];
        sum >>= 4;
    } while (sum != 0);
    return {text + begin, 8 - begin};
}

std::string etag_of(std::string_view content) {
    return etag_of_checksum(add_to_checksum(0, content));
}

std::string gzip(std::string_view content, int level) {
    z_stream stream{};
    if (deflateInit2(&stream, level, Z_DEFLATED, k_gzip_window, k_memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
        throw Error("out of memory for compression");
    std::string result;
    try {
        result.resize(deflateBound(&stream, content.size()));
    } catch (...) {
        deflateEnd(&stream);
        throw;
    }
    stream.next_in = const_cast<Bytef*>(bytes_of(content));  // zlib does not write to it
    stream.next_out = reinterpret_cast<Bytef*>(result.data());
    // avail_* have 32 bits: fed in turns, whatever the size.
    std::size_t left = content.size();
    std::size_t room = result.size();
    int status = Z_OK;
    while (status == Z_OK) {
        constexpr std::size_t most = 1U << 30;
        const auto in = static_cast<uInt>(left < most ? left : most);
        const auto out = static_cast<uInt>(room < most ? room : most);
        stream.avail_in = in;
        stream.avail_out = out;
        status = deflate(&stream, left == in ? Z_FINISH : Z_NO_FLUSH);
        left -= in - stream.avail_in;
        room -= out - stream.avail_out;
    }
    deflateEnd(&stream);
    if (status != Z_STREAM_END) throw Error("compression failed");
    result.resize(result.size() - room);
    return result;
}

}  // namespace quicken::http
