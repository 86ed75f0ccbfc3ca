/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who owns an object, as the mount has it by which it is reached. A mount can give files other owners than their file system does: that is how
 * runtimes mount the volumes of containers with a user namespace. As the kernel's i_uid_into_vfsuid().
 */
#ifndef MERLON_OWNER_H
#define MERLON_OWNER_H

#include "program.bpf.h"

#define MERLON_NOBODY (~0U)
/* UID_GID_MAP_MAX_EXTENTS, UID_GID_MAP_MAX_BASE_EXTENTS of linux/user_namespace.h */
#define MERLON_EXTENTS 340
#define MERLON_BASE_EXTENTS 5

/* The mount's own map of owners; 0: it has none. */
static __always_inline const struct uid_gid_map *merlon_ids_of(const struct vfsmount *vfsmount)
{
	struct user_namespace *ns;
	struct mnt_idmap *ids;

	if (bpf_core_field_exists(vfsmount->mnt_idmap)) {
		ids = vfsmount->mnt_idmap;
		if (bpf_core_field_exists(ids->uid_map))
			return ids->uid_map.nr_extents ? &ids->uid_map : 0;
		ns = ids->owner;
	} else {
		ns = vfsmount->mnt_userns;
	}
	return ns->level ? &ns->uid_map : 0;
}

struct merlon_mapping {
	const struct uid_gid_extent *extents;
	__u32 id;
	bool up; /* from the lower ids to the first ones */
	bool found;
};

static long merlon_map_by_extent(__u32 i, void *context)
{
	struct merlon_mapping *mapping = context;
	struct uid_gid_extent extent = {};
	__u32 from, to;

	if (bpf_probe_read_kernel(&extent, sizeof(extent), mapping->extents + i))
		return 1;
	from = mapping->up ? extent.lower_first : extent.first;
	to = mapping->up ? extent.first : extent.lower_first;
	if (mapping->id < from || mapping->id - from >= extent.count)
		return 0;
	mapping->id = to + (mapping->id - from);
	mapping->found = true;
	return 1;
}

/* MERLON_NOBODY where the map does not have this id. */
static __always_inline __u32 merlon_map_id(const struct uid_gid_map *map, __u32 id, bool up)
{
	struct merlon_mapping mapping = { .id = id, .up = up };
	__u32 count = BPF_CORE_READ(map, nr_extents);

	mapping.extents = count <= MERLON_BASE_EXTENTS ? map->extent : BPF_CORE_READ(map, forward);
	bpf_loop(count < MERLON_EXTENTS ? count : MERLON_EXTENTS, merlon_map_by_extent, &mapping, 0);
	return mapping.found ? mapping.id : MERLON_NOBODY;
}

/* 1 when the task's fsuid owns the inode there. */
static __always_inline __u32 merlon_owns(const struct task_struct *task, const struct inode *inode, const struct vfsmount *vfsmount)
{
	const struct uid_gid_map *ids = merlon_ids_of(vfsmount);
	__u32 owner = inode->i_uid.val;

	if (ids) {
		/* The file system itself may be that of a user namespace. */
		if (inode->i_sb->s_user_ns->level)
			owner = merlon_map_id(&inode->i_sb->s_user_ns->uid_map, owner, true);
		owner = merlon_map_id(ids, owner, false);
	}
	return owner != MERLON_NOBODY && task->cred->fsuid.val == owner;
}

#endif
