// SPDX-License-Identifier: Apache-2.0
#ifndef MERLON_NATIVE_RING_H
#define MERLON_NATIVE_RING_H

#include <uv.h>

#include <vector>

#include "call.h"

struct ring_buffer;

namespace merlon {

class Ring : public Handle {
 public:
  static constexpr Kind kKind = Kind::kRing;

  static bool define(napi_env env, State* state, napi_value dispose);
  static napi_value open(napi_env env, napi_callback_info info);

  void close(napi_env env) override;

 private:
  // libuv's handle outlives the ring: uv_close() is asynchronous. The environment waits for it at teardown.
  struct Poll {
    uv_poll_t handle;
    Ring* ring;
    napi_async_cleanup_hook_handle hook;
  };

  Ring(napi_env env, size_t largest) : env_(env), largest_(largest) {}

  bool start(Call& call, int map_fd);
  static int on_record(void* ring, void* data, size_t size);
  static void on_readable(uv_poll_t* handle, int status, int events);
  static void on_teardown(napi_async_cleanup_hook_handle hook, void* poll);
  static void on_closed(uv_handle_t* handle);

  // Reads and delivers; false with an exception pending when `from_js` and onBatch threw.
  bool drain(bool from_js, uint32_t* records);
  bool deliver(bool from_js);

  napi_value consume(Call& call);
  napi_value ref(Call& call);
  napi_value unref(Call& call);

  napi_env env_;
  size_t largest_;
  ring_buffer* buffer_ = nullptr;
  Poll* poll_ = nullptr;
  napi_ref self_ = nullptr;  // an open ring delivers whether or not JavaScript still holds it
  napi_ref on_batch_ = nullptr;
  // Framed records: the batch, then perhaps one that did not fit into it any more.
  std::vector<uint8_t> pending_;
  size_t batch_size_ = 0;
  uint32_t records_ = 0;
};

}  // namespace merlon

#endif
