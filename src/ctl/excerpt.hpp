// Where two texts differ, for people.
#pragma once

#include <string>
#include <string_view>

namespace quicken::ctl {

/// Some lines in the manner of diff -u around the first difference up to the last one, each with a newline;
/// what cannot be printed as \xNN. Empty if the texts are the same.
std::string excerpt(std::string_view plain, std::string_view quickened);

}  // namespace quicken::ctl
