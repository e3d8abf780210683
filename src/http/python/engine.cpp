// See engine.hpp. What a script sets is kept here; serve() makes a Core of it, and later changes are posted
// to its loop. All of it is with Python's lock.
#include "http/python/engine.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>

#include "common/error.hpp"
#include "http/python/configure.hpp"
#include "http/python/core.hpp"
#include "http/python/tls.hpp"

namespace quicken::http::python {
namespace {

struct Listener {
    Fd socket;
    SSL_CTX* context;
    Ref owner;  // of the context
};

struct Engine {
    Script script;
    Config config;
    std::vector<Ref> handlers;
    std::vector<Listener> listeners;
    std::vector<Fd> predecessors;  // until serve()
    std::shared_ptr<Core> core;    // while it serves
    int busy = 0;
    bool stopped = false;   // before serve()
    bool attended = false;  // a thread is in serve()
};

struct Object {
    PyObject ob_base;
    Engine* engine;
};

PyObject* g_request_type = nullptr;
std::vector<Engine*> g_engines;  // that serve

Engine& of(PyObject* self) {
    Engine* engine = reinterpret_cast<Object*>(self)->engine;
    if (engine == nullptr) {
        raise(PyExc_RuntimeError, "Engine.__init__ was not called");
    }
    return *engine;
}

/// Runs a method's body: C++ errors become Python's.
template <typename Action>
PyObject* method(Action&& action) {
    try {
        return action();
    } catch (const Raised&) {
        return nullptr;
    } catch (const Error& error) {
        if (error.code() != 0) {
            errno = error.code();
            PyErr_SetFromErrno(PyExc_OSError);
        } else {
            PyErr_SetString(PyExc_ValueError, error.what());
        }
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

PyObject* none() {
    Py_RETURN_NONE;
}

Fd duplicate(int fd) {
    Fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!own) {
        PyErr_SetFromErrno(PyExc_OSError);
        throw Raised{};
    }
    return own;
}

/// Takes effect now if it serves.
void changed(Engine& engine) {
    if (engine.core != nullptr) {
        engine.core->set(engine.config);
    }
}

int init(PyObject* self, PyObject* arguments, PyObject* keywords) {
    const char* names[] = {"request_type", "finish", "fail", "log", nullptr};
    PyObject* type = nullptr;
    PyObject* finish = nullptr;
    PyObject* fail = nullptr;
    PyObject* log = nullptr;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOO", const_cast<char**>(names), &type, &finish,
                                    &fail, &log) == 0) {
        return -1;
    }
    if (PyType_Check(type) == 0 || PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type),
                                                    reinterpret_cast<PyTypeObject*>(g_request_type)) == 0) {
        PyErr_SetString(PyExc_TypeError, "request_type is to be Request or a class of that");
        return -1;
    }
    Engine*& engine = reinterpret_cast<Object*>(self)->engine;
    if (engine != nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "Engine.__init__ was called before");
        return -1;
    }
    engine = new Engine;
    engine->script.request_type = Ref::borrow(type);
    engine->script.finish = Ref::borrow(finish);
    engine->script.fail = Ref::borrow(fail);
    engine->script.log = Ref::borrow(log);
    return 0;
}

PyObject* configure_method(PyObject* self, PyObject* arguments, PyObject* values) {
    return method([&] {
        Engine& engine = of(self);
        if (PyTuple_Size(arguments) != 0) {
            raise(PyExc_TypeError, "configure() takes keywords only");
        }
        if (values != nullptr) {
            Config config = engine.config;
            Ref slow = Ref::borrow(engine.script.slow.get());
            configure(values, config, slow);
            engine.config = std::move(config);
            engine.script.slow = std::move(slow);
            changed(engine);
        }
        return none();
    });
}

std::optional<unsigned> argc_of(PyObject* argc) {
    if (argc == Py_None) {
        return std::nullopt;
    }
    const long number = PyLong_AsLong(argc);
    if (PyErr_Occurred() != nullptr) {
        throw Raised{};
    }
    if (number < 0) {
        raise(PyExc_ValueError, "argc is a number of segments");
    }
    return static_cast<unsigned>(number);
}

PyObject* route(PyObject* self, PyObject* arguments, PyObject* keywords) {
    const char* names[] = {"method", "mask", "kind", "argc", "handler", nullptr};
    const char* verb = nullptr;
    const char* mask = nullptr;
    const char* kind = nullptr;
    PyObject* argc = nullptr;
    PyObject* handler = nullptr;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "sssOO", const_cast<char**>(names), &verb, &mask,
                                    &kind, &argc, &handler) == 0) {
        return nullptr;
    }
    return method([&] {
        Engine& engine = of(self);
        const std::string_view kind_name = kind;
        if (kind_name != "json" && kind_name != "text") {
            raise(PyExc_ValueError, "kind is 'json' or 'text'");
        }
        auto made = std::make_shared<Route>();
        made->method = verb;
        made->mask = mask;
        made->kind = kind_name == "json" ? Route::Kind::json : Route::Kind::text;
        made->argc = argc_of(argc);
        made->handler = handler;
        engine.handlers.push_back(Ref::borrow(handler));
        auto routes = std::make_shared<Routes>(*engine.config.routes);
        routes->add(std::move(made));
        engine.config.routes = std::move(routes);
        changed(engine);
        return none();
    });
}

PyObject* bind_path(PyObject* self, PyObject* arguments, PyObject* keywords) {
    const char* names[] = {"name", "folder", "fallback", nullptr};
    const char* name = nullptr;
    const char* folder = nullptr;
    int fallback = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "ss|p", const_cast<char**>(names), &name, &folder,
                                    &fallback) == 0) {
        return nullptr;
    }
    return method([&] {
        Engine& engine = of(self);
        FileRules& files = engine.config.files;
        (fallback != 0 ? files.fallbacks : files.folders).push_back({name, folder});
        changed(engine);
        return none();
    });
}

PyObject* bind_proxy(PyObject* self, PyObject* arguments) {
    const char* name = nullptr;
    const char* url = nullptr;
    if (PyArg_ParseTuple(arguments, "ss", &name, &url) == 0) {
        return nullptr;
    }
    return method([&] {
        Engine& engine = of(self);
        const std::string_view address = url;
        if (address.substr(0, 7) != "http://" && address.substr(0, 8) != "https://") {
            raise(PyExc_ValueError, "a proxy's URL begins with http:// or https://");
        }
        engine.config.proxies.push_back({name, url});
        changed(engine);
        return none();
    });
}

PyObject* special(PyObject* self, PyObject* arguments) {
    const char* name = nullptr;
    const char* path = nullptr;
    const char* content = nullptr;
    Py_ssize_t size = 0;
    const char* type = nullptr;
    if (PyArg_ParseTuple(arguments, "ssz#s", &name, &path, &content, &size, &type) == 0) {
        return nullptr;
    }
    return method([&] {
        Engine& engine = of(self);
        engine.config.files.specials.push_back(
            {name, path, content == nullptr ? "" : std::string(content, static_cast<size_t>(size)), type});
        changed(engine);
        return none();
    });
}

PyObject* set_fallback(PyObject* self, PyObject* hook) {
    return method([&] {
        Engine& engine = of(self);
        engine.script.fallback = hook == Py_None ? Ref() : Ref::borrow(hook);
        engine.config.has_fallback = hook != Py_None;
        changed(engine);
        return none();
    });
}

PyObject* listen(PyObject* self, PyObject* arguments, PyObject* keywords) {
    const char* names[] = {"fd", "ssl_context", nullptr};
    int fd = -1;
    PyObject* context = Py_None;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "i|O", const_cast<char**>(names), &fd, &context) ==
        0) {
        return nullptr;
    }
    return method([&] {
        Engine& engine = of(self);
        Listener listener{duplicate(fd), context_of(context), Ref::borrow(context)};
        if (engine.core != nullptr) {
            engine.core->server().listen(duplicate(fd), listener.context);
        }
        engine.listeners.push_back(std::move(listener));
        return none();
    });
}

PyObject* close(PyObject* self, PyObject*) {
    return method([&] {
        if (Engine& engine = of(self); engine.core == nullptr) {
            engine.listeners.clear();
        }
        return none();
    });
}

/// Until the core is the engine's, Python's lock is not let go: what other threads say comes before or
/// after, and is not lost. Starting threads lets it go.
void begin_serving(Engine& engine) {
    auto core = std::make_shared<Core>(engine.script);
    core->set(engine.config);
    for (const Listener& listener : engine.listeners) {
        core->server().listen(duplicate(listener.socket.get()), listener.context);
    }
    for (Fd& predecessor : engine.predecessors) {
        core->server().adopt(std::move(predecessor));
    }
    engine.predecessors.clear();
    core->threads().add_busy(engine.busy);
    engine.core = core;
    g_engines.push_back(&engine);
    try {
        core->start();
    } catch (const Raised&) {
        std::erase(g_engines, &engine);
        engine.core.reset();
        throw;
    }
}

/// Keeps Python's error, if there is one.
void end_serving(Engine& engine) {
    if (engine.core == nullptr) {
        return;  // the child of a fork in a signal handler
    }
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    engine.core->finish();
    engine.core.reset();
    std::erase(g_engines, &engine);
    PyErr_Restore(type, value, trace);
}

/// A thread is in serve().
class Attendance {
 public:
    explicit Attendance(Engine& engine) : engine_(engine) { engine_.attended = true; }
    ~Attendance() { engine_.attended = false; }
    Attendance(const Attendance&) = delete;
    Attendance& operator=(const Attendance&) = delete;

 private:
    Engine& engine_;
};

/// As _engine.pyi says.
PyObject* result_of(Threads::Left left) {
    if (left == Threads::Left::late) {
        return none();
    }
    return PyBool_FromLong(left == Threads::Left::over ? 1 : 0);
}

/// A return that leaves the core is one after which it serves on, without this thread.
PyObject* serve(PyObject* self, PyObject* arguments, PyObject* keywords) {
    const char* names[] = {"requests", "seconds", nullptr};
    unsigned long long requests = 0;
    double seconds = -1;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|Kd", const_cast<char**>(names), &requests,
                                    &seconds) == 0) {
        return nullptr;
    }
    return method([&] {
        Engine& engine = of(self);
        if (engine.attended) {
            raise(PyExc_RuntimeError, "the engine serves already");
        }
        if (std::exchange(engine.stopped, false)) {
            return result_of(Threads::Left::over);
        }
        const Attendance attendance(engine);
        Threads::Left left = Threads::Left::over;
        try {
            if (engine.core == nullptr) {
                begin_serving(engine);
            }
            const std::shared_ptr<Core> core = engine.core;
            left = core->serve(requests, seconds);
        } catch (const Raised&) {
            end_serving(engine);
            throw;
        }
        if (left == Threads::Left::over) {
            end_serving(engine);
        }
        return result_of(left);
    });
}

PyObject* stop(PyObject* self, PyObject* arguments, PyObject* keywords) {
    const char* names[] = {"latency", nullptr};
    double latency = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|d", const_cast<char**>(names), &latency) == 0) {
        return nullptr;
    }
    return method([&] {
        if (Engine& engine = of(self); engine.core != nullptr) {
            engine.core->stop(latency);
        } else {
            engine.stopped = true;
        }
        return none();
    });
}

PyObject* drain(PyObject* self, PyObject* successor) {
    return method([&] {
        const long fd = PyLong_AsLong(successor);
        if (PyErr_Occurred() != nullptr) {
            throw Raised{};
        }
        if (Engine& engine = of(self); engine.core != nullptr) {
            engine.core->server().drain(fd < 0 ? Fd() : duplicate(static_cast<int>(fd)));
        } else {
            engine.stopped = true;
        }
        return none();
    });
}

PyObject* adopt(PyObject* self, PyObject* predecessor) {
    return method([&] {
        const long fd = PyLong_AsLong(predecessor);
        if (PyErr_Occurred() != nullptr) {
            throw Raised{};
        }
        Engine& engine = of(self);
        Fd own = duplicate(static_cast<int>(fd));
        if (engine.core != nullptr) {
            engine.core->server().adopt(std::move(own));
        } else {
            engine.predecessors.push_back(std::move(own));
        }
        return none();
    });
}

PyObject* activity(PyObject* self, PyObject*) {
    return method([&] {
        const Engine& engine = of(self);
        const Server::Activity now =
            engine.core == nullptr ? Server::Activity{} : engine.core->server().activity();
        return Py_BuildValue("{s:K,s:K,s:d,s:K}", "answering", static_cast<unsigned long long>(now.answering),
                             "connections", static_cast<unsigned long long>(now.connections), "seconds_idle",
                             now.seconds_idle, "requests", static_cast<unsigned long long>(now.requests));
    });
}

PyObject* set_busy(PyObject* self, PyObject* delta) {
    return method([&] {
        const long number = PyLong_AsLong(delta);
        if (PyErr_Occurred() != nullptr) {
            throw Raised{};
        }
        Engine& engine = of(self);
        engine.busy += static_cast<int>(number);
        if (engine.core != nullptr) {
            engine.core->threads().add_busy(static_cast<int>(number));
        }
        return none();
    });
}

/// The child is left with an engine that does not serve. The core stays where it is: nothing may tell the
/// parent's loop anything.
void abandon(Engine& engine) {
    if (engine.core != nullptr) {
        engine.core->abandon();
        engine.listeners.clear();
        engine.attended = false;
        (void)new std::shared_ptr<Core>(std::move(engine.core));
    }
}

PyObject* abandon_method(PyObject* self, PyObject*) {
    return method([&] {
        abandon(of(self));
        return none();
    });
}

void destroy(PyObject* self) {
    delete reinterpret_cast<Object*>(self)->engine;
    PyTypeObject* type = Py_TYPE(self);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(reinterpret_cast<PyObject*>(type));
}

PyCFunction with_keywords(PyObject* (*function)(PyObject*, PyObject*, PyObject*)) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef g_methods[] = {
    {"configure", with_keywords(configure_method), METH_VARARGS | METH_KEYWORDS, "Sets settings by name."},
    {"route", with_keywords(route), METH_VARARGS | METH_KEYWORDS,
     "route(method, mask, kind, argc, handler): calls handler(request, args)."},
    {"bind_path", with_keywords(bind_path), METH_VARARGS | METH_KEYWORDS,
     "bind_path(name, folder, fallback=False)"},
    {"bind_proxy", bind_proxy, METH_VARARGS, "bind_proxy(name, url)"},
    {"special", special, METH_VARARGS, "special(name, path, content, content_type)"},
    {"set_fallback", set_fallback, METH_O,
     "set_fallback(hook): asked for a file where there is nothing else."},
    {"listen", with_keywords(listen), METH_VARARGS | METH_KEYWORDS, "listen(fd, ssl_context=None)"},
    {"close", close, METH_NOARGS, "Gives up what listen() has taken, unless it serves."},
    {"serve", with_keywords(serve), METH_VARARGS | METH_KEYWORDS, "serve(requests=0, seconds=-1.0)"},
    {"stop", with_keywords(stop), METH_VARARGS | METH_KEYWORDS, "stop(latency=0.0)"},
    {"drain", drain, METH_O, "drain(successor): hands connections over and ends."},
    {"adopt", adopt, METH_O, "adopt(predecessor): takes connections over."},
    {"activity", activity, METH_NOARGS, "answering, connections, seconds_idle, requests"},
    {"set_busy", set_busy, METH_O, "+1, -1: a worker computes."},
    {"abandon", abandon_method, METH_NOARGS, "In the child of a fork: closes the engine's descriptors."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot g_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                         {Py_tp_init, reinterpret_cast<void*>(init)},
                         {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
                         {Py_tp_methods, g_methods},
                         {Py_tp_doc, const_cast<char*>("The HTTP engine (src/http).")},
                         {0, nullptr}};

PyType_Spec g_spec = {"quick_server._engine.Engine", sizeof(Object), 0, Py_TPFLAGS_DEFAULT, g_slots};

}  // namespace

PyObject* make_engine_type(PyObject* request_type) {
    g_request_type = request_type;
    return PyType_FromSpec(&g_spec);
}

void abandon_all() {
    for (Engine* engine : std::exchange(g_engines, {})) {
        abandon(*engine);
    }
}

}  // namespace quicken::http::python
