// SPDX-License-Identifier: Apache-2.0
#ifndef MERLON_NATIVE_LINK_H
#define MERLON_NATIVE_LINK_H

#include "call.h"
#include "descriptor.h"

struct bpf_program;

namespace merlon {

// A program's attachment. Only a descriptor: libbpf's own link of a tracepoint would disable the event when it is
// destroyed, pinned or not.
class Link : public Handle {
 public:
  static constexpr Kind kKind = Kind::kLink;

  static bool define(napi_env env, State* state, napi_value dispose);
  static napi_value open_pinned(napi_env env, napi_callback_info info);
  static napi_value attach_pinned(napi_env env, napi_callback_info info);
  static napi_value attach(Call& call, bpf_program* program);

  void close(napi_env env) override;

 private:
  explicit Link(Descriptor fd) : fd_(std::move(fd)) {}

  napi_value pin(Call& call);

  Descriptor fd_;
};

}  // namespace merlon

#endif
