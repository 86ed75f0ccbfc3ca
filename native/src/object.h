// SPDX-License-Identifier: Apache-2.0
#ifndef MERLON_NATIVE_OBJECT_H
#define MERLON_NATIVE_OBJECT_H

#include "call.h"

struct bpf_map;
struct bpf_object;
struct bpf_program;

namespace merlon {

class Object : public Handle {
 public:
  static constexpr Kind kKind = Kind::kObject;

  static bool define(napi_env env, State* state, napi_value dispose);
  static napi_value open(napi_env env, napi_callback_info info);

  void close(napi_env env) override;

 private:
  enum class Phase { kOpened, kLoaded, kFailed };

  explicit Object(bpf_object* object);

  // Each throws where the object is in another phase, or has no such map or program.
  bool expect(Call& call, Phase phase) const;
  bpf_map* find_map(Call& call, const char* what) const;
  bpf_program* find_program(Call& call, const char* what) const;
  bpf_program* find_loaded_program(Call& call) const;

  napi_value list_maps(Call& call);
  napi_value list_programs(Call& call);
  napi_value set_globals(Call& call);
  napi_value set_max_entries(Call& call);
  napi_value set_autoload(Call& call);
  napi_value reuse_map(Call& call);
  napi_value load(Call& call);
  napi_value map(Call& call);
  napi_value attach(Call& call);
  napi_value pin_program(Call& call);
  napi_value test_run(Call& call);

  bpf_object* object_;
  // By their names in the file: bpf_map__reuse_fd() renames a map to what the kernel calls the other one.
  std::vector<std::pair<std::string, bpf_map*>> maps_;
  Phase phase_ = Phase::kOpened;
};

}  // namespace merlon

#endif
