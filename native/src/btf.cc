// SPDX-License-Identifier: Apache-2.0
#include "btf.h"

#include <linux/btf.h>

#include <cstring>
#include <vector>

namespace merlon {

namespace {

constexpr int kDepthMax = 32;  // of typedefs, qualifiers and arrays around one type

// Sections may lie at any offset of the file.
template <typename T>
T read_at(const uint8_t* data) {
  T value;
  memcpy(&value, data, sizeof value);
  return value;
}

// Bytes after the common part; -1: no such kind.
int64_t trailing_bytes(uint32_t kind, uint32_t count) {
  switch (kind) {
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
      return 0;
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return 4;
    case BTF_KIND_ARRAY:
      return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return int64_t{count} * static_cast<int64_t>(sizeof(btf_member));
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return int64_t{count} * 8;
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64:
      return int64_t{count} * 12;
    default:
      return -1;
  }
}

struct Types {
  std::vector<const uint8_t*> at{nullptr};  // type 0 is void and has no bytes
  uint32_t names = 0;

  btf_type type(uint32_t id) const { return read_at<btf_type>(at[id]); }
  uint32_t kind(uint32_t id) const { return id == 0 ? 0U : BTF_INFO_KIND(type(id).info); }
  bool known(uint32_t id) const { return id < at.size(); }

  // Whether names and types that type `id` mentions exist.
  bool sound(uint32_t id) const;
  // What a typedef, a qualifier or an array is of; 0 for others.
  uint32_t wraps(uint32_t id) const;
};

bool Types::sound(uint32_t id) const {
  btf_type type = this->type(id);
  const uint8_t* more = at[id] + sizeof(btf_type);
  uint32_t kind = BTF_INFO_KIND(type.info), count = BTF_INFO_VLEN(type.info);
  if (type.name_off >= names) return false;
  switch (kind) {
    case BTF_KIND_PTR:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
    case BTF_KIND_TYPE_TAG:
      return known(type.type);
    case BTF_KIND_FUNC:
      return known(type.type) && this->kind(type.type) == BTF_KIND_FUNC_PROTO;
    case BTF_KIND_ARRAY:
      return known(read_at<btf_array>(more).type) && known(read_at<btf_array>(more).index_type);
    case BTF_KIND_FUNC_PROTO:
      if (!known(type.type)) return false;
      break;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION) {
      btf_member member = read_at<btf_member>(more + i * sizeof(btf_member));
      if (member.name_off >= names || !known(member.type)) return false;
    } else if (kind == BTF_KIND_FUNC_PROTO) {
      btf_param param = read_at<btf_param>(more + i * sizeof(btf_param));
      if (param.name_off >= names || !known(param.type)) return false;
    } else if (kind == BTF_KIND_DATASEC) {
      uint32_t member = read_at<btf_var_secinfo>(more + i * sizeof(btf_var_secinfo)).type;
      // Functions too: .ksyms.
      if (!known(member) || (this->kind(member) != BTF_KIND_VAR && this->kind(member) != BTF_KIND_FUNC)) return false;
    } else if (kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64) {
      if (read_at<uint32_t>(more + i * (kind == BTF_KIND_ENUM ? 8 : 12)) >= names) return false;
    }
  }
  return true;
}

uint32_t Types::wraps(uint32_t id) const {
  switch (kind(id)) {
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
      return type(id).type;
    case BTF_KIND_ARRAY:
      return read_at<btf_array>(at[id] + sizeof(btf_type)).type;
    default:
      return 0;
  }
}

}  // namespace

const char* btf_defect(const uint8_t* data, size_t size) {
  if (size < sizeof(btf_header)) return "BTF too short";
  btf_header header = read_at<btf_header>(data);
  if (header.magic != BTF_MAGIC || header.version != BTF_VERSION || header.hdr_len != sizeof(btf_header)) {
    return "BTF of another kind";
  }
  uint64_t body = size - sizeof(btf_header);
  if (uint64_t{header.type_off} + header.type_len > body || uint64_t{header.str_off} + header.str_len > body ||
      header.type_off % 4 != 0) {
    return "BTF cut off";
  }
  const char* names = reinterpret_cast<const char*>(data) + sizeof(btf_header) + header.str_off;
  if (header.str_len == 0 || names[0] != '\0' || names[header.str_len - 1] != '\0') return "BTF without proper names";

  Types types;
  types.names = header.str_len;
  const uint8_t* next = data + sizeof(btf_header) + header.type_off;
  uint64_t left = header.type_len;
  while (left > 0) {
    if (left < sizeof(btf_type)) return "BTF type cut off";
    uint32_t info = read_at<btf_type>(next).info;
    int64_t more = trailing_bytes(BTF_INFO_KIND(info), BTF_INFO_VLEN(info));
    if (more < 0) return "BTF type of an unknown kind";
    uint64_t whole = sizeof(btf_type) + static_cast<uint64_t>(more);
    if (left < whole) return "BTF type cut off";
    types.at.push_back(next);
    next += whole;
    left -= whole;
  }
  for (uint32_t id = 1; id < types.at.size(); id++) {
    if (!types.sound(id)) return "BTF names a type that is not there";
  }
  for (uint32_t id = 1; id < types.at.size(); id++) {
    int depth = 0;
    for (uint32_t inner = id; inner != 0; inner = types.wraps(inner)) {
      if (++depth > kDepthMax) return "BTF type contains itself";
    }
  }
  return nullptr;
}

}  // namespace merlon
