// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>

namespace merlon {

namespace {

// The tracepoint's number, from tracefs; -1 with errno.
long tracepoint_id(const std::string& name) {
  for (const char* root : {"/sys/kernel/tracing/events/", "/sys/kernel/debug/tracing/events/"}) {
    FILE* file = fopen((root + name + "/id").c_str(), "re");
    if (file == nullptr) continue;
    char text[32] = "";
    char* read = fgets(text, sizeof text, file);
    fclose(file);
    if (read != nullptr) return strtol(text, nullptr, 10);
  }
  errno = ENOENT;
  return -1;
}

// Links since Linux 5.15; the link holds the perf event, so its descriptor may be closed here.
Descriptor attach_tracepoint(int program, const std::string& section, const char** what) {
  perf_event_attr attr = {};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.size = sizeof attr;
  *what = "tracefs";
  long id = tracepoint_id(section.substr(section.find('/') + 1));
  if (id < 0) return Descriptor();
  attr.config = static_cast<uint64_t>(id);
  *what = "perf_event_open";
  // One event, on any CPU: a tracepoint's program runs for all of them.
  Descriptor event(static_cast<int>(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return Descriptor();
  *what = "bpf_link_create";
  Descriptor link(bpf_link_create(program, event.get(), BPF_PERF_EVENT, nullptr));
  if (link.valid() && ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) {
    *what = "ioctl";
    int error = errno;
    link.reset();
    errno = error;
  }
  return link;
}

Descriptor attach_by_libbpf(bpf_program* program, const char** what) {
  *what = "bpf_program__attach";
  bpf_link* link = bpf_program__attach(program);
  if (link == nullptr) return Descriptor();
  // Of these types the link is the descriptor and nothing else: ours keeps it attached.
  Descriptor fd = Descriptor::duplicate(bpf_link__fd(link));
  int error = errno;
  bpf_link__destroy(link);
  errno = error;
  return fd;
}

}  // namespace

bool Link::define(napi_env env, State* state, napi_value dispose) {
  return define_class(env, state, kKind,
                      {
                          define_method<Link, &Link::pin>("pin"),
                          define_close<Link>("close", nullptr),
                          define_close<Link>(nullptr, dispose),
                      });
}

napi_value Link::attach(Call& call, bpf_program* program) {
  std::string section = bpf_program__section_name(program);
  const char* what = "";
  Descriptor fd;
  Log log;
  switch (bpf_program__type(program)) {
    case BPF_PROG_TYPE_LSM:
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_RAW_TRACEPOINT:
    case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
      fd = attach_by_libbpf(program, &what);
      break;
    case BPF_PROG_TYPE_TRACEPOINT:
      fd = attach_tracepoint(bpf_program__fd(program), section, &what);
      break;
    default:
      return throw_type(call.env(), "A program of section " + section + " cannot be attached");
  }
  if (!fd.valid()) return throw_bpf(call.env(), what, errno, log.text(), section.c_str());
  return wrap(call.env(), kKind, std::unique_ptr<Handle>(new Link(std::move(fd))));
}

napi_value Link::open_pinned(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string path;
  if (!call.read(call.at(0), "path", path, kPathMax)) return nullptr;
  Descriptor fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return throw_bpf(env, "bpf_obj_get", errno);
  if (!fd.is("link")) return throw_bpf(env, "bpf_obj_get", EINVAL, "", "what is pinned there is not a link");
  return wrap(env, kKind, std::unique_ptr<Handle>(new Link(std::move(fd))));
}

napi_value Link::attach_pinned(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string path;
  if (!call.read(call.at(0), "path", path, kPathMax)) return nullptr;
  Descriptor program(bpf_obj_get(path.c_str()));
  if (!program.valid()) return throw_bpf(env, "bpf_obj_get", errno);
  if (!program.is("prog")) return throw_bpf(env, "bpf_obj_get", EINVAL, "", "what is pinned there is not a program");
  // Without a name: of LSM and tracing programs, which know their hook since they were loaded. Of any other type the kernel says EINVAL.
  Descriptor fd(bpf_raw_tracepoint_open(nullptr, program.get()));
  if (!fd.valid()) return throw_bpf(env, "bpf_raw_tracepoint_open", errno);
  return wrap(env, kKind, std::unique_ptr<Handle>(new Link(std::move(fd))));
}

void Link::close(napi_env) {
  closed_ = true;
  fd_.reset();
}

napi_value Link::pin(Call& call) {
  std::string path;
  if (!call.read(call.at(0), "path", path, kPathMax)) return nullptr;
  if (bpf_obj_pin(fd_.get(), path.c_str()) == 0) return call.undefined();
  return throw_bpf(call.env(), "bpf_obj_pin", errno);
}

}  // namespace merlon
