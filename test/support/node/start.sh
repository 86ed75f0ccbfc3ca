#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes a guest a node of the cluster on the host: containerd, kubelet, kube-proxy. Their settings are in /results/etc, their logs go to /results.
# Ends when /results/stop is there, or with status 1 when one of them ends before.
cp -r /results/etc/. /etc/
node=$(cat /etc/hostname)
hostname "$node"
echo "127.0.0.1 localhost $node" > /etc/hosts
mkdir -p /var/lib/containerd /var/lib/kubelet
mount -t ext4 -o noatime /dev/vdb /var/lib/containerd || exit
for controller in cpu cpuset memory pids io hugetlb; do echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control; done 2> /dev/null
echo 1 > /proc/sys/net/ipv4/ip_forward
# Debian's alternatives make these links when the package is installed, which this one was not.
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do ln -sf xtables-nft-multi "/usr/sbin/$name"; done
modprobe -a bridge veth br_netfilter nf_conntrack
mark() { read -r uptime rest < /proc/uptime; echo "$uptime $*" >> /results/marks; }

mark started
containerd --config /etc/containerd.toml > /results/containerd.log 2>&1 &
parts=$!
kube kube-proxy --config=/etc/kube-proxy.yaml > /results/kube-proxy.log 2>&1 &
parts="$parts $!"
until ctr version > /dev/null 2>&1; do sleep 0.2; done
mark containerd
kube kubelet --config=/etc/kubelet.yaml --kubeconfig=/etc/kubeconfig --hostname-override="$node" --v=0 > /results/kubelet.log 2>&1 &
parts="$parts $!"

status=0
until [ -e /results/stop ]; do
  for part in $parts; do [ -d "/proc/$part" ] || { mark "a part has ended"; status=1; touch /results/stop; }; done
  sleep 0.5
done
cp -r /var/log/pods /results/pods
dmesg > /results/dmesg.log
exit $status
