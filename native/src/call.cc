// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <cmath>
#include <cstring>

namespace merlon {

Call::Call(napi_env env, napi_callback_info info) : env_(env) {
  if (napi_get_cb_info(env, info, &count_, arguments_, &self_, nullptr) != napi_ok) count_ = 0;
}

bool Call::is_undefined(napi_value value) const {
  napi_valuetype type;
  return napi_typeof(env_, value, &type) == napi_ok && type == napi_undefined;
}

bool Call::read(napi_value value, const char* what, uint32_t& out) const {
  double number;
  if (napi_get_value_double(env_, value, &number) != napi_ok) {
    throw_type(env_, std::string(what) + " must be a number");
    return false;
  }
  // The comparisons are false for NaN.
  if (!(number >= 0 && number <= UINT32_MAX) || number != std::floor(number)) {
    throw_range(env_, std::string(what) + " must be an integer from 0 to 4294967295");
    return false;
  }
  out = static_cast<uint32_t>(number);
  return true;
}

bool Call::read(napi_value value, const char* what, bool& out) const {
  if (napi_get_value_bool(env_, value, &out) == napi_ok) return true;
  throw_type(env_, std::string(what) + " must be a boolean");
  return false;
}

bool Call::read(napi_value value, const char* what, Bytes& out) const {
  bool is_array = false, is_buffer = false, detached = false;
  napi_typedarray_type type;
  napi_value buffer;
  void* data = nullptr;
  size_t size = 0;
  if (napi_is_typedarray(env_, value, &is_array) != napi_ok || !is_array ||
      napi_get_typedarray_info(env_, value, &type, &size, &data, &buffer, nullptr) != napi_ok || type != napi_uint8_array) {
    throw_type(env_, std::string(what) + " must be a Uint8Array");
    return false;
  }
  // Another thread may change a SharedArrayBuffer between our check and the kernel's copy.
  if (napi_is_arraybuffer(env_, buffer, &is_buffer) != napi_ok || !is_buffer) {
    throw_type(env_, std::string(what) + " must not be backed by a SharedArrayBuffer");
    return false;
  }
  if (napi_is_detached_arraybuffer(env_, buffer, &detached) != napi_ok || detached) {
    throw_type(env_, std::string(what) + " has been detached");
    return false;
  }
  out = {static_cast<const uint8_t*>(data), data == nullptr ? 0 : size};
  return true;
}

bool Call::read(napi_value value, const char* what, std::string& out, size_t max) const {
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, value, nullptr, 0, &length) != napi_ok) {
    throw_type(env_, std::string(what) + " must be a string");
    return false;
  }
  if (length == 0 || length > max) {
    throw_range(env_, std::string(what) + " must have 1 to " + std::to_string(max) + " bytes");
    return false;
  }
  out.resize(length);
  if (napi_get_value_string_utf8(env_, value, out.data(), length + 1, &length) != napi_ok) {
    throw_napi(env_);
    return false;
  }
  if (memchr(out.data(), 0, length) == nullptr) return true;
  throw_type(env_, std::string(what) + " must not contain NUL");
  return false;
}

bool Call::read_sized(napi_value value, const char* what, size_t size, Bytes& out) const {
  if (!read(value, what, out)) return false;
  if (out.size == size) return true;
  throw_range(env_, std::string(what) + " has " + std::to_string(out.size) + " bytes and must have " + std::to_string(size));
  return false;
}

bool Call::read_function(napi_value value, const char* what) const {
  napi_valuetype type;
  if (napi_typeof(env_, value, &type) == napi_ok && type == napi_function) return true;
  throw_type(env_, std::string(what) + " must be a function");
  return false;
}

bool Call::property(napi_value object, const char* name, napi_value& out) const {
  if (napi_get_named_property(env_, object, name, &out) == napi_ok) return true;
  throw_napi(env_);
  return false;
}

bool Call::read_options(napi_value value, const char* what) const {
  napi_valuetype type;
  if (napi_typeof(env_, value, &type) == napi_ok && type == napi_object) return true;
  throw_type(env_, std::string(what) + " must be an object");
  return false;
}

napi_value Call::number(double value) const {
  napi_value result;
  return napi_create_double(env_, value, &result) == napi_ok ? result : throw_napi(env_);
}

napi_value Call::boolean(bool value) const {
  napi_value result;
  return napi_get_boolean(env_, value, &result) == napi_ok ? result : throw_napi(env_);
}

napi_value Call::string(const char* value) const {
  napi_value result;
  return napi_create_string_utf8(env_, value, NAPI_AUTO_LENGTH, &result) == napi_ok ? result : throw_napi(env_);
}

napi_value Call::bytes(const void* data, size_t size) const {
  napi_value buffer, result;
  void* target = nullptr;
  if (napi_create_arraybuffer(env_, size, &target, &buffer) != napi_ok) return throw_napi(env_);
  if (size > 0) memcpy(target, data, size);
  if (napi_create_typedarray(env_, napi_uint8_array, size, buffer, 0, &result) != napi_ok) return throw_napi(env_);
  return result;
}

napi_value Call::undefined() const {
  napi_value result;
  return napi_get_undefined(env_, &result) == napi_ok ? result : throw_napi(env_);
}

}  // namespace merlon
