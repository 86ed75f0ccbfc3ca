// SPDX-License-Identifier: Apache-2.0
#include "elf.h"

#include <elf.h>

#include <cstring>

#include "btf.h"

namespace merlon {

namespace {

// `data` is aligned; headers inside the file need not be.
template <typename T>
T read_at(const uint8_t* data, size_t offset) {
  T value;
  memcpy(&value, data + offset, sizeof value);
  return value;
}

bool inside(uint64_t offset, uint64_t length, uint64_t size) { return offset <= size && length <= size - offset; }

const char* symbols_defect(const uint8_t* data, const Elf64_Ehdr& header, const Elf64_Shdr& table) {
  if (table.sh_entsize != sizeof(Elf64_Sym) || table.sh_size % sizeof(Elf64_Sym) != 0) return "bad symbol table";
  for (uint64_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol = read_at<Elf64_Sym>(data, table.sh_offset + at);
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= SHN_LORESERVE) continue;
    if (symbol.st_shndx >= header.e_shnum) return "symbol outside of all sections";
    Elf64_Shdr section = read_at<Elf64_Shdr>(data, header.e_shoff + symbol.st_shndx * sizeof(Elf64_Shdr));
    if (!inside(symbol.st_value, symbol.st_size, section.sh_size)) return "symbol outside of its section";
  }
  return nullptr;
}

// Section names lie in a section of their own.
bool is_named(const uint8_t* data, const Elf64_Shdr& names, const Elf64_Shdr& section, const char* name) {
  size_t length = strlen(name) + 1;
  return names.sh_type == SHT_STRTAB && inside(section.sh_name, length, names.sh_size) &&
         memcmp(data + names.sh_offset + section.sh_name, name, length) == 0;
}

}  // namespace

const char* elf_defect(const uint8_t* data, size_t size) {
  if (size < sizeof(Elf64_Ehdr)) return "too short for an ELF file";
  Elf64_Ehdr header = read_at<Elf64_Ehdr>(data, 0);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "not an ELF file";
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) return "not ELF64, little-endian";
  if (header.e_type != ET_REL || header.e_machine != EM_BPF) return "not a relocatable file for BPF";
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0 || header.e_shstrndx >= header.e_shnum ||
      !inside(header.e_shoff, uint64_t{header.e_shnum} * sizeof(Elf64_Shdr), size)) {
    return "bad section headers";
  }
  for (uint64_t i = 0; i < header.e_shnum; i++) {
    Elf64_Shdr section = read_at<Elf64_Shdr>(data, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_NOBITS && !inside(section.sh_offset, section.sh_size, size)) return "section cut off";
  }
  Elf64_Shdr names = read_at<Elf64_Shdr>(data, header.e_shoff + header.e_shstrndx * sizeof(Elf64_Shdr));
  for (uint64_t i = 0; i < header.e_shnum; i++) {
    Elf64_Shdr section = read_at<Elf64_Shdr>(data, header.e_shoff + i * sizeof(Elf64_Shdr));
    const char* defect = nullptr;
    if (section.sh_type == SHT_SYMTAB) defect = symbols_defect(data, header, section);
    if (section.sh_type == SHT_PROGBITS && is_named(data, names, section, ".BTF")) {
      defect = btf_defect(data + section.sh_offset, section.sh_size);
    }
    if (defect != nullptr) return defect;
  }
  return nullptr;
}

}  // namespace merlon
