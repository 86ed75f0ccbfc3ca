// SPDX-License-Identifier: Apache-2.0
#include "object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

#include "elf.h"
#include "link.h"
#include "map.h"

namespace merlon {

namespace {

// .rodata and the like have a mangled name (`object.rodata`) in the kernel; JavaScript knows them by their section.
const char* map_name(const bpf_map* map) {
  const char* name = bpf_map__name(map);
  const char* dot = bpf_map__is_internal(map) ? strrchr(name, '.') : nullptr;
  return dot != nullptr && name[0] != '.' ? dot : name;
}

}  // namespace

bool Object::define(napi_env env, State* state, napi_value dispose) {
  return define_class(env, state, kKind,
                      {
                          define_getter<Object, &Object::list_maps>("maps"),
                          define_getter<Object, &Object::list_programs>("programs"),
                          define_method<Object, &Object::set_globals>("setGlobals"),
                          define_method<Object, &Object::set_max_entries>("setMaxEntries"),
                          define_method<Object, &Object::set_autoload>("setAutoload"),
                          define_method<Object, &Object::reuse_map>("reuseMap"),
                          define_method<Object, &Object::load>("load"),
                          define_method<Object, &Object::map>("map"),
                          define_method<Object, &Object::attach>("attach"),
                          define_method<Object, &Object::pin_program>("pinProgram"),
                          define_method<Object, &Object::test_run>("testRun"),
                          define_close<Object>("close", nullptr),
                          define_close<Object>(nullptr, dispose),
                      });
}

napi_value Object::open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  LIBBPF_OPTS(bpf_object_open_opts, opts);
  std::string name = "object", btf;
  if (call.has(1)) {
    napi_value name_value, btf_value;
    if (!call.read_options(call.at(1), "options") || !call.property(call.at(1), "name", name_value) ||
        !call.property(call.at(1), "btf", btf_value) ||
        (!call.is_undefined(name_value) && !call.read(name_value, "name", name, kNameMax)) ||
        (!call.is_undefined(btf_value) && !call.read(btf_value, "btf", btf, kPathMax))) {
      return nullptr;
    }
  }
  // After the options, whose getters may detach the buffer.
  Bytes bytes;
  if (!call.read(call.at(0), "bytes", bytes)) return nullptr;
  // A copy: aligned, and libelf may write into it. Needed only while it is opened.
  std::unique_ptr<uint8_t[]> copy(new (std::nothrow) uint8_t[bytes.size + 1]);
  if (copy == nullptr) return throw_range(env, "There is no memory for the object");
  if (bytes.size > 0) memcpy(copy.get(), bytes.data, bytes.size);
  if (const char* defect = elf_defect(copy.get(), bytes.size)) {
    return throw_bpf(env, "bpf_object__open_mem", LIBBPF_ERRNO__FORMAT, "", defect);
  }
  opts.object_name = name.c_str();
  if (!btf.empty()) opts.btf_custom_path = btf.c_str();
  Log log;
  bpf_object* object = bpf_object__open_mem(copy.get(), bytes.size, &opts);
  if (object == nullptr) return throw_bpf(env, "bpf_object__open_mem", errno, log.text());
  return wrap(env, kKind, std::unique_ptr<Handle>(new Object(object)));
}

Object::Object(bpf_object* object) : object_(object) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) maps_.emplace_back(map_name(map), map);
}

void Object::close(napi_env) {
  closed_ = true;
  maps_.clear();
  if (object_ != nullptr) bpf_object__close(object_);
  object_ = nullptr;
}

bool Object::expect(Call& call, Phase phase) const {
  if (phase_ == phase) return true;
  const char* message = phase_ == Phase::kFailed   ? "This BpfObject could not be loaded: open it again"
                        : phase == Phase::kOpened ? "This BpfObject has been loaded: too late to change it"
                                                  : "This BpfObject has not been loaded yet: call load() first";
  throw_state(call.env(), "MERLON_NATIVE_PHASE", message);
  return false;
}

bpf_map* Object::find_map(Call& call, const char* what) const {
  std::string name;
  if (!call.read(call.at(0), what, name, kNameMax)) return nullptr;
  for (const auto& [known, map] : maps_) {
    if (name == known) return map;
  }
  throw_range(call.env(), std::string("This BpfObject has no ") + what + " " + name);
  return nullptr;
}

bpf_program* Object::find_program(Call& call, const char* what) const {
  std::string name;
  if (!call.read(call.at(0), what, name, kNameMax)) return nullptr;
  bpf_program* program = bpf_object__find_program_by_name(object_, name.c_str());
  if (program == nullptr) throw_range(call.env(), std::string("This BpfObject has no ") + what + " " + name);
  return program;
}

bpf_program* Object::find_loaded_program(Call& call) const {
  if (!expect(call, Phase::kLoaded)) return nullptr;
  bpf_program* program = find_program(call, "program");
  if (program == nullptr || bpf_program__fd(program) >= 0) return program;
  throw_range(call.env(), std::string("Program ") + bpf_program__name(program) + " was not loaded (setAutoload)");
  return nullptr;
}

napi_value Object::list_maps(Call& call) {
  napi_value list;
  if (napi_create_array(call.env(), &list) != napi_ok) return throw_napi(call.env());
  uint32_t index = 0;
  for (const auto& [name, map] : maps_) {
    if (napi_set_element(call.env(), list, index++, call.string(name.c_str())) != napi_ok) return throw_napi(call.env());
  }
  return list;
}

napi_value Object::list_programs(Call& call) {
  napi_env env = call.env();
  napi_value list, item;
  if (napi_create_array(env, &list) != napi_ok) return throw_napi(env);
  uint32_t index = 0;
  bpf_program* program;
  bpf_object__for_each_program(program, object_) {
    if (napi_create_object(env, &item) != napi_ok ||
        napi_set_named_property(env, item, "name", call.string(bpf_program__name(program))) != napi_ok ||
        napi_set_named_property(env, item, "section", call.string(bpf_program__section_name(program))) != napi_ok ||
        napi_set_element(env, list, index++, item) != napi_ok) {
      return throw_napi(env);
    }
  }
  return list;
}

napi_value Object::set_globals(Call& call) {
  bpf_map* map = find_map(call, "section");
  uint32_t offset;
  Bytes bytes;
  if (map == nullptr || !call.read(call.at(1), "offset", offset) || !call.read(call.at(2), "bytes", bytes) ||
      !expect(call, Phase::kOpened)) {
    return nullptr;
  }
  size_t size = 0;
  void* data = bpf_map__is_internal(map) ? const_cast<void*>(bpf_map__initial_value(map, &size)) : nullptr;
  if (data == nullptr) return throw_range(call.env(), std::string(map_name(map)) + " is not a global data section");
  if (offset > size || bytes.size > size - offset) {
    return throw_range(call.env(), std::string(map_name(map)) + " has " + std::to_string(size) + " bytes: there are no " +
                                       std::to_string(bytes.size) + " at " + std::to_string(offset));
  }
  if (bytes.size > 0) memcpy(static_cast<uint8_t*>(data) + offset, bytes.data, bytes.size);
  return call.undefined();
}

napi_value Object::set_max_entries(Call& call) {
  bpf_map* map = find_map(call, "map");
  uint32_t entries;
  if (map == nullptr || !call.read(call.at(1), "maxEntries", entries) || !expect(call, Phase::kOpened)) return nullptr;
  // libbpf unmaps as many bytes as the map's size says then, whatever it has mapped.
  if (bpf_map__is_internal(map)) return throw_range(call.env(), "A global data section has one entry");
  int error = bpf_map__set_max_entries(map, entries);
  return error == 0 ? call.undefined() : throw_bpf(call.env(), "bpf_map__set_max_entries", -error);
}

napi_value Object::set_autoload(Call& call) {
  bpf_program* program = find_program(call, "program");
  bool load;
  if (program == nullptr || !call.read(call.at(1), "load", load) || !expect(call, Phase::kOpened)) return nullptr;
  int error = bpf_program__set_autoload(program, load);
  return error == 0 ? call.undefined() : throw_bpf(call.env(), "bpf_program__set_autoload", -error);
}

napi_value Object::reuse_map(Call& call) {
  bpf_map* map = find_map(call, "map");
  if (map == nullptr) return nullptr;
  Map* existing = call.handle<Map>(call.at(1), "existing");
  if (existing == nullptr || !expect(call, Phase::kOpened)) return nullptr;
  const bpf_map_info& info = existing->info();
  // libbpf takes over the sizes of whatever it is given, also for a section that it has mapped with its own.
  if (bpf_map__is_internal(map) || bpf_map__type(map) != info.type || bpf_map__key_size(map) != info.key_size ||
      bpf_map__value_size(map) != info.value_size) {
    return throw_range(call.env(), std::string("The existing map is not of the type and sizes of ") + map_name(map));
  }
  Log log;
  int error = bpf_map__reuse_fd(map, existing->fd());
  return error == 0 ? call.undefined() : throw_bpf(call.env(), "bpf_map__reuse_fd", -error, log.text());
}

napi_value Object::load(Call& call) {
  if (!expect(call, Phase::kOpened)) return nullptr;
  Log log;
  int error = bpf_object__load(object_);
  phase_ = error == 0 ? Phase::kLoaded : Phase::kFailed;
  return error == 0 ? call.undefined() : throw_bpf(call.env(), "bpf_object__load", -error, log.text());
}

napi_value Object::map(Call& call) {
  bpf_map* map = expect(call, Phase::kLoaded) ? find_map(call, "map") : nullptr;
  if (map == nullptr) return nullptr;
  Descriptor fd = Descriptor::duplicate(bpf_map__fd(map));
  return fd.valid() ? Map::from(call, std::move(fd)) : throw_bpf(call.env(), "bpf_map__fd", errno);
}

napi_value Object::attach(Call& call) {
  bpf_program* program = find_loaded_program(call);
  return program == nullptr ? nullptr : Link::attach(call, program);
}

napi_value Object::pin_program(Call& call) {
  bpf_program* program = find_loaded_program(call);
  std::string path;
  if (program == nullptr || !call.read(call.at(1), "path", path, kPathMax)) return nullptr;
  if (bpf_obj_pin(bpf_program__fd(program), path.c_str()) == 0) return call.undefined();
  return throw_bpf(call.env(), "bpf_obj_pin", errno);
}

napi_value Object::test_run(Call& call) {
  bpf_program* program = find_loaded_program(call);
  Bytes input;
  if (program == nullptr || !call.read(call.at(1), "input", input)) return nullptr;
  if (input.size > UINT32_MAX) return throw_range(call.env(), "input is too long");
  // A copy: the kernel writes a syscall program's context back.
  std::unique_ptr<uint8_t[]> copy(new (std::nothrow) uint8_t[input.size + 1]);
  if (copy == nullptr) return throw_range(call.env(), "There is no memory for the input");
  if (input.size > 0) memcpy(copy.get(), input.data, input.size);
  void* data = input.size > 0 ? copy.get() : nullptr;
  uint32_t size = static_cast<uint32_t>(input.size);

  LIBBPF_OPTS(bpf_test_run_opts, opts);
  bpf_prog_type type = bpf_program__type(program);
  if (type == BPF_PROG_TYPE_RAW_TRACEPOINT || type == BPF_PROG_TYPE_SYSCALL) {
    opts.ctx_in = data;
    opts.ctx_size_in = size;
  } else {
    opts.data_in = data;
    opts.data_size_in = size;
  }
  if (bpf_prog_test_run_opts(bpf_program__fd(program), &opts) == 0) return call.number(opts.retval);
  return throw_bpf(call.env(), "bpf_prog_test_run", errno);
}

}  // namespace merlon
