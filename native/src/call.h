// SPDX-License-Identifier: Apache-2.0
// One call from JavaScript: reads arguments without coercion, so that no JavaScript runs while they are read.
#ifndef MERLON_NATIVE_CALL_H
#define MERLON_NATIVE_CALL_H

#include <node_api.h>

#include <cstdint>
#include <string>

#include "error.h"
#include "handle.h"

namespace merlon {

// Borrowed from a Uint8Array: valid until JavaScript runs again.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

class Call {
 public:
  static constexpr size_t kMaxArguments = 3;

  Call(napi_env env, napi_callback_info info);

  napi_env env() const { return env_; }
  napi_value self() const { return self_; }
  bool has(size_t index) const { return index < count_ && !is_undefined(arguments_[index]); }
  napi_value at(size_t index) const { return arguments_[index]; }
  bool is_undefined(napi_value value) const;

  // Each returns false with an exception pending where the value is not of that kind.
  bool read(napi_value value, const char* what, uint32_t& out) const;
  bool read(napi_value value, const char* what, bool& out) const;
  bool read(napi_value value, const char* what, Bytes& out) const;
  bool read(napi_value value, const char* what, std::string& out, size_t max) const;
  bool read_sized(napi_value value, const char* what, size_t size, Bytes& out) const;
  bool read_function(napi_value value, const char* what) const;
  // A property of an options object; the only read that may run JavaScript (a getter). So read all of them first.
  bool property(napi_value object, const char* name, napi_value& out) const;
  bool read_options(napi_value value, const char* what) const;

  template <typename T>
  T* handle(napi_value value, const char* what) const {
    return static_cast<T*>(unwrap(env_, T::kKind, value, what));
  }

  napi_value number(double value) const;
  napi_value boolean(bool value) const;
  napi_value string(const char* value) const;
  napi_value bytes(const void* data, size_t size) const;
  napi_value undefined() const;

 private:
  napi_env env_;
  napi_value self_ = nullptr;
  size_t count_ = kMaxArguments;
  napi_value arguments_[kMaxArguments] = {};
};

constexpr size_t kPathMax = 4095;  // PATH_MAX without its NUL
constexpr size_t kNameMax = 255;

// A method that needs an open handle: checks `this`, then calls the member function.
template <typename T, napi_value (T::*Member)(Call&)>
napi_value method(napi_env env, napi_callback_info info) {
  Call call(env, info);
  T* self = static_cast<T*>(unwrap(env, T::kKind, call.self(), "this"));
  return self == nullptr ? nullptr : (self->*Member)(call);
}

template <typename T>
napi_value close_method(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Handle* self = unwrap(env, T::kKind, call.self(), "this", true);
  if (self != nullptr) self->close(env);
  return nullptr;
}

template <typename T, napi_value (T::*Member)(Call&)>
napi_property_descriptor define_method(const char* name) {
  return {name, nullptr, method<T, Member>, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

template <typename T, napi_value (T::*Member)(Call&)>
napi_property_descriptor define_getter(const char* name) {
  return {name, nullptr, nullptr, method<T, Member>, nullptr, nullptr, napi_enumerable, nullptr};
}

template <typename T>
napi_property_descriptor define_close(const char* name, napi_value symbol) {
  return {name, symbol, close_method<T>, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

}  // namespace merlon

#endif
