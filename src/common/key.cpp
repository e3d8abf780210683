#include "common/key.hpp"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/trace.hpp"
#include "common/validate.hpp"

namespace quicken {

namespace {

/// FNV-1a, to the first '=' or the end.
std::uint32_t hash_name(const char* text, std::size_t limit, std::size_t& length) {
    std::uint32_t hash = 2166136261U;
    for (length = 0; length < limit && text[length] != '=' && text[length] != '\0'; ++length)
        hash = (hash ^ static_cast<unsigned char>(text[length])) * 16777619U;
    return hash;
}

/// Whether one of the patterns, separated by blanks, fits a name.
bool is_among(const char* patterns, const char* name, std::size_t length) {
    while (*patterns != '\0') {
        const std::size_t size = strcspn(patterns, " ");
        const bool prefix = patterns[size - 1] == '*';
        const std::size_t compared = prefix ? size - 1 : size;
        if ((prefix ? length >= compared : length == compared) && strncmp(patterns, name, compared) == 0)
            return true;
        patterns += size;
        if (*patterns == ' ') ++patterns;
    }
    return false;
}

}  // namespace

Key::~Key() {
    free(variables_);
    free(slots_);
    free(seen_);
}

/// The slot of a name, or the free one where it would be.
std::uint32_t& Key::slot_of(std::uint32_t hash, const char* name, std::size_t length) {
    for (;; ++hash) {
        std::uint32_t& slot = slots_[hash & (slot_count_ - 1)];
        if (slot == 0) return slot;
        const Variable& known = variables_[slot - 1];
        if (known.name_length == length && memcmp(known.name, name, length) == 0) return slot;
    }
}

void Key::add(const char* entry, std::size_t length) {
    Variable& variable = variables_[variable_count_];
    variable.name = entry;
    std::uint32_t& slot =
        slot_of(hash_name(entry, length, variable.name_length), entry, variable.name_length);
    if (variable.name_length < length) {
        variable.value = entry + variable.name_length + 1;
        variable.value_length = length - variable.name_length - 1;
    }
    slot = ++variable_count_;
}

bool Key::read(const char* records, std::size_t size) {
    std::uint32_t count = 0;
    trace::for_each_record(records, size, [&count](const trace::Header& header, const char*) {
        count += header.kind == trace::Kind::variable ? 1 : 0;
    });
    slot_count_ = 16;
    while (slot_count_ < 2 * count) slot_count_ *= 2;
    variables_ = static_cast<Variable*>(calloc(count + 1, sizeof *variables_));
    slots_ = static_cast<std::uint32_t*>(calloc(slot_count_, sizeof *slots_));
    seen_ = static_cast<unsigned char*>(calloc(count + 1, 1));
    if (variables_ == nullptr || slots_ == nullptr || seen_ == nullptr) return false;
    trace::for_each_record(records, size, [this](const trace::Header& header, const char* text) {
        const Text value{text, header.length};
        if (header.kind == trace::Kind::variable) add(text, header.length);
        if (header.kind == trace::Kind::everything) everything_ = true;
        if (header.kind == trace::Kind::terminal) terminal_ = value;
        if (header.kind == trace::Kind::size) size_ = value;
        if (header.kind == trace::Kind::cwd) cwd_ = value;
        if (header.kind == trace::Kind::name) name_ = value;
    });
    return true;
}

void Key::prepare() {
    if (seen_ != nullptr) memset(seen_, 0, variable_count_);
}

const char* Key::differs(const char* what, const char* name, std::size_t length) {
    snprintf(reason_, sizeof reason_, "the prelude reads %s%.*s, which differs from that of the first run",
             what, static_cast<int>(length < 256 ? length : 256), name);
    return reason_;
}

/// Of the first of several entries of one name, as getenv(3) has it.
bool Key::entry_fits(const char* entry, std::size_t length, std::uint32_t hash) {
    const std::uint32_t slot = slot_of(hash, entry, length);
    if (slot == 0) {
        return !everything_ || is_among(k_settled_variables, entry, length) ||
               is_among(k_passing_variables, entry, length);
    }
    unsigned char& seen = seen_[slot - 1];
    if (seen != 0) return true;
    seen = 1;
    const Variable& variable = variables_[slot - 1];
    const char* value = entry + length + 1;
    return variable.value != nullptr && strlen(value) == variable.value_length &&
           memcmp(value, variable.value, variable.value_length) == 0;
}

const char* Key::other_variable(const ClientView& client) {
    const char* what = everything_ ? "the whole environment, and with it " : "";
    const char* entry = client.body + wire::environ_offset(client.request);
    for (std::uint32_t i = 0; i < client.request.envc; ++i, entry += strlen(entry) + 1) {
        std::size_t length = 0;
        const std::uint32_t hash = hash_name(entry, SIZE_MAX, length);
        if (entry[length] != '=') continue;
        if (!entry_fits(entry, length, hash)) return differs(what, entry, length);
    }
    for (std::uint32_t i = 0; i < variable_count_; ++i) {
        const Variable& variable = variables_[i];
        if (variable.value != nullptr && seen_[i] == 0)
            return differs(what, variable.name, variable.name_length);
    }
    return nullptr;
}

/// What is a terminal and not the client's controlling one is not in its request: the spare asks once it has
/// the fds.
const char* Key::other_terminal(const wire::Request& request) {
    for (std::size_t i = 0; i + 1 < terminal_.length; i += 2) {
        const bool is_one = (request.terminal >> (terminal_.bytes[i] - '0') & 1) != 0;
        if (is_one != (terminal_.bytes[i + 1] == 'y'))
            return differs("whether there is a terminal at fd ", terminal_.bytes + i, 1);
    }
    if (size_.bytes == nullptr) return nullptr;
    char size[32];
    snprintf(size, sizeof size, "%ux%u", request.modes.rows, request.modes.columns);
    if (strlen(size) == size_.length && memcmp(size, size_.bytes, size_.length) == 0) return nullptr;
    return differs("the size of the terminal's window", "", 0);
}

const char* Key::other_place(const ClientView& client) {
    if (name_.bytes != nullptr) {
        const char* name = client.body + wire::argv_offset(client.request);
        if (strlen(name) != name_.length || memcmp(name, name_.bytes, name_.length) != 0)
            return differs("sys.argv[0]", "", 0);
    }
    if (cwd_.bytes == nullptr) return nullptr;
    char path[PATH_MAX];
    const ssize_t length = readlink(client.directory, path, sizeof path);
    if (length == static_cast<ssize_t>(cwd_.length) && memcmp(path, cwd_.bytes, cwd_.length) == 0)
        return nullptr;
    return differs("the working directory", "", 0);
}

const char* Key::difference(const ClientView& client) {
    prepare();
    if (const char* other = other_variable(client)) return other;
    if (const char* other = other_terminal(client.request)) return other;
    return other_place(client);
}

}  // namespace quicken
