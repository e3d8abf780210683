// The table is a list of facts; /etc/mime.types overrides it, as in Python. Only
// the names that http.server takes from a list of its own (compressed files)
// are never overridden.
#include "http/mime.hpp"

#include <array>
#include <fstream>
#include <utility>

#include "http/words.hpp"

namespace quicken::http {

namespace {

constexpr const char* k_system_table = "/etc/mime.types";
constexpr std::size_t k_most_types = 20000;  // lines of it that are read

constexpr auto k_types = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"application/epub+zip", "epub"},
    {"application/gzip", "gz"},
    {"application/json", "json"},
    {"application/ld+json", "jsonld"},
    {"application/manifest+json", "webmanifest"},
    {"application/msword", "doc dot wiz"},
    {"application/n-quads", "nq"},
    {"application/n-triples", "nt"},
    {"application/oda", "oda"},
    {"application/pdf", "pdf"},
    {"application/pkcs7-mime", "p7c"},
    {"application/postscript", "ai eps ps"},
    {"application/trig", "trig"},
    {"application/vnd.apple.mpegurl", "m3u m3u8"},
    {"application/vnd.ms-excel", "xlb xls"},
    {"application/vnd.ms-fontobject", "eot"},
    {"application/vnd.ms-powerpoint", "pot ppa pps ppt pwz"},
    {"application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
    {"application/wasm", "wasm"},
    {"application/x-7z-compressed", "7z"},
    {"application/x-bcpio", "bcpio"},
    {"application/x-bzip2", "bz2"},
    {"application/x-cpio", "cpio"},
    {"application/x-csh", "csh"},
    {"application/x-dvi", "dvi"},
    {"application/x-gtar", "gtar"},
    {"application/x-hdf", "hdf"},
    {"application/x-hdf5", "h5"},
    {"application/x-latex", "latex"},
    {"application/x-mif", "mif"},
    {"application/x-netcdf", "cdf nc"},
    {"application/x-pkcs12", "p12 pfx"},
    {"application/x-pn-realaudio", "ram"},
    {"application/x-python-code", "pyc pyo"},
    {"application/x-sh", "sh"},
    {"application/x-shar", "shar"},
    {"application/x-shockwave-flash", "swf"},
    {"application/x-sv4cpio", "sv4cpio"},
    {"application/x-sv4crc", "sv4crc"},
    {"application/x-tar", "tar"},
    {"application/x-tcl", "tcl"},
    {"application/x-tex", "tex"},
    {"application/x-texinfo", "texi texinfo"},
    {"application/x-troff", "roff t tr"},
    {"application/x-troff-man", "man"},
    {"application/x-troff-me", "me"},
    {"application/x-troff-ms", "ms"},
    {"application/x-ustar", "ustar"},
    {"application/x-wais-source", "src"},
    {"application/x-xz", "xz"},
    {"application/xml", "rdf wsdl xpdl xsl"},
    {"application/yaml", "yaml yml"},
    {"application/zip", "zip"},
    {"audio/3gpp", "3gp 3gpp"},
    {"audio/3gpp2", "3g2 3gpp2"},
    {"audio/aac", "aac adts ass loas"},
    {"audio/basic", "au snd"},
    {"audio/flac", "flac"},
    {"audio/mpeg", "mp2 mp3"},
    {"audio/ogg", "oga ogg"},
    {"audio/opus", "opus"},
    {"audio/x-aiff", "aif aifc aiff"},
    {"audio/x-pn-realaudio", "ra"},
    {"audio/x-wav", "wav"},
    {"font/otf", "otf"},
    {"font/ttf", "ttf"},
    {"font/woff", "woff"},
    {"font/woff2", "woff2"},
    {"image/avif", "avif"},
    {"image/bmp", "bmp"},
    {"image/gif", "gif"},
    {"image/heic", "heic"},
    {"image/heif", "heif"},
    {"image/ief", "ief"},
    {"image/jpeg", "jpe jpeg jpg"},
    {"image/png", "png"},
    {"image/svg+xml", "svg"},
    {"image/tiff", "tif tiff"},
    {"image/vnd.microsoft.icon", "ico"},
    {"image/webp", "webp"},
    {"image/x-cmu-raster", "ras"},
    {"image/x-portable-anymap", "pnm"},
    {"image/x-portable-bitmap", "pbm"},
    {"image/x-portable-graymap", "pgm"},
    {"image/x-portable-pixmap", "ppm"},
    {"image/x-rgb", "rgb"},
    {"image/x-xbitmap", "xbm"},
    {"image/x-xpixmap", "xpm"},
    {"image/x-xwindowdump", "xwd"},
    {"message/rfc822", "eml mht mhtml nws"},
    {"text/css", "css"},
    {"text/csv", "csv"},
    {"text/html", "htm html"},
    {"text/javascript", "js mjs"},
    {"text/markdown", "markdown md"},
    {"text/n3", "n3"},
    {"text/plain", "bat c h ksh pl srt txt"},
    {"text/richtext", "rtx"},
    {"text/rtf", "rtf"},
    {"text/tab-separated-values", "tsv"},
    {"text/vtt", "vtt"},
    {"text/x-python", "py"},
    {"text/x-rst", "rst"},
    {"text/x-setext", "etx"},
    {"text/x-sgml", "sgm sgml"},
    {"text/x-vcard", "vcf"},
    {"text/xml", "xml"},
    {"video/matroska", "mkv"},
    {"video/mp4", "mp4"},
    {"video/mpeg", "m1v mpa mpe mpeg mpg"},
    {"video/ogg", "ogv"},
    {"video/quicktime", "mov qt"},
    {"video/webm", "webm"},
    {"video/x-msvideo", "avi"},
    {"video/x-sgi-movie", "movie"},
});

constexpr auto k_fixed = std::to_array<std::pair<std::string_view, std::string_view>>({
    {".gz", "application/gzip"},
    {".z", "application/octet-stream"},
    {".bz2", "application/x-bzip2"},
    {".xz", "application/x-xz"},
});

std::string_view take_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r"), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(" \t\r"));
    text.remove_prefix(word.size());
    return word;
}

std::string suffix_of(std::string_view name) {
    std::string suffix = ".";
    for (const char c : name) suffix += lower(c);
    return suffix;
}

}  // namespace

MimeTypes::MimeTypes() {
    for (const auto& [type, names] : k_types) {
        std::string_view rest = names;
        while (!rest.empty()) types_[suffix_of(take_word(rest))] = type;
    }
    read_system_table();
    for (const auto& [suffix, type] : k_fixed) types_[std::string(suffix)] = type;
}

void MimeTypes::read_system_table() {
    std::ifstream file(k_system_table);
    std::string line;
    for (std::size_t count = 0; count < k_most_types && std::getline(file, line); ++count) {
        std::string_view rest = std::string_view(line).substr(0, line.find('#'));
        const std::string type(take_word(rest));
        for (std::string_view name = take_word(rest); !name.empty(); name = take_word(rest)) {
            types_[suffix_of(name)] = type;
        }
    }
}

std::string_view MimeTypes::of(std::string_view file) const {
    const std::string_view name = file.substr(file.rfind('/') + 1);  // npos + 1 is 0
    const std::size_t dot = name.rfind('.');
    if (dot != std::string_view::npos && dot > 0) {
        const auto found = types_.find(suffix_of(name.substr(dot + 1)));
        if (found != types_.end()) return found->second;
    }
    return "application/octet-stream";
}

}  // namespace quicken::http
