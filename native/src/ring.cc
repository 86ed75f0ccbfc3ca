// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

#include "map.h"

namespace merlon {

namespace {

constexpr size_t kBatchMax = 1 << 20;
constexpr int kBatchesPerWakeUp = 8;  // then the loop gets its turn; the poll is level-triggered and comes back
constexpr int kBatchFull = -ECANCELED;

}  // namespace

bool Ring::define(napi_env env, State* state, napi_value dispose) {
  return define_class(env, state, kKind,
                      {
                          define_method<Ring, &Ring::consume>("consume"),
                          define_method<Ring, &Ring::ref>("ref"),
                          define_method<Ring, &Ring::unref>("unref"),
                          define_close<Ring>("close", nullptr),
                          define_close<Ring>(nullptr, dispose),
                      });
}

napi_value Ring::open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Map* map = call.handle<Map>(call.at(0), "map");
  if (map == nullptr || !call.read_function(call.at(1), "onBatch")) return nullptr;
  if (map->info().type != BPF_MAP_TYPE_RINGBUF) return throw_type(env, "map must be a BPF_MAP_TYPE_RINGBUF");
  int fd = map->fd();
  Ring* ring = new Ring(env, map->info().max_entries);
  napi_value object = wrap(env, kKind, std::unique_ptr<Handle>(ring));
  if (object == nullptr) return nullptr;
  if (ring->start(call, fd) && napi_create_reference(env, object, 1, &ring->self_) == napi_ok &&
      napi_create_reference(env, call.at(1), 1, &ring->on_batch_) == napi_ok) {
    return object;
  }
  ring->close(env);
  return throw_napi(env);
}

bool Ring::start(Call& call, int map_fd) {
  Log log;
  buffer_ = ring_buffer__new(map_fd, on_record, this, nullptr);
  if (buffer_ == nullptr) {
    throw_bpf(env_, "ring_buffer__new", errno, log.text());
    return false;
  }
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(call.env(), &loop) != napi_ok) return false;
  Poll* poll = new Poll{{}, this, nullptr};
  int error = uv_poll_init(loop, &poll->handle, ring_buffer__epoll_fd(buffer_));
  if (error != 0) {
    delete poll;
    throw_bpf(env_, "uv_poll_init", -error);
    return false;
  }
  poll_ = poll;  // from here on close() disposes of it
  if (napi_add_async_cleanup_hook(env_, on_teardown, poll, &poll->hook) != napi_ok) return false;
  error = uv_poll_start(&poll->handle, UV_READABLE, on_readable);
  if (error != 0) throw_bpf(env_, "uv_poll_start", -error);
  return error == 0;
}

void Ring::close(napi_env env) {
  if (closed_) return;
  closed_ = true;
  if (poll_ != nullptr) {
    poll_->ring = nullptr;
    // Takes the epoll descriptor out of the loop at once, so ring_buffer__free() may close it.
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_->handle), on_closed);
    poll_ = nullptr;
  }
  if (buffer_ != nullptr) ring_buffer__free(buffer_);
  buffer_ = nullptr;
  if (self_ != nullptr) napi_delete_reference(env, self_);
  if (on_batch_ != nullptr) napi_delete_reference(env, on_batch_);
  self_ = on_batch_ = nullptr;
  pending_ = {};
}

void Ring::on_closed(uv_handle_t* handle) {
  Poll* poll = reinterpret_cast<Poll*>(handle);
  if (poll->hook != nullptr) napi_remove_async_cleanup_hook(poll->hook);
  delete poll;
}

void Ring::on_teardown(napi_async_cleanup_hook_handle, void* data) {
  Ring* ring = static_cast<Poll*>(data)->ring;
  if (ring != nullptr) ring->close(ring->env_);
}

// Called by libbpf: no JavaScript here. A negative result ends ring_buffer__consume() after this record.
int Ring::on_record(void* context, void* data, size_t size) {
  Ring* ring = static_cast<Ring*>(context);
  // Two readers of one map in two threads can read lengths that are none.
  if (size > ring->largest_) return -EIO;
  size_t at = ring->pending_.size(), framed = (4 + size + 7) & ~size_t{7};
  uint32_t length = static_cast<uint32_t>(size);
  ring->pending_.resize(at + framed);
  memcpy(&ring->pending_[at], &length, 4);
  memcpy(&ring->pending_[at + 4], data, size);
  ring->records_++;
  bool fits = at == 0 || at + framed <= kBatchMax;
  if (fits) ring->batch_size_ = at + framed;
  return fits ? 0 : kBatchFull;
}

void Ring::on_readable(uv_poll_t* handle, int, int) {
  Ring* ring = reinterpret_cast<Poll*>(handle)->ring;
  if (ring == nullptr) return;
  napi_env env = ring->env_;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  uint32_t records = 0;
  ring->drain(false, &records);
  napi_close_handle_scope(env, scope);
}

bool Ring::drain(bool from_js, uint32_t* records) {
  // Keeps the JavaScript object, and with it this one, alive where onBatch closes the ring.
  napi_value self;
  if (napi_get_reference_value(env_, self_, &self) != napi_ok) return true;
  for (int round = 0; !closed_; round++) {
    bool last = round == kBatchesPerWakeUp;
    int error = last ? 0 : ring_buffer__consume(buffer_);
    *records += records_;
    records_ = 0;
    if (pending_.empty()) return true;
    if (!deliver(from_js)) return false;
    // What did not fit has left the ring: nothing would wake us up for it.
    if (pending_.empty() && (last || error != kBatchFull)) return true;
  }
  return true;
}

bool Ring::deliver(bool from_js) {
  napi_value buffer, argument, callback, self, ignored;
  void* target = nullptr;
  size_t size = batch_size_;
  if (napi_create_arraybuffer(env_, size, &target, &buffer) != napi_ok ||
      napi_create_typedarray(env_, napi_uint8_array, size, buffer, 0, &argument) != napi_ok ||
      napi_get_reference_value(env_, on_batch_, &callback) != napi_ok ||
      napi_get_reference_value(env_, self_, &self) != napi_ok) {
    return !from_js;
  }
  memcpy(target, pending_.data(), size);
  // onBatch may call consume() or close(): our own state is in order before it runs.
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(size));
  batch_size_ = pending_.size();
  if (from_js) return napi_call_function(env_, self, callback, 1, &argument, &ignored) == napi_ok;

  if (napi_make_callback(env_, nullptr, self, callback, 1, &argument, &ignored) == napi_ok) return true;
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env_, &error) == napi_ok) {
    napi_fatal_exception(env_, error);  // 'uncaughtException', as of any other event
  }
  return true;
}

napi_value Ring::consume(Call& call) {
  uint32_t records = 0;
  if (!drain(true, &records)) return throw_napi(call.env());
  return call.number(records);
}

napi_value Ring::ref(Call& call) {
  uv_ref(reinterpret_cast<uv_handle_t*>(&poll_->handle));
  return call.undefined();
}

napi_value Ring::unref(Call& call) {
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_->handle));
  return call.undefined();
}

}  // namespace merlon
