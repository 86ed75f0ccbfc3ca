// SPDX-License-Identifier: Apache-2.0
// JavaScript objects that own something of the kernel's, and the state of one environment (the main thread or a worker).
#ifndef MERLON_NATIVE_HANDLE_H
#define MERLON_NATIVE_HANDLE_H

#include <node_api.h>

#include <memory>
#include <string>
#include <vector>

#include "error.h"

namespace merlon {

enum class Kind { kObject, kMap, kLink, kRing };
constexpr int kKinds = 4;

class Handle {
 public:
  virtual ~Handle() = default;
  // Lets go of what the handle owns; must be harmless the second time, and from a finalizer.
  virtual void close(napi_env env) = 0;
  bool closed() const { return closed_; }

 protected:
  bool closed_ = false;
};

// Data of one environment: constructors belong to an environment, and so does the handle in the making.
struct State {
  napi_ref constructors[kKinds] = {};
  Handle* constructing = nullptr;

  static State* of(napi_env env);
};

const char* kind_name(Kind kind);

// Defines the JavaScript class of a kind. JavaScript cannot construct it: only wrap() can.
bool define_class(napi_env env, State* state, Kind kind, const std::vector<napi_property_descriptor>& members);

// Makes the JavaScript object that owns `handle`; nullptr with an exception pending.
napi_value wrap(napi_env env, Kind kind, std::unique_ptr<Handle> handle);

// The handle in `value`, or nullptr with an exception pending: not an object of that kind, or closed.
Handle* unwrap(napi_env env, Kind kind, napi_value value, const char* what, bool allow_closed = false);

}  // namespace merlon

#endif
