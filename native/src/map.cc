// SPDX-License-Identifier: Apache-2.0
#include "map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

#include "sanitizer.h"

namespace merlon {

uint32_t possible_cpus() {
  static const int count = libbpf_num_possible_cpus();
  return count > 0 ? static_cast<uint32_t>(count) : 1;
}

bool Map::define(napi_env env, State* state, napi_value dispose) {
  return define_class(env, state, kKind,
                      {
                          define_getter<Map, &Map::get_info>("info"),
                          define_method<Map, &Map::lookup>("lookup"),
                          define_method<Map, &Map::update>("update"),
                          define_method<Map, &Map::update_inner>("updateInner"),
                          define_method<Map, &Map::remove>("delete"),
                          define_method<Map, &Map::next_key>("nextKey"),
                          define_method<Map, &Map::update_batch>("updateBatch"),
                          define_method<Map, &Map::entries>("entries"),
                          define_method<Map, &Map::pin>("pin"),
                          define_close<Map>("close", nullptr),
                          define_close<Map>(nullptr, dispose),
                      });
}

napi_value Map::create(napi_env env, napi_callback_info info) {
  Call call(env, info);
  napi_value type, name, key_size, value_size, max_entries, flags, inner;
  if (!call.read_options(call.at(0), "options")) return nullptr;
  // Getters may run anything, so values are read first and looked at afterwards.
  if (!call.property(call.at(0), "type", type) || !call.property(call.at(0), "name", name) ||
      !call.property(call.at(0), "keySize", key_size) || !call.property(call.at(0), "valueSize", value_size) ||
      !call.property(call.at(0), "maxEntries", max_entries) || !call.property(call.at(0), "flags", flags) ||
      !call.property(call.at(0), "inner", inner)) {
    return nullptr;
  }
  uint32_t map_type, keys, values, entries;
  std::string map_name;
  LIBBPF_OPTS(bpf_map_create_opts, opts);
  // The kernel keeps 15 bytes of a name; a silently shortened one would not be found again.
  if (!call.read(type, "type", map_type) || !call.read(name, "name", map_name, BPF_OBJ_NAME_LEN - 1) ||
      !call.read(key_size, "keySize", keys) || !call.read(value_size, "valueSize", values) ||
      !call.read(max_entries, "maxEntries", entries) ||
      (!call.is_undefined(flags) && !call.read(flags, "flags", opts.map_flags))) {
    return nullptr;
  }
  if (!call.is_undefined(inner)) {
    Map* map = call.handle<Map>(inner, "inner");
    if (map == nullptr) return nullptr;
    opts.inner_map_fd = static_cast<uint32_t>(map->fd());
  }
  Log log;
  Descriptor fd(bpf_map_create(static_cast<bpf_map_type>(map_type), map_name.c_str(), keys, values, entries, &opts));
  if (!fd.valid()) return throw_bpf(env, "bpf_map_create", errno, log.text());
  return from(call, std::move(fd));
}

napi_value Map::open_pinned(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string path;
  if (!call.read(call.at(0), "path", path, kPathMax)) return nullptr;
  Descriptor fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return throw_bpf(env, "bpf_obj_get", errno);
  if (!fd.is("map")) return throw_bpf(env, "bpf_obj_get", EINVAL, "", "what is pinned there is not a map");
  return from(call, std::move(fd));
}

napi_value Map::from(Call& call, Descriptor fd) {
  bpf_map_info info = {};
  uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return throw_bpf(call.env(), "bpf_obj_get_info_by_fd", errno);
  return wrap(call.env(), kKind, std::unique_ptr<Handle>(new Map(std::move(fd), info)));
}

void Map::close(napi_env) {
  closed_ = true;
  fd_.reset();
}

bool Map::per_cpu() const {
  return info_.type == BPF_MAP_TYPE_PERCPU_HASH || info_.type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         info_.type == BPF_MAP_TYPE_LRU_PERCPU_HASH || info_.type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool Map::of_maps() const {
  return info_.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || info_.type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

size_t Map::value_bytes() const {
  size_t padded = (static_cast<size_t>(info_.value_size) + 7) & ~size_t{7};
  return per_cpu() ? padded * possible_cpus() : info_.value_size;
}

size_t Map::value_room() const {
  // A later kernel may have per-CPU types that we do not know.
  constexpr uint32_t kLastKnownType = BPF_MAP_TYPE_USER_RINGBUF;
  size_t padded = (static_cast<size_t>(info_.value_size) + 7) & ~size_t{7};
  return info_.type > kLastKnownType ? padded * possible_cpus() : value_bytes();
}

bool Map::read_value(Call& call, napi_value value, Bytes& out) const {
  if (of_maps()) {
    throw_type(call.env(), "A map of maps takes its values from updateInner");
    return false;
  }
  return call.read_sized(value, "value", value_room(), out);
}

napi_value Map::get_info(Call& call) {
  napi_value object;
  if (napi_create_object(call.env(), &object) != napi_ok) return throw_napi(call.env());
  auto field = [](const char* name, napi_value value) {
    return napi_property_descriptor{name, nullptr, nullptr, nullptr, nullptr, value, napi_enumerable, nullptr};
  };
  napi_property_descriptor fields[] = {
      field("id", call.number(info_.id)),
      field("type", call.number(info_.type)),
      field("name", call.string(info_.name)),
      field("keySize", call.number(info_.key_size)),
      field("valueSize", call.number(info_.value_size)),
      field("maxEntries", call.number(info_.max_entries)),
      field("flags", call.number(info_.map_flags)),
      field("perCpu", call.boolean(per_cpu())),
  };
  if (napi_define_properties(call.env(), object, sizeof fields / sizeof *fields, fields) != napi_ok) {
    return throw_napi(call.env());
  }
  return object;
}

napi_value Map::lookup(Call& call) {
  Bytes key;
  if (!call.read_sized(call.at(0), "key", info_.key_size, key)) return nullptr;
  std::unique_ptr<uint8_t[]> value(new (std::nothrow) uint8_t[value_room() + 1]());
  if (value == nullptr) return throw_range(call.env(), "There is no memory for the value");
  kernel_may_copy(key.data, info_.key_size);
  kernel_may_copy(value.get(), value_room());
  if (bpf_map_lookup_elem(fd(), key_or_null(key), value.get()) == 0) return call.bytes(value.get(), value_bytes());
  return errno == ENOENT ? call.undefined() : throw_bpf(call.env(), "bpf_map_lookup_elem", errno);
}

napi_value Map::update(Call& call) {
  Bytes key, value;
  uint32_t flags = BPF_ANY;
  if (!call.read_sized(call.at(0), "key", info_.key_size, key) || !read_value(call, call.at(1), value) ||
      (call.has(2) && !call.read(call.at(2), "flags", flags))) {
    return nullptr;
  }
  kernel_may_copy(key.data, info_.key_size);
  kernel_may_copy(value.data, value_room());
  if (bpf_map_update_elem(fd(), key_or_null(key), value.data, flags) == 0) return call.undefined();
  return throw_bpf(call.env(), "bpf_map_update_elem", errno);
}

napi_value Map::update_inner(Call& call) {
  Bytes key;
  if (!of_maps()) return throw_type(call.env(), "This map is not a map of maps");
  if (!call.read_sized(call.at(0), "key", info_.key_size, key)) return nullptr;
  Map* inner = call.handle<Map>(call.at(1), "inner");
  if (inner == nullptr) return nullptr;
  int value = inner->fd();
  kernel_may_copy(key.data, info_.key_size);
  if (bpf_map_update_elem(fd(), key_or_null(key), &value, BPF_ANY) == 0) return call.undefined();
  return throw_bpf(call.env(), "bpf_map_update_elem", errno);
}

napi_value Map::remove(Call& call) {
  Bytes key;
  if (!call.read_sized(call.at(0), "key", info_.key_size, key)) return nullptr;
  kernel_may_copy(key.data, info_.key_size);
  if (bpf_map_delete_elem(fd(), key_or_null(key)) == 0) return call.boolean(true);
  return errno == ENOENT ? call.boolean(false) : throw_bpf(call.env(), "bpf_map_delete_elem", errno);
}

napi_value Map::next_key(Call& call) {
  Bytes key;
  bool first = !call.has(0);
  if (!first && !call.read_sized(call.at(0), "key", info_.key_size, key)) return nullptr;
  std::unique_ptr<uint8_t[]> next(new (std::nothrow) uint8_t[static_cast<size_t>(info_.key_size) + 8]());
  if (next == nullptr) return throw_range(call.env(), "There is no memory for the key");
  if (!first) kernel_may_copy(key.data, info_.key_size);
  kernel_may_copy(next.get(), info_.key_size);
  if (bpf_map_get_next_key(fd(), first ? nullptr : key_or_null(key), next.get()) == 0) {
    return call.bytes(next.get(), info_.key_size);
  }
  return errno == ENOENT ? call.undefined() : throw_bpf(call.env(), "bpf_map_get_next_key", errno);
}

napi_value Map::pin(Call& call) {
  std::string path;
  if (!call.read(call.at(0), "path", path, kPathMax)) return nullptr;
  if (bpf_obj_pin(fd(), path.c_str()) == 0) return call.undefined();
  return throw_bpf(call.env(), "bpf_obj_pin", errno);
}

}  // namespace merlon
