#include "ctl/comparison.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string_view>

#include "common/dropin.hpp"
#include "ctl/excerpt.hpp"

namespace quicken::ctl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_file = "file ";

Facts facts_of(const Outcome& outcome) {
    Facts facts{{"ending", outcome.ending + "\n"},
                {"standard output", outcome.output},
                {"standard error", outcome.errors}};
    for (const auto& [name, node] : outcome.files) {
        facts[std::string(k_file) + name] = describe(node) + "\n" + node.content;
    }
    return facts;
}

std::optional<std::string> fact(const Facts& facts, const std::string& key) {
    const auto found = facts.find(key);
    return found == facts.end() ? std::nullopt : std::optional(found->second);
}

std::set<std::string> names_beside(const Facts& facts, const fs::path& path) {
    std::set<std::string> names;
    for (const auto& [key, content] : facts) {
        const bool beside = key.starts_with(k_file) &&
                            fs::path(key.substr(k_file.size())).parent_path() == path.parent_path();
        if (beside) {
            names.insert(key);
        }
    }
    return names;
}

std::string tell_difference(const std::optional<std::string>& plain,
                            const std::optional<std::string>& quickened) {
    if (!plain) {
        return "it is only there after a quickened run\n";
    }
    return quickened ? excerpt(*plain, *quickened) : "it is only there after a plain run\n";
}

}  // namespace

Comparison::Comparison(const Outcome& first, const Outcome& second)
    : first_(facts_of(first)), second_(facts_of(second)) {}

/// Of a file that neither plain run has made: they make others in that place.
bool Comparison::is_name_by_chance(const std::string& key) const {
    if (!key.starts_with(k_file) || first_.contains(key) || second_.contains(key)) {
        return false;
    }
    for (fs::path path = key.substr(k_file.size()); !path.empty(); path = path.parent_path()) {
        if (names_beside(first_, path) != names_beside(second_, path)) {
            return true;
        }
    }
    return false;
}

void Comparison::add(unsigned run, const Outcome& outcome) {
    const Facts quickened = facts_of(outcome);
    std::set<std::string> keys;
    for (const auto& [key, content] : first_) {
        keys.insert(key);
    }
    for (const auto& [key, content] : quickened) {
        keys.insert(key);
    }
    for (const std::string& key : keys) {
        const auto expected = fact(first_, key), actual = fact(quickened, key);
        if (actual == expected || actual == fact(second_, key)) {
            continue;
        }
        if (expected != fact(second_, key) || is_name_by_chance(key)) {
            by_chance_.insert(key);
            continue;
        }
        Difference& difference = differences_[key];
        if (difference.runs.empty()) {
            difference.text = tell_difference(expected, actual);
        }
        difference.runs.push_back(run);
    }
}

std::string Comparison::text() const {
    std::string text;
    for (const std::string& key : by_chance_) {
        text += fmt::format("{}: differs between plain runs too\n", dropin::printable(key));
    }
    for (const auto& [key, difference] : differences_) {
        text += fmt::format("{}: differs in quickened run {}\n{}", dropin::printable(key),
                            fmt::join(difference.runs, ", "), difference.text);
    }
    return text;
}

}  // namespace quicken::ctl
