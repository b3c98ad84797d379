/* SPDX-License-Identifier: MIT */
/*
 * The library's side of the check: an mm that begins as the host's child does,
 * and what each call does to it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "check/gen.h"
#include "check/pattern.h"

int ours_open(struct ours *o, const struct settings *set)
{
	int err;

	*o = (struct ours){ .set = *set,
			    .begin.caps = set->found.facts.process.caps,
			    .text.fd = -1,
			    .swap.fd = -1 };
	err = files_open(&o->files);
	if (!err)
		err = ours_build_machine(o);
	if (err)
		return err;
	o->text.fd = memfd_create("text", MFD_CLOEXEC);
	o->seen = calloc(MAX_OPS, sizeof(*o->seen));
	o->text.size = 1 << 20;
	o->text.at = malloc(o->text.size);
	return o->text.fd < 0 || !o->seen || !o->text.at ? -ENOMEM : 0;
}

void ours_close(struct ours *o)
{
	ours_lanes_close(o);
	ours_swap_close(o);
	files_put(&o->files);
	files_close(&o->files);
	if (o->machine)
		samara_machine_destroy(o->machine);
	if (o->text.fd >= 0)
		close(o->text.fd);
	free(o->seen);
	free(o->text.at);
	free(o->begin.map);
}

/* One line of the child's map as a mapping of ours. */
static int install_line(struct ours *o, const char *line)
{
	struct samara_file_identity id = { .size = sizeof(id) };
	struct samara_mapping m = { 0 };
	char perms[5], name[128];
	int err;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %127[^\n]", &m.start, &m.end, perms, &m.offset,
		   &id.dev_major, &id.dev_minor, &id.ino, name) != 8)
		return -EINVAL;
	if (m.start >= samara_geometry_x86_64()->task_size)
		return 0;
	m.prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
		 (perms[2] == 'x' ? PROT_EXEC : 0);
	m.flags = perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	id.name = name;
	id.flags = SAMARA_FILE_SHMEM;
	err = samara_file_named(o->machine, &id, &m.file);
	if (err)
		return err;
	err = samara_mm_install(o->mm, &m);
	samara_file_put(m.file);
	return err;
}

static int install_child(struct ours *o)
{
	static const char usual[] =
		"00400000-00402000 r-xp 00000000 00:01 1 /memfd:samara-check (deleted)\n"
		"10000000-10800000 rw-s 00000000 00:01 2 /memfd:samara-arena (deleted)\n";
	const char *at = o->begin.map ? o->begin.map : usual;
	int err = 0;

	while (!err && *at) {
		err = install_line(o, at);
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return err;
}

/* A fresh mm, as the child is. 0 or -errno. */
int ours_begin(struct ours *o)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	int err = files_reset(o);

	if (!err && o->begin.lanes)
		err = ours_lanes_begin(o);
	if (!err)
		err = samara_mm_create(o->machine, &o->mm);
	if (err)
		return err;
	o->procs.now = 0;
	o->procs.at[o->procs.n++] = (struct proc){ .mm = o->mm };
	o->swap.may = o->swap.dropped = false;
	o->text.len = 0;
	o->crowd = false;
	o->broken = (struct samara_report){ 0 };
	ours_places(o, &layout);
	layout.start_code = WIRE_TEXT;
	layout.end_code = layout.start_data = WIRE_TEXT + WIRE_TEXT_SIZE;
	layout.end_data = layout.start_data + 1;
	layout.start_brk = layout.brk = WIRE_BRK;
	layout.start_stack = 0x7ffffffde000;
	err = samara_set_layout(o->mm, &layout);
	if (!err)
		err = install_child(o);
	for (size_t i = 0; !err && i < sizeof(start_limits) / sizeof(start_limits[0]); i++) {
		struct rlimit limit;

		start_limit(start_limits[i], &limit);
		err = samara_set_rlimit(o->mm, start_limits[i], limit.rlim_cur, limit.rlim_max);
	}
	samara_set_caps(o->mm, o->begin.caps);
	return err;
}

void ours_end(struct ours *o)
{
	ours_lanes_end(o);
	while (o->procs.n)
		samara_mm_exit(o->procs.at[--o->procs.n].mm);
	o->mm = NULL;
	ours_swap_off(o);
}

long ours_switch_to(struct ours *o, uint64_t nr)
{
	if (nr >= o->procs.n)
		return -ESRCH;
	o->procs.now = (unsigned int)nr;
	o->mm = o->procs.at[nr].mm;
	return 0;
}

/* Both remain; the sequence goes on as one of them. */
static long fork_and_go_on(struct ours *o, bool as_child)
{
	struct proc *child = &o->procs.at[o->procs.n];
	int err;

	if (o->procs.n == ARRAY_SIZE(o->procs.at))
		return -EAGAIN;
	*child = o->procs.at[o->procs.now];
	err = samara_fork(o->mm, &child->mm);
	if (err)
		return err;
	o->procs.n++;
	return as_child ? ours_switch_to(o, o->procs.n - 1) : 0;
}

static long map_crowd(struct ours *o, unsigned long at, unsigned long n)
{
	long ret = 0;

	o->crowd = true;
	for (; n && !SAMARA_IS_ERR_VALUE(ret); n--, at += PAGE)
		ret = (long)samara_mmap(o->mm, at, PAGE, n & 1 ? PROT_READ : PROT_NONE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	return SAMARA_IS_ERR_VALUE(ret) ? ret : 0;
}

struct samara_file *ours_file(const struct ours *o, uint64_t fd)
{
	return fd - WIRE_FD_FILE < FILES ? o->files.file[fd - WIRE_FD_FILE] : NULL;
}

/* A byte that the kernel writes or reads for a program: no signal stops it. */
static long by_kernel(struct ours *o, const struct wire_op *op)
{
	struct samara_fault fault;
	char byte = 0;
	const long ret = op->nr == OP_TOUCH ? samara_write(o->mm, op->arg[0], &byte, 1, &fault) :
					      samara_read(o->mm, op->arg[0], &byte, 1, &fault);

	return ret ? ret : -EFAULT;
}

/* Calls that are about the process rather than about a range. */
static long perform_odd(struct ours *o, const struct wire_op *op)
{
	const uint64_t *a = op->arg;
	int err;

	switch (op->nr) {
	case OP_TOUCH:
		if (o->begin.lanes)
			return by_kernel(o, op);
		err = samara_touch(o->mm, a[0], 1, PROT_WRITE);
		return err ? err : samara_write(o->mm, a[0], "", 1, &o->fault);
	case OP_READ:
		if (o->begin.lanes)
			return by_kernel(o, op);
		err = samara_touch(o->mm, a[0], 1, PROT_READ);
		return err ? err : 1;
	case OP_CROWD:
		return map_crowd(o, a[0], a[1]);
	case OP_DROP_CAPS:
		samara_set_caps(o->mm, 0);
		o->procs.at[o->procs.now].dropped = true;
		return 0;
	case OP_RLIMIT:
		return samara_set_rlimit(o->mm, (int)a[0], a[1], hard_limit((int)a[0]));
	case OP_FORK:
	case OP_FORK_STAY:
		return fork_and_go_on(o, op->nr == OP_FORK);
	case OP_SWITCH:
		return ours_switch_to(o, a[0]);
	case SYS_swapon:
		return ours_swapon(o, (unsigned int)a[0]);
	case SYS_swapoff:
		return ours_swapoff(o);
	case SYS_ftruncate:
		return samara_file_set_length(ours_file(o, a[0]), a[1]);
	default:
		return ours_access(o, op);
	}
}

static unsigned char vec[WIRE_SCRATCH]; /* mincore's, which does not sleep */

static long perform(struct ours *o, const struct wire_op *op)
{
	struct samara_mm *mm = o->mm;
	const uint64_t *a = op->arg;

	switch (call_of(op->nr)) {
	case CALL_MMAP:
		return (long)samara_mmap(mm, a[0], a[1], (int)a[2], (int)a[3], ours_file(o, a[4]),
					 a[5]);
	case CALL_MUNMAP:
		return samara_munmap(mm, a[0], a[1]);
	case CALL_MPROTECT:
		return samara_mprotect(mm, a[0], a[1], (int)a[2]);
	case CALL_MREMAP:
		return (long)samara_mremap(mm, a[0], a[1], a[2], (int)a[3], a[4]);
	case CALL_MADVISE:
		return samara_madvise(mm, a[0], a[1], (int)a[2]);
	case CALL_MLOCK:
		return samara_mlock(mm, a[0], a[1]);
	case CALL_MLOCK2:
		return samara_mlock2(mm, a[0], a[1], (int)a[2]);
	case CALL_MUNLOCK:
		return samara_munlock(mm, a[0], a[1]);
	case CALL_MLOCKALL:
		return samara_mlockall(mm, (int)a[0]);
	case CALL_MUNLOCKALL:
		return samara_munlockall(mm);
	case CALL_MSEAL:
		return samara_mseal(mm, a[0], a[1], a[2]);
	case CALL_MSYNC:
		return samara_msync(mm, a[0], a[1], (int)a[2]);
	case CALL_MINCORE:
		return samara_mincore(mm, a[0], a[1], a[2] ? vec : NULL);
	case CALL_REMAP_FILE_PAGES:
		return samara_remap_file_pages(mm, a[0], a[1], (int)a[2], a[3], (int)a[4]);
	case CALL_BRK:
		return (long)samara_brk(mm, a[0]);
	default:
		return perform_odd(o, op);
	}
}

long ours_perform(struct ours *o, const struct wire_op *op, int64_t *sum)
{
	const long ret = perform(o, op);

	if ((op->look & LOOK_VEC) && !ret)
		*sum = sum_of_vector(vec, (op->arg[1] + PAGE - 1) / PAGE);
	return ret;
}

char *ours_room(struct ours *o, size_t len)
{
	while (o->text.size - o->text.len < len) {
		char *more = realloc(o->text.at, o->text.size * 2);

		if (!more)
			return NULL;
		o->text.at = more;
		o->text.size *= 2;
	}
	return o->text.at + o->text.len;
}

/* Lines of mappings in the crowd taken out of a map. The length that is left. */
static size_t without_crowd(char *text, size_t len)
{
	char *to = text, *at = text, *const end = text + len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const size_t line = (size_t)((newline ? newline + 1 : end) - at);

		if (strtoul(at, NULL, 16) - WIRE_CROWD >= WIRE_CROWD_END - WIRE_CROWD) {
			memmove(to, at, line);
			to += line;
		}
		at += line;
	}
	return (size_t)(to - text);
}

static int keep_map(struct ours *o, struct seen *seen, const struct seen *before)
{
	off_t len;
	char *to;
	int err;

	if (lseek(o->text.fd, 0, SEEK_SET))
		return -errno;
	err = samara_print_maps(o->mm, o->text.fd);
	len = lseek(o->text.fd, 0, SEEK_CUR);
	if (err || len < 0)
		return err ? err : -errno;
	to = ours_room(o, (size_t)len);
	if (!to || pread(o->text.fd, to, (size_t)len, 0) != len)
		return -ENOMEM;
	if (o->crowd)
		len = (off_t)without_crowd(to, (size_t)len);
	seen->text_at = o->text.len;
	seen->text_len = (size_t)len;
	if (before && before->text_len == (size_t)len &&
	    !memcmp(o->text.at + before->text_at, to, (size_t)len))
		seen->text_at = before->text_at;
	else
		o->text.len += (size_t)len;
	return 0;
}

static int keep_flags_of(struct ours *o, const struct samara_vma_info *vma)
{
	char *to = ours_room(o, 256);
	const int len = to ? samara_vm_flags_text(vma->flags, to, 255) : -ENOMEM;

	if (len < 0)
		return len;
	to[len] = '\n';
	o->text.len += (size_t)len + 1;
	return 0;
}

static int keep_flags(struct ours *o, struct seen *seen)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };
	struct samara_vma_info vma = { 0 };
	int err = 0;

	seen->flags_at = o->text.len;
	while (!err && samara_vma_next(o->mm, vma.end, &vma) == 0)
		err = keep_flags_of(o, &vma);
	if (!err && samara_gate_info(o->mm, &vma) == 0)
		err = keep_flags_of(o, &vma);
	if (err)
		return err;
	seen->flags_len = o->text.len - seen->flags_at;
	err = samara_mm_stats(o->mm, &stats);
	seen->total[TOTAL_SIZE] = (long)stats.total_vm * 4;
	seen->total[TOTAL_LCK] = (long)stats.locked_vm * 4;
	seen->total[TOTAL_DATA] = (long)stats.data_vm * 4;
	seen->total[TOTAL_STK] = (long)stats.stack_vm * 4;
	seen->total[TOTAL_EXEC] = (long)stats.exec_vm * 4;
	return err ? err : samara_mm_validate(o->mm, &o->broken);
}

static int do_now(struct ours *o, const struct wire_op *op, struct seen *seen)
{
	int64_t sum = 0;

	o->fault = (struct samara_fault){ 0 };
	ours_leave(o, op);
	*seen = (struct seen){ .ret = ours_perform(o, op, &sum) };
	seen->vec = sum;
	seen->fault = o->fault;
	if (seen->fault.code == SI_KERNEL)
		seen->fault.addr = 0; /* as si_addr */
	return 0;
}

int ours_do(struct ours *o, struct wire_op *op, unsigned int i)
{
	struct seen *seen = &o->seen[i];
	int err = o->begin.lanes ? ours_lanes_do(o, op, seen) : do_now(o, op, seen);

	if (!err)
		err = keep_map(o, seen, i ? seen - 1 : NULL);
	if (!err)
		err = ours_keep_left(o, op, seen);
	if (!err && (op->look & LOOK_FLAGS))
		err = keep_flags(o, seen);
	if (!err && (op->look & LOOK_PAGES))
		err = ours_keep_pages(o, seen);
	return err;
}
