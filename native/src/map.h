// SPDX-License-Identifier: Apache-2.0
#ifndef MERLON_NATIVE_MAP_H
#define MERLON_NATIVE_MAP_H

#include <linux/bpf.h>

#include "call.h"
#include "descriptor.h"

namespace merlon {

class Map : public Handle {
 public:
  static constexpr Kind kKind = Kind::kMap;

  static bool define(napi_env env, State* state, napi_value dispose);
  // Binding functions.
  static napi_value create(napi_env env, napi_callback_info info);
  static napi_value open_pinned(napi_env env, napi_callback_info info);
  // The JavaScript object for a map's descriptor; `syscall` names what failed where the kernel does not describe it.
  static napi_value from(Call& call, Descriptor fd);

  void close(napi_env env) override;
  int fd() const { return fd_.get(); }
  const bpf_map_info& info() const { return info_; }

 private:
  Map(Descriptor fd, const bpf_map_info& info) : fd_(std::move(fd)), info_(info) {}

  bool per_cpu() const;
  bool of_maps() const;
  // Bytes that the kernel copies for one value.
  size_t value_bytes() const;
  // Bytes that one value gets in our own buffers: at least value_bytes().
  size_t value_room() const;
  const uint8_t* key_or_null(const Bytes& key) const { return info_.key_size == 0 ? nullptr : key.data; }
  bool read_value(Call& call, napi_value value, Bytes& out) const;

  napi_value get_info(Call& call);
  napi_value lookup(Call& call);
  napi_value update(Call& call);
  napi_value update_inner(Call& call);
  napi_value remove(Call& call);
  napi_value next_key(Call& call);
  napi_value pin(Call& call);
  // map-batch.cc
  napi_value update_batch(Call& call);
  napi_value entries(Call& call);
  struct Entries;
  int collect_batch(Entries& out) const;
  int collect_singly(Entries& out) const;

  Descriptor fd_;
  bpf_map_info info_;
};

// Possible CPUs, at least 1; the kernel sizes per-CPU values by them.
uint32_t possible_cpus();

}  // namespace merlon

#endif
