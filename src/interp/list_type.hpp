// The type of a list that Python code keeps: an instance of a class that only
// looks on becomes one of its base again.
#pragma once

#include "python_api.hpp"

namespace quicken::interp {

/// Python's `set_type(object, type)`, for what assigning to __class__ refuses: `type` is not a Python class,
/// the object's is one that derives from it and adds neither slots nor a __dict__. Nothing is done where
/// objects do not begin as they do in all versions with the interpreter's global lock.
extern PyMethodDef set_type_method;

}  // namespace quicken::interp
