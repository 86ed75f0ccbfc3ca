// SPDX-License-Identifier: Apache-2.0
#include "handle.h"

namespace merlon {

namespace {

// Random, one for each kind: a Node-API object of another kind, or of another addon, does not carry it.
constexpr napi_type_tag kTags[kKinds] = {
    {0x6d65726c6f6e0001, 0x9c1f04a2b7e35d68},
    {0x6d65726c6f6e0002, 0x2b85d90e4f7a61c3},
    {0x6d65726c6f6e0003, 0xe4610c7d3a98f52b},
    {0x6d65726c6f6e0004, 0x57ba82f1c06e9d34},
};

void finalize(napi_env env, void* data, void*) {
  Handle* handle = static_cast<Handle*>(data);
  handle->close(env);
  delete handle;
}

// Runs for wrap(), which has put the handle into the state, and for `new handle.constructor()`, which throws.
napi_value construct(napi_env env, napi_callback_info info) {
  State* state = State::of(env);
  napi_value self;
  void* kind;
  if (napi_get_cb_info(env, info, nullptr, nullptr, &self, &kind) != napi_ok) return throw_napi(env);
  if (state == nullptr || state->constructing == nullptr) return throw_type(env, "Illegal constructor");
  if (napi_type_tag_object(env, self, &kTags[reinterpret_cast<intptr_t>(kind)]) != napi_ok) return throw_napi(env);
  if (napi_wrap(env, self, state->constructing, finalize, nullptr, nullptr) != napi_ok) return throw_napi(env);
  state->constructing = nullptr;
  return self;
}

}  // namespace

State* State::of(napi_env env) {
  void* data = nullptr;
  return napi_get_instance_data(env, &data) == napi_ok ? static_cast<State*>(data) : nullptr;
}

const char* kind_name(Kind kind) {
  static const char* const names[kKinds] = {"BpfObject", "BpfMap", "BpfLink", "RingBuffer"};
  return names[static_cast<int>(kind)];
}

bool define_class(napi_env env, State* state, Kind kind, const std::vector<napi_property_descriptor>& members) {
  napi_value constructor;
  void* data = reinterpret_cast<void*>(static_cast<intptr_t>(kind));
  return napi_define_class(env, kind_name(kind), NAPI_AUTO_LENGTH, construct, data, members.size(), members.data(),
                           &constructor) == napi_ok &&
         napi_create_reference(env, constructor, 1, &state->constructors[static_cast<int>(kind)]) == napi_ok;
}

napi_value wrap(napi_env env, Kind kind, std::unique_ptr<Handle> handle) {
  State* state = State::of(env);
  napi_value constructor, object = nullptr;
  if (napi_get_reference_value(env, state->constructors[static_cast<int>(kind)], &constructor) != napi_ok) {
    handle->close(env);
    return throw_napi(env);
  }
  // INVARIANT: no JavaScript runs between here and construct(), so nobody else can pick the handle up.
  state->constructing = handle.get();
  napi_status status = napi_new_instance(env, constructor, 0, nullptr, &object);
  if (state->constructing == nullptr) {
    handle.release();  // the finalizer's now
  } else {
    state->constructing = nullptr;
    handle->close(env);
  }
  return status == napi_ok ? object : throw_napi(env);
}

Handle* unwrap(napi_env env, Kind kind, napi_value value, const char* what, bool allow_closed) {
  napi_valuetype type;
  bool tagged = false;
  void* data = nullptr;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_object ||
      napi_check_object_type_tag(env, value, &kTags[static_cast<int>(kind)], &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, value, &data) != napi_ok || data == nullptr) {
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) throw_type(env, std::string(what) + " must be a " + kind_name(kind));
    return nullptr;
  }
  Handle* handle = static_cast<Handle*>(data);
  if (!handle->closed() || allow_closed) return handle;
  throw_state(env, "MERLON_NATIVE_CLOSED", std::string("This ") + kind_name(kind) + " has been closed");
  return nullptr;
}

}  // namespace merlon
