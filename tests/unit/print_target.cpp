// Prints what the client finds out about a command line, one field a line:
// the socket's path, name, directory, interpreter, why it must run plainly.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "common/instance.hpp"
#include "common/target.hpp"

int main(int, char** argv) {
    const quicken::Invocation invocation = quicken::parse(argv);
    if (invocation.form != quicken::Invocation::Form::run) return 2;
    static quicken::Storage storage;
    const quicken::Target target = quicken::resolve(invocation, environ, storage);
    char directory[4096];
    if (!quicken::socket_directory(environ, directory, sizeof directory)) return 1;
    char id[33];
    quicken::format(quicken::instance_of(target, environ), id);
    std::printf("%s/%s.sock\n%s\n%s\n%s\n%s\n", directory, id, std::string(target.name).c_str(),
                std::string(target.directory).c_str(), std::string(target.interpreter).c_str(),
                target.plain != nullptr ? target.plain : "");
    return 0;
}
