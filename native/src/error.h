// SPDX-License-Identifier: Apache-2.0
// What is thrown: BpfError for a failed call, TypeError, RangeError and Error for the caller's mistakes.
#ifndef MERLON_NATIVE_ERROR_H
#define MERLON_NATIVE_ERROR_H

#include <node_api.h>

#include <string>

namespace merlon {

// Collects what libbpf prints on this thread while the object lives. libbpf puts the verifier's log there too: when a
// program does not load, it loads it once more with a log buffer that grows until the log fits.
class Log {
 public:
  Log();
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void append(const char* text, size_t length);
  const std::string& text() const { return text_; }

  // libbpf has one print function for the whole process.
  static void install();

 private:
  std::string text_;
  Log* outer_;
};

// Each throws and returns nullptr, so that a callback can `return` them.
napi_value throw_bpf(napi_env env, const char* call, int error, const std::string& log = "", const char* detail = nullptr);
napi_value throw_type(napi_env env, const std::string& message);
napi_value throw_range(napi_env env, const std::string& message);
napi_value throw_state(napi_env env, const char* code, const std::string& message);
// After a Node-API call failed: throws unless an exception is pending already.
napi_value throw_napi(napi_env env);

}  // namespace merlon

#endif
