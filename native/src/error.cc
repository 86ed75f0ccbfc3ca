// SPDX-License-Identifier: Apache-2.0
#include "error.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <mutex>

namespace merlon {

namespace {

constexpr size_t kLogMax = 64 * 1024;
constexpr int kEnotsupp = 524;  // the kernel's own ENOTSUPP: bpf(2) returns it, libc does not know it

thread_local Log* current = nullptr;

int print(libbpf_print_level level, const char* format, va_list args) {
  if (current == nullptr || level == LIBBPF_DEBUG) return 0;
  char* text = nullptr;
  int length = vasprintf(&text, format, args);
  if (length < 0) return 0;
  current->append(text, static_cast<size_t>(length));
  free(text);
  return 0;
}

std::string code_of(int error) {
  static const char* const libbpf_names[] = {"LIBELF", "FORMAT",  "KVERSION", "ENDIAN",   "INTERNAL",  "RELOC",  "LOAD",
                                             "VERIFY", "PROG2BIG", "KVER",     "PROGTYPE", "WRNGPID", "INVSEQ", "NLPARSE"};
  if (error == kEnotsupp) return "ENOTSUPP";
  if (error >= __LIBBPF_ERRNO__START && error < __LIBBPF_ERRNO__END) {
    size_t index = static_cast<size_t>(error - __LIBBPF_ERRNO__START);
    if (index < std::size(libbpf_names)) return std::string("LIBBPF_") + libbpf_names[index];
  }
  const char* name = strerrorname_np(error);
  return name != nullptr && error != 0 ? name : "ERRNO_" + std::to_string(error);
}

napi_value text(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

}  // namespace

Log::Log() : outer_(current) { current = this; }

Log::~Log() { current = outer_; }

void Log::append(const char* text, size_t length) {
  text_.append(text, length);
  if (text_.size() <= kLogMax) return;
  // The verifier says at the end why it refuses; keep whole lines of the end.
  size_t from = text_.find('\n', text_.size() - kLogMax);
  text_.erase(0, from == std::string::npos ? text_.size() - kLogMax : from + 1);
}

void Log::install() {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(print); });
}

napi_value throw_bpf(napi_env env, const char* call, int error, const std::string& log, const char* detail) {
  std::string code = code_of(error);
  char reason[256] = "";
  libbpf_strerror(error, reason, sizeof reason);
  std::string message = std::string(call) + ": " + code + ", " + (error == kEnotsupp ? "Not supported" : reason);
  if (detail != nullptr) message += std::string(" (") + detail + ")";

  napi_value object, number;
  if (napi_create_error(env, text(env, code), text(env, message), &object) != napi_ok) return throw_napi(env);
  napi_create_int32(env, error, &number);
  napi_property_descriptor properties[] = {
      {"name", nullptr, nullptr, nullptr, nullptr, text(env, "BpfError"), napi_default, nullptr},
      {"errno", nullptr, nullptr, nullptr, nullptr, number, napi_enumerable, nullptr},
      {"syscall", nullptr, nullptr, nullptr, nullptr, text(env, call), napi_enumerable, nullptr},
      {"log", nullptr, nullptr, nullptr, nullptr, text(env, log), napi_enumerable, nullptr},
  };
  if (napi_define_properties(env, object, std::size(properties), properties) != napi_ok) return throw_napi(env);
  napi_throw(env, object);
  return nullptr;
}

napi_value throw_type(napi_env env, const std::string& message) {
  napi_throw_type_error(env, "MERLON_NATIVE_ARGUMENT", message.c_str());
  return nullptr;
}

napi_value throw_range(napi_env env, const std::string& message) {
  napi_throw_range_error(env, "MERLON_NATIVE_ARGUMENT", message.c_str());
  return nullptr;
}

napi_value throw_state(napi_env env, const char* code, const std::string& message) {
  napi_throw_error(env, code, message.c_str());
  return nullptr;
}

napi_value throw_napi(napi_env env) {
  const napi_extended_error_info* info = nullptr;
  std::string message = "Node-API call failed";
  if (napi_get_last_error_info(env, &info) == napi_ok && info->error_message != nullptr) message = info->error_message;
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) {
    napi_throw_error(env, "MERLON_NATIVE_INTERNAL", message.c_str());
  }
  return nullptr;
}

}  // namespace merlon
