// Whatever keeps a target from a server ends up in Target::plain, and the
// first such reason stays; the interpreter is looked for all the same, since
// the plain run needs it. Only a missing interpreter overrides: then there is
// no run at all.
#include "common/target.hpp"

#include <cerrno>

#include "common/dotted.hpp"
#include "common/launcher.hpp"
#include "common/preload_list.hpp"
#include "common/python_line.hpp"
#include "common/shebang.hpp"
#include "common/sys.hpp"
#include "common/text.hpp"

namespace quicken {

namespace {

using std::string_view;

constexpr const char* k_no_directory = "the working directory has no path";
constexpr const char* k_long_path = "a path is too long";

// Paths.

/// Writes `path` as an absolute one without "." and empty components; ".."
/// stays, since it may lead out of a link. Returns nullptr, or why it cannot.
const char* make_absolute(string_view path, TextBuffer& text, char* buffer, std::size_t size) {
    if (!starts_with(path, "/")) {
        const long length = sys::getcwd(buffer, size);
        if (length == -ERANGE) return k_long_path;
        if (length < 2 || *buffer != '/') return k_no_directory;
        text.adopt(length == 2 ? 0 : static_cast<std::size_t>(length) - 1);
    }
    while (!path.empty()) {
        const string_view component = take_until(path, '/');
        if (component.empty() || component == ".") continue;
        text.append("/").append(component);
    }
    if (text.view().empty()) text.append("/");
    return text.finish() ? nullptr : k_long_path;
}

char* room_in(Storage& storage) {
    return storage.texts + storage.used;
}

/// The text that has been written where there was room.
string_view keep(Storage& storage, const TextBuffer& text) {
    storage.used += text.view().size() + 1;
    return text.view();
}

const char* absolute(string_view path, Storage& storage, string_view& result) {
    TextBuffer text(room_in(storage), wire::k_max_name);
    const char* reason = make_absolute(path, text, room_in(storage), wire::k_max_name);
    if (reason != nullptr) text.adopt(0);
    result = keep(storage, text);
    return reason;
}

/// 0, EACCES for a regular file that must not be executed, else ENOENT.
int executable(const char* path) {
    struct ::stat status {};
    if (sys::stat(path, status) < 0 || !S_ISREG(status.st_mode)) return ENOENT;
    return sys::access(path, X_OK) == 0 ? 0 : EACCES;
}

void append_number(TextBuffer& text, unsigned number) {
    char digits[11];
    char* first = digits + sizeof digits;
    do {
        *--first = static_cast<char>('0' + number % 10);
        number /= 10;
    } while (number != 0);
    text.append({first, static_cast<std::size_t>(digits + sizeof digits - first)});
}

/// A script that runs quicken, which would come back here, or quicken itself under another name (start.cpp).
bool calls_quicken(const char* path) {
    char text[1024];
    const int fd = sys::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return false;
    const long length = sys::read(fd, text, sizeof text);
    sys::close(fd);
    string_view left(text, length > 0 ? static_cast<std::size_t>(length) : 0);
    const string_view sign = starts_with(left, "#!") ? string_view("quicken python") : k_client_sign;
    for (; !left.empty(); left.remove_prefix(1)) {
        if (starts_with(left, sign)) return true;
    }
    return false;
}

/// A python3 on PATH may be a link to quicken, of whatever installation, over any number of links.
bool is_quicken(const char* path) {
    const int fd = sys::open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return false;
    char link[32];
    TextBuffer text(link);
    text.append("/proc/self/fd/");
    append_number(text, static_cast<unsigned>(fd));
    char target[wire::k_max_name];
    const long length = sys::readlink(link, target, sizeof target);
    sys::close(fd);
    return length > 0 && base_name({target, static_cast<std::size_t>(length)}) == "quicken";
}

/// Reads the first bytes of a script. Returns nullptr, or why it cannot.
/// `opened`: its fd is left there for the caller to close.
const char* read_beginning(const char* path, char* buffer, std::size_t size, string_view& content,
                           int* opened) {
    // O_NONBLOCK: the file may have been replaced by a FIFO since it was looked at.
    const int fd = sys::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return "the script cannot be opened";
    const long length = sys::read(fd, buffer, size);
    if (opened != nullptr) {
        *opened = fd;
    } else {
        sys::close(fd);
    }
    if (length < 0) return "the script cannot be read";
    content = {buffer, static_cast<std::size_t>(length)};
    return nullptr;
}

const char* identify(const char* path, wire::Identity& identity, mode_t& mode) {
    struct ::stat status {};
    if (sys::stat(path, status) < 0) return "the script cannot be found";
    if (!S_ISREG(status.st_mode)) return "the script is not a regular file";
    mode = status.st_mode;
    identity = {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
    return nullptr;
}

// Interpreter options.

/// Does an interpreter with this word go on to a program as any other does?
/// `wants_argument`: the next word belongs to this one.
bool is_servable(string_view word, bool& wants_argument) {
    if (word.size() < 2 || word[0] != '-') return false;
    word.remove_prefix(1);
    while (!word.empty()) {
        const char letter = word.front();
        word.remove_prefix(1);
        if (letter == 'X' || letter == 'W') {
            wants_argument = word.empty();
            return true;
        }
        if (!contains("bBdEIOPqRsStuv", letter)) return false;
    }
    return true;
}

bool are_servable(string_view options) {
    while (!options.empty()) {
        bool wants_argument = false;
        if (!is_servable(take_until(options, '\0'), wants_argument)) return false;
        if (!wants_argument) continue;
        if (options.empty()) return false;
        take_until(options, '\0');
    }
    return true;
}

// Resolution.

/// The steps of resolve().
class Resolver {
 public:
    Resolver(char** environment, Storage& storage, Target& target, int* opened)
        : environment_(environment), storage_(storage), target_(target), opened_(opened) {}

    void name_program(const char* name) {
        if (target_.what == wire::What::file) {
            const char* reason = identify(name, target_.script, mode_);
            is_regular_ = reason == nullptr;
            note(reason);
            note(absolute(name, storage_, target_.name));
            return;
        }
        TextBuffer text(room_in(storage_), wire::k_max_name);
        if (!text.append(name).finish()) note("the name of the module is too long");
        target_.name = keep(storage_, text);
        if (target_.what == wire::What::module) note(absolute(".", storage_, target_.directory));
    }

    void name_preloads(const char* names) {
        TextBuffer text(room_in(storage_), wire::k_max_name);
        note(names != nullptr ? append_preloads(names, ',', text) : read_preloads(environment_, text));
        target_.name = keep(storage_, text);
    }

    /// The options of a shared interpreter are those of the command line.
    void read_line(char** words) {
        TextBuffer options(room_in(storage_), wire::k_max_options);
        const PythonLine line = read_python_line(words, &options);
        note(line.plain);
        if (!options.finish()) note("too many interpreter options");
        target_.options = keep(storage_, options);
        if (line.kind != PythonLine::Kind::file) return;
        struct ::stat status {};
        if (sys::stat(line.value, status) < 0) return note("the script cannot be found");
        if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) note("the script is not a regular file");
    }

    void find_interpreter(const char* script, const Invocation& asked) {
        Shebang shebang(TextBuffer(room_in(storage_), wire::k_max_options));
        if (asked.python != nullptr) {
            // The options of a shared interpreter are in its line.
            if (target_.what == wire::What::python ||
                !split_python(asked.python, shebang.python, shebang.options))
                shebang.python = asked.python;
            return use_shebang(shebang, asked);
        }
        if (script == nullptr || !is_regular_) return use_shebang(shebang, asked);
        char buffer[k_shebang_size];
        string_view content;
        note(read_beginning(script, buffer, sizeof buffer, content, opened_));
        if (needs_shell_lines(content)) return find_by_shell(script, shebang, asked);
        read_shebang(content, shebang);
        use_shebang(shebang, asked);
    }

    /// A launcher that is named as a script is executed, and comes back by launch().
    void check_launcher(const char* name) {
        if (kind_ != Shebang::Kind::launcher) return;
        target_.original = name;
        note("it is a launcher");
    }

    /// The original of a launcher, whatever has become of it since.
    void launch(const char* launcher, const char* original) {
        char content[k_launcher_size + 1];
        string_view path = original != nullptr ? original : "";
        if (original == nullptr) {
            if (const int error = read_launcher(launcher, content, path)) return missing(launcher, error);
        }
        TextBuffer text(room_in(storage_), wire::k_max_name);
        if (!text.append(path).finish()) return missing(launcher, ENAMETOOLONG);
        target_.original = keep(storage_, text).data();
        name_program(target_.original);
        if (is_regular_ && (mode_ & 0111U) == 0) note("it is not executable");
        find_interpreter(target_.original, Invocation{});
        check_kind();
    }

    /// By its path, or by a name along PATH.
    void find(string_view name) {
        if (contains(name, '/')) return use(name);
        const char* path = get_environment(environment_, "PATH");
        const int error = search(name, path != nullptr ? path : "/bin:/usr/bin");  // confstr(3), _CS_PATH
        if (error != 0) missing(name, error);
    }

    void check_settings() {
        if (!are_servable(target_.options))
            note("the interpreter is given options that a server cannot have");
        for (char** entry = environment_; *entry != nullptr; ++entry) {
            if (starts_with(*entry, "PYTHON")) check_setting(*entry);
        }
    }

 private:
    /// Hardly any script begins so; the stack that this takes would cost every other.
    [[gnu::noinline]] void find_by_shell(const char* script, Shebang& shebang, const Invocation& asked) {
        char buffer[k_shell_lines_size];
        string_view content;
        note(read_beginning(script, buffer, sizeof buffer, content, nullptr));
        read_shebang(content, shebang);
        use_shebang(shebang, asked);
    }

    void use_shebang(Shebang& shebang, const Invocation& asked) {
        kind_ = shebang.kind;
        is_direct_ = !shebang.python.empty() && shebang.python.data() == shebang.interpreter.data();
        note(shebang.plain);
        for (std::size_t i = 0; i < asked.option_count; ++i) {
            shebang.options.append(asked.options[i] + k_python_option.size()).append(string_view("", 1));
        }
        if (!shebang.options.finish()) note("the options of the interpreter are too long");
        target_.options = keep(storage_, shebang.options);
        if (!shebang.python.empty()) return find(shebang.python);
        if (!use_virtual_environment()) find("python3");
    }

    /// What is no Python script is executed as it is: so is it where there is no launcher. A launcher would
    /// come back here, for ever.
    void check_kind() {
        if (kind_ == Shebang::Kind::launcher) {
            const char* original = target_.original;
            target_.original = nullptr;
            return missing(original, ELOOP);
        }
        target_.own_name = is_direct_;
        if (target_.plain != nullptr || kind_ == Shebang::Kind::python) return;
        target_.changed = kind_ != Shebang::Kind::quicken;
        note("it is no Python script");
    }

    void check_setting(string_view setting) {
        const string_view name = take_until(setting, '=');
        if (target_.what == wire::What::python && !setting.empty()) check_shared_setting(name);
        if (name == "PYTHONINSPECT" && !setting.empty()) note("PYTHONINSPECT is set");
        // A secret of hashes is made at an interpreter's start, so commands of one template share theirs.
        if (name == "PYTHONHASHSEED" && setting == "random")
            note("PYTHONHASHSEED=random asks for hashes of this run's own");
    }

    /// They tell of what an interpreter imports, or how.
    void check_shared_setting(string_view name) {
        for (const string_view telling :
             {"PYTHONDEBUG", "PYTHONDEVMODE", "PYTHONDUMPREFS", "PYTHONMALLOCSTATS",
              "PYTHONPROFILEIMPORTTIME", "PYTHONTRACEMALLOC", "PYTHONVERBOSE"}) {
            if (name == telling) note("an interpreter's setting is not for a shared one");
        }
    }

    void note(const char* reason) {
        if (target_.plain == nullptr) target_.plain = reason;
    }

    /// A path that cannot be made absolute still serves the plain run.
    void use(string_view path) {
        const char* reason = absolute(path, storage_, target_.interpreter);
        note(reason);
        if (reason == nullptr) return;
        TextBuffer text(room_in(storage_), wire::k_max_name);
        if (!text.append(path).finish()) return missing(path, ENAMETOOLONG);
        target_.interpreter = keep(storage_, text);
    }

    int search(string_view name, string_view path) {
        if (name.empty()) return ENOENT;
        int error = ENOENT;
        bool last = false;
        while (!last) {
            last = !contains(path, ':');
            const string_view directory = take_until(path, ':');
            char buffer[wire::k_max_name];
            TextBuffer text(buffer);
            text.append(directory).append(directory.empty() ? "" : "/").append(name);
            if (!text.finish()) continue;  // no such file can be opened, execvp(3) goes on as well
            const int found = executable(buffer);
            if (found == EACCES) error = EACCES;
            if (found != 0 || is_quicken(buffer) || calls_quicken(buffer)) continue;
            use(text.view());
            return 0;
        }
        return error;
    }

    bool use_virtual_environment() {
        const char* root = get_environment(environment_, "VIRTUAL_ENV");
        if (root == nullptr || *root == '\0') return false;
        char buffer[wire::k_max_name];
        TextBuffer text(buffer);
        if (!text.append(root).append("/bin/python").finish() || executable(buffer) != 0) return false;
        use(text.view());
        return true;
    }

    void missing(string_view name, int error) {
        const char* cause = error == EACCES    ? "Permission denied"
                            : error == ENOENT  ? "No such file or directory"
                            : error == ENOEXEC ? "is no launcher of quickenctl wrap"
                            : error == ELOOP   ? "is a launcher itself; see quickenctl wrap --list"
                                               : "File name too long";
        TextBuffer text(room_in(storage_), Storage::k_reason);
        const bool fits = text.append(name).append(": ").append(cause).finish();
        target_.plain = fits ? keep(storage_, text).data() : cause;
        target_.interpreter = {};
        target_.interpreter_error = error;
    }

    char** environment_;
    Storage& storage_;
    Target& target_;
    int* opened_;
    bool is_regular_ = false;  // the script: nothing else is opened
    mode_t mode_ = 0;
    Shebang::Kind kind_ = Shebang::Kind::none;
    bool is_direct_ = false;  // the #! line's first word is the Python
};

}  // namespace

Target resolve(const Invocation& invocation, char** environment, Storage& storage, int* opened) {
    if (opened != nullptr) *opened = -1;
    storage.used = 0;
    Target target{};
    target.what = invocation.what;
    target.fork_point = invocation.fork_point;
    Resolver resolver(environment, storage, target, opened);
    if (invocation.what == wire::What::python) {
        resolver.name_preloads(invocation.name);
        if (invocation.link != nullptr) {
            resolver.find(invocation.link);
        } else {
            resolver.find_interpreter(nullptr, invocation);
        }
        resolver.read_line(invocation.arguments);
    } else if (invocation.launcher != nullptr) {
        resolver.launch(invocation.launcher, invocation.name);
    } else {
        resolver.name_program(invocation.name);
        resolver.find_interpreter(target.what == wire::What::file ? invocation.name : nullptr, invocation);
        resolver.check_launcher(invocation.name);
    }
    resolver.check_settings();
    return target;
}

Target resolve(wire::What what, const char* name, const char* python, char** environment, Storage& storage) {
    return resolve(Invocation{Invocation::Form::run, what, name, python, nullptr, nullptr}, environment,
                   storage);
}

bool socket_directory(char** environment, char* text, std::size_t size) {
    if (size == 0) return false;
    TextBuffer path(text, size);
    const char* runtime = get_environment(environment, "XDG_RUNTIME_DIR");
    if (runtime != nullptr && *runtime != '\0') {
        return *runtime == '/' && path.append(runtime).append("/quicken").finish();
    }
    const uid_t user = sys::geteuid();
    path.append("/run/user/");
    append_number(path, user);
    if (!path.finish()) return false;
    struct ::stat status {};
    if (sys::stat(text, status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == user) {
        return path.append("/quicken").finish();
    }
    path.adopt(0);
    path.append("/tmp/quicken-");
    append_number(path, user);
    return path.finish();
}

const char* get_environment(char** environment, string_view name) {
    for (char** entry = environment; *entry != nullptr; ++entry) {
        if (starts_with(*entry, name) && (*entry)[name.size()] == '=') return *entry + name.size() + 1;
    }
    return nullptr;
}

bool entry_code(string_view entry, char* text, std::size_t size) {
    if (size == 0 || !is_entry(entry)) return false;
    string_view function = entry;
    const string_view module = take_until(function, ':');
    string_view attributes = function;
    const string_view object = take_until(attributes, '.');
    // The last two statements are those of an installed console script. The
    // first entry of sys.path is the working directory unless -I or -P said no.
    TextBuffer code(text, size);
    code.append("import sys\n")
        .append("if not (sys.flags.isolated or getattr(sys.flags, 'safe_path', False)):\n")
        .append("    del sys.path[0]\n")
        .append("sys.argv[0] = '")
        .append(entry)
        .append("'\n")
        .append("from ")
        .append(module)
        .append(" import ")
        .append(object)
        .append("\n")
        .append("if __name__ == '__main__':\n")
        .append("    sys.exit(")
        .append(function)
        .append("())\n");
    return code.finish();
}

bool plain_arguments(const Target& target, const char* name, char** arguments, char* code,
                     std::size_t code_size, char** out, std::size_t size) {
    // execve(2) takes pointers to char for the sake of main's; nothing writes through them.
    const auto mutable_text = [](const char* text) { return const_cast<char*>(text); };
    std::size_t count = 0;
    const auto put = [&](const char* text) {
        if (count < size) out[count] = mutable_text(text);
        ++count;
    };

    if (target.original != nullptr) {
        put(target.original);
        for (; *arguments != nullptr; ++arguments) put(*arguments);
        put(nullptr);
        return count <= size;
    }
    put(target.interpreter.data());
    // Those of a shared interpreter are among the arguments.
    const string_view options = target.what == wire::What::python ? string_view() : target.options;
    for (string_view rest = options; !rest.empty();) put(take_until(rest, '\0').data());
    switch (target.what) {
        case wire::What::file:
            if (*name == '-') put("--");
            put(name);
            break;
        case wire::What::module:
            put("-m");
            put(name);
            break;
        case wire::What::entry:
            if (!entry_code(name, code, code_size)) return false;
            put("-c");
            put(code);
            break;
        case wire::What::python:
            break;
    }
    for (; *arguments != nullptr; ++arguments) put(*arguments);
    put(nullptr);
    return count <= size && !target.interpreter.empty();
}

}  // namespace quicken
