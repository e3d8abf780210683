// Settings as the supervisor passes them on: a JSON object of names and numbers.
#pragma once

#include <string>

#include "http/settings.hpp"

namespace quicken::www {

/// Throws Error for a name that there is not, or what is no number from 0 on.
void apply(const std::string& text, http::Settings& settings);

}  // namespace quicken::www
