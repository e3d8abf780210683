// What the client itself says, on standard error and nowhere else.
#pragma once

#include <initializer_list>
#include <string_view>

namespace quicken::client {

/// One line: the parts one after the other, at most eight.
void say_line(std::initializer_list<std::string_view> parts);

/// The same after "quicken: ".
void say(std::initializer_list<std::string_view> parts);

[[noreturn]] void die(int status, std::initializer_list<std::string_view> parts);

/// The text of a positive errno value.
std::string_view error_text(int error);

/// Exit status of a program that could not be executed, as shells have it.
int exec_status(int error);

}  // namespace quicken::client
