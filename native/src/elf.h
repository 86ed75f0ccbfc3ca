// SPDX-License-Identifier: Apache-2.0
#ifndef MERLON_NATIVE_ELF_H
#define MERLON_NATIVE_ELF_H

#include <cstddef>
#include <cstdint>

namespace merlon {

// What is wrong with a BPF object file's outer structure, or nullptr. Object files are trusted as code is, but a file
// that is cut off or is something else must not reach libbpf, which before 1.6 believes sizes that it reads.
const char* elf_defect(const uint8_t* data, size_t size);

}  // namespace merlon

#endif
