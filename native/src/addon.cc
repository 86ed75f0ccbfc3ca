// SPDX-License-Identifier: Apache-2.0
// The addon's exports (native/types.ts, NativeBinding). Loaded once an environment: the main thread, each worker.
#include <bpf/libbpf.h>
#include <node_api.h>

#include <cstdio>

#include "link.h"
#include "map.h"
#include "object.h"
#include "ring.h"

namespace merlon {

namespace {

bool symbol_dispose(napi_env env, napi_value* out) {
  napi_value global, constructor;
  napi_valuetype type;
  return napi_get_global(env, &global) == napi_ok && napi_get_named_property(env, global, "Symbol", &constructor) == napi_ok &&
         napi_get_named_property(env, constructor, "dispose", out) == napi_ok && napi_typeof(env, *out, &type) == napi_ok &&
         type == napi_symbol;
}

bool define_exports(napi_env env, napi_value exports) {
  char version[32];
  snprintf(version, sizeof version, "%s", libbpf_version_string());
  napi_value libbpf_version, cpus;
  if (napi_create_string_utf8(env, version[0] == 'v' ? version + 1 : version, NAPI_AUTO_LENGTH, &libbpf_version) != napi_ok ||
      napi_create_uint32(env, possible_cpus(), &cpus) != napi_ok) {
    return false;
  }
  auto value = [](const char* name, napi_value value) {
    return napi_property_descriptor{name, nullptr, nullptr, nullptr, nullptr, value, napi_enumerable, nullptr};
  };
  auto function = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
  };
  napi_property_descriptor properties[] = {
      value("libbpfVersion", libbpf_version),
      value("possibleCpus", cpus),
      function("openObject", Object::open),
      function("createMap", Map::create),
      function("openPinnedMap", Map::open_pinned),
      function("openPinnedLink", Link::open_pinned),
      function("attachPinned", Link::attach_pinned),
      function("openRingBuffer", Ring::open),
  };
  return napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties) == napi_ok;
}

}  // namespace

napi_value init(napi_env env, napi_value exports) {
  Log::install();
  State* state = new State();
  auto free_state = [](napi_env, void* data, void*) { delete static_cast<State*>(data); };
  if (napi_set_instance_data(env, state, free_state, nullptr) != napi_ok) {
    delete state;
    return throw_napi(env);
  }
  napi_value dispose;
  if (!symbol_dispose(env, &dispose) || !Object::define(env, state, dispose) || !Map::define(env, state, dispose) ||
      !Link::define(env, state, dispose) || !Ring::define(env, state, dispose) || !define_exports(env, exports)) {
    return throw_napi(env);
  }
  return exports;
}

}  // namespace merlon

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) { return merlon::init(env, exports); }
