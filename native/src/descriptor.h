// SPDX-License-Identifier: Apache-2.0
// File descriptors of the kernel's BPF objects.
#ifndef MERLON_NATIVE_DESCRIPTOR_H
#define MERLON_NATIVE_DESCRIPTOR_H

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <utility>

namespace merlon {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

  // A descriptor of our own, so that libbpf's may be closed before or after; errno tells why it is not valid.
  static Descriptor duplicate(int fd) { return Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

  // What bpf(2) made: map, prog, link. BPF_OBJ_GET_INFO_BY_FD answers for all of them and does not say which.
  bool is(const char* kind) const {
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd_);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = '\0';
    // anon_inode:bpf-map; a link is bpf_link or bpf-link, as it was made or opened from a pin.
    const char* name = strstr(target, ":bpf");
    return name != nullptr && strcmp(name + 5, kind) == 0;
  }

 private:
  int fd_;
};

}  // namespace merlon

#endif
