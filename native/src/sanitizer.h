// SPDX-License-Identifier: Apache-2.0
// AddressSanitizer does not see what the kernel copies in and out of our memory. In its build this looks for it.
#ifndef MERLON_NATIVE_SANITIZER_H
#define MERLON_NATIVE_SANITIZER_H

#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

#include <cstdio>
#include <cstdlib>
#endif

namespace merlon {

// INVARIANT: all `size` bytes at `data` belong to one allocation.
inline void kernel_may_copy([[maybe_unused]] const void* data, [[maybe_unused]] size_t size) {
#ifdef __SANITIZE_ADDRESS__
  void* bad = data == nullptr || size == 0 ? nullptr : __asan_region_is_poisoned(const_cast<void*>(data), size);
  if (bad == nullptr) return;
  fprintf(stderr, "AddressSanitizer: the kernel would copy %zu bytes at %p, beyond their allocation\n", size, data);
  __asan_describe_address(bad);
  abort();
#endif
}

}  // namespace merlon

#endif
