// SPDX-License-Identifier: Apache-2.0
// Many entries at once. Batches came with Linux 5.6, map type by map type; without them it goes entry by entry.
#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "map.h"
#include "sanitizer.h"

namespace merlon {

namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kBatchBytesMax = size_t{1} << 31;  // an ArrayBuffer can hold more; a process should not
constexpr int kEnotsupp = 524;

// A kernel that has no batch for the map's type says ENOTSUPP, one without the command EINVAL.
bool no_batch(int error) { return error == kEnotsupp || error == EINVAL || error == EOPNOTSUPP; }

// Grows without zeroing and without throwing.
struct Buffer {
  uint8_t* data = nullptr;
  ~Buffer() { free(data); }
  bool resize(size_t size) {
    void* grown = realloc(data, size);
    if (grown == nullptr) return false;
    data = static_cast<uint8_t*>(grown);
    return true;
  }
};

}  // namespace

struct Map::Entries {
  size_t key_size, value_size;
  Buffer keys, values;
  size_t count = 0, capacity = 0;

  bool reserve(size_t wanted) {
    if (wanted <= capacity) return true;
    size_t next = std::max(wanted, capacity * 2);
    if (next * std::max(key_size, value_size) > kBatchBytesMax) next = wanted;
    if (next * std::max(key_size, value_size) > kBatchBytesMax) return false;
    // 8 bytes more: never an allocation of 0, and room for a batch cursor.
    if (!keys.resize(next * key_size + 8) || !values.resize(next * value_size + 8)) return false;
    capacity = next;
    return true;
  }
  uint8_t* key_end() { return keys.data + count * key_size; }
  uint8_t* value_end() { return values.data + count * value_size; }
};

napi_value Map::update_batch(Call& call) {
  Bytes keys, values;
  if (!call.read(call.at(0), "keys", keys) || !call.read(call.at(1), "values", values)) return nullptr;
  if (of_maps()) return throw_type(call.env(), "A map of maps takes its values from updateInner");
  size_t key_size = info_.key_size, value_size = value_room();
  if (key_size == 0 || value_size == 0) return throw_type(call.env(), "This map has no keys or no values");
  size_t count = keys.size / key_size;
  if (keys.size % key_size != 0 || count > UINT32_MAX) {
    return throw_range(call.env(), "keys must be a whole number of " + std::to_string(key_size) + " bytes");
  }
  if (values.size % value_size != 0 || values.size / value_size != count) {
    return throw_range(call.env(), "values has " + std::to_string(values.size) + " bytes and must have " +
                                       std::to_string(count) + " times " + std::to_string(value_size));
  }
  if (count == 0) return call.undefined();

  uint32_t done = static_cast<uint32_t>(count);
  LIBBPF_OPTS(bpf_map_batch_opts, opts);
  kernel_may_copy(keys.data, count * key_size);
  kernel_may_copy(values.data, count * value_size);
  if (bpf_map_update_batch(fd(), keys.data, values.data, &done, &opts) == 0) return call.undefined();
  if (!no_batch(errno)) return throw_bpf(call.env(), "bpf_map_update_batch", errno);
  for (size_t i = 0; i < count; i++) {
    if (bpf_map_update_elem(fd(), keys.data + i * key_size, values.data + i * value_size, BPF_ANY) != 0) {
      return throw_bpf(call.env(), "bpf_map_update_elem", errno);
    }
  }
  return call.undefined();
}

// Both return 0 or an errno.
int Map::collect_batch(Entries& out) const {
  size_t widest = std::max<size_t>(1, out.key_size + out.value_size);
  size_t chunk = std::clamp<size_t>(kChunkBytes / widest, 1, std::max<size_t>(info_.max_entries, 1));
  // The kernel's cursor: a key for arrays, a u32 for hashes, even where their keys are shorter.
  std::unique_ptr<uint8_t[]> cursor(new (std::nothrow) uint8_t[out.key_size + 8]());
  if (cursor == nullptr) return ENOMEM;
  bool first = true;
  for (;;) {
    if (!out.reserve(out.count + chunk)) return ENOMEM;
    uint32_t count = static_cast<uint32_t>(chunk);
    LIBBPF_OPTS(bpf_map_batch_opts, opts);
    kernel_may_copy(out.key_end(), chunk * out.key_size);
    kernel_may_copy(out.value_end(), chunk * out.value_size);
    int error = bpf_map_lookup_batch(fd(), first ? nullptr : cursor.get(), cursor.get(), out.key_end(), out.value_end(),
                                     &count, &opts) == 0
                    ? 0
                    : errno;
    if (error == ENOSPC && chunk < info_.max_entries) {
      chunk = std::min<size_t>(chunk * 2, info_.max_entries);  // a bucket of the hash is longer than the chunk
      continue;
    }
    if (error != 0 && error != ENOENT) return error;
    out.count += std::min<size_t>(count, chunk);
    first = false;
    if (error == ENOENT) return 0;
  }
}

int Map::collect_singly(Entries& out) const {
  size_t room = out.key_size + 8;
  std::unique_ptr<uint8_t[]> key(new (std::nothrow) uint8_t[room]());
  std::unique_ptr<uint8_t[]> value(new (std::nothrow) uint8_t[value_room() + 1]());
  if (key == nullptr || value == nullptr) return ENOMEM;
  bool first = true;
  out.count = 0;
  // A key that is deleted meanwhile sends the kernel back to the first one: bounded, therefore.
  for (size_t steps = 0; steps < size_t{2} * info_.max_entries + 1; steps++) {
    if (bpf_map_get_next_key(fd(), first ? nullptr : key.get(), key.get()) != 0) return errno == ENOENT ? 0 : errno;
    first = false;
    if (bpf_map_lookup_elem(fd(), key.get(), value.get()) != 0) {
      if (errno == ENOENT) continue;
      return errno;
    }
    if (!out.reserve(out.count + 1)) return ENOMEM;
    memcpy(out.key_end(), key.get(), out.key_size);
    memcpy(out.value_end(), value.get(), out.value_size);
    out.count++;
  }
  return 0;
}

napi_value Map::entries(Call& call) {
  Entries all{info_.key_size, value_bytes(), {}, {}};
  if (all.key_size == 0 || all.value_size == 0) return throw_type(call.env(), "This map has no keys or no values");
  const char* what = "bpf_map_lookup_batch";
  int error = value_room() == value_bytes() ? collect_batch(all) : kEnotsupp;
  if (no_batch(error)) {
    what = "bpf_map_lookup_elem";
    error = collect_singly(all);
  }
  if (error != 0) return throw_bpf(call.env(), what, error);

  napi_value object, count = call.number(static_cast<double>(all.count));
  napi_value keys = call.bytes(all.keys.data, all.count * all.key_size);
  napi_value values = keys == nullptr ? nullptr : call.bytes(all.values.data, all.count * all.value_size);
  if (values == nullptr) return nullptr;
  napi_env env = call.env();
  if (napi_create_object(env, &object) != napi_ok || napi_set_named_property(env, object, "keys", keys) != napi_ok ||
      napi_set_named_property(env, object, "values", values) != napi_ok ||
      napi_set_named_property(env, object, "count", count) != napi_ok) {
    return throw_napi(env);
  }
  return object;
}

}  // namespace merlon
