// SPDX-License-Identifier: Apache-2.0
#ifndef MERLON_NATIVE_BTF_H
#define MERLON_NATIVE_BTF_H

#include <cstddef>
#include <cstdint>

namespace merlon {

// What is wrong with a .BTF section, or nullptr: names and types that are not there, types that contain themselves.
// libbpf 1.1 follows type numbers without looking.
const char* btf_defect(const uint8_t* data, size_t size);

}  // namespace merlon

#endif
