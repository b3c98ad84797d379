/* SPDX-License-Identifier: MIT */
/*
 * The running kernel beside the library. See uffd_pair.h.
 */
#include "support/uffd_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define USER_MODE_ONLY 1
#define BYTES (PAIR_PAGES * MEM_PAGE)
#define OURS_BASE 0x10000000000UL
#define MODES (UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP)
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103
#define RW (PROT_READ | PROT_WRITE)
/* What both sides show of a page without telling frames and slots. */
#define PM_SEEN \
	(SAMARA_PM_MMAP_EXCLUSIVE | SAMARA_PM_UFFD_WP | SAMARA_PM_GUARD | SAMARA_PM_FILE | \
	 SAMARA_PM_SWAP | SAMARA_PM_PRESENT)

static const struct area {
	unsigned long from, to;
	int prot, flags;
	unsigned long long mode; /* 0: not registered */
	bool other;              /* by the other userfaultfd */
} areas[] = {
	{ 0, 16, RW, MAP_PRIVATE | MAP_ANONYMOUS, MODES, false },
	{ 16, 32, RW, MAP_PRIVATE | MAP_ANONYMOUS, 0, false },
	{ 32, 40, RW, MAP_PRIVATE | MAP_ANONYMOUS, UFFDIO_REGISTER_MODE_WP, false },
	{ 40, 44, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, UFFDIO_REGISTER_MODE_MISSING, false },
	{ 44, 52, RW, MAP_PRIVATE | MAP_ANONYMOUS, MODES, true },
	{ 56, 72, RW, MAP_SHARED, MODES | UFFDIO_REGISTER_MODE_MINOR, false },
	{ 72, 88, RW, MAP_PRIVATE, MODES | UFFDIO_REGISTER_MODE_MINOR, false },
	{ 88, 96, RW, MAP_SHARED, 0, false },
};
#define HOLE 52UL
#define HOLE_END 56UL
#define AREAS (sizeof(areas) / sizeof(areas[0]))

/* Of one side, after a step. */
struct seen {
	long ret;
	long long field;
	unsigned long long pm[PAIR_PAGES];
	unsigned long word[PAIR_PAGES]; /* of pages that are there */
};

/* the host ---------------------------------------------------------------------------- */

static long err_of(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int host_uffd(unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);

	if (fd < 0)
		return -1;
	if (!ioctl(fd, UFFDIO_API, &api) && (api.features & UFFD_FEATURE_MOVE))
		return fd;
	close(fd);
	return -1;
}

static void host_map(struct pair *p, const struct area *a, unsigned long long first)
{
	const unsigned long at = p->host.base + a->from * MEM_PAGE;
	const unsigned long len = (a->to - a->from) * MEM_PAGE;
	const bool anon = a->flags & MAP_ANONYMOUS;
	struct uffdio_register reg = { .range = { at, len }, .mode = a->mode };

	assert_ptr_equal(mmap((void *)at, len, a->prot, a->flags | MAP_FIXED, anon ? -1 : p->memfd,
			      (off_t)first),
			 (void *)at);
	(void)!madvise((void *)at, len, MADV_NOHUGEPAGE);
	if (a->mode)
		assert_int_equal(ioctl(a->other ? p->other_fd : p->fd, UFFDIO_REGISTER, &reg), 0);
}

static bool host_open(struct pair *p, unsigned long long features)
{
	const unsigned long source = (PAIR_SOURCE + 1) * MEM_PAGE;
	char *base;

	p->fd = host_uffd(features);
	p->other_fd = host_uffd(features);
	p->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (p->fd < 0 || p->other_fd < 0 || p->pagemap < 0)
		return false;
	p->memfd = memfd_create("pair", MFD_CLOEXEC);
	assert_true(p->memfd >= 0 && !ftruncate(p->memfd, PAIR_FILE_PAGES * MEM_PAGE));
	base = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(base != MAP_FAILED);
	p->host.base = (unsigned long)base;
	base = mmap(NULL, source, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(base != MAP_FAILED);
	for (unsigned long i = 0; i < PAIR_SOURCE; i++)
		memset(base + i * MEM_PAGE, (int)(0x80 + i), MEM_PAGE);
	assert_int_equal(mprotect(base + PAIR_SOURCE * MEM_PAGE, MEM_PAGE, PROT_NONE), 0);
	p->host.source = p->ours.source = (unsigned long)base;
	return true;
}

static long host_fork(void)
{
	int status;
	pid_t pid;

	fflush(stderr);
	pid = fork();
	if (!pid)
		_exit(0);
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return 0;
}

static void host_do(struct pair *p, const struct pair_step *s, struct seen *seen)
{
	char *at = (char *)p->host.base + s->at;
	char bytes[MEM_PAGE];
	union pair_request r;
	unsigned long number;

	seen->field = 0;
	switch (s->what) {
	case PAIR_DONTNEED:
		seen->ret = err_of(madvise(at, s->len, MADV_DONTNEED));
		break;
	case PAIR_GUARD:
		seen->ret = err_of(madvise(at, s->len, GUARD_INSTALL));
		break;
	case PAIR_UNGUARD:
		seen->ret = err_of(madvise(at, s->len, GUARD_REMOVE));
		break;
	case PAIR_PWRITE:
		memset(bytes, (int)s->mode, sizeof(bytes));
		seen->ret = err_of(pwrite(p->memfd, bytes, sizeof(bytes), (off_t)s->at));
		break;
	case PAIR_PUNCH:
		seen->ret = err_of(fallocate(p->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					     (off_t)s->at, (off_t)s->len));
		break;
	case PAIR_FORK:
		seen->ret = host_fork();
		break;
	default:
		number = pair_request_of(&r, &p->host, s);
		seen->ret = err_of(ioctl(p->fd, number, &r));
		seen->field = pair_field_of(&r, s->what);
	}
}

static void host_look(struct pair *p, struct seen *seen)
{
	const off_t at = (off_t)(p->host.base / MEM_PAGE * sizeof(seen->pm[0]));

	assert_int_equal(pread(p->pagemap, seen->pm, sizeof(seen->pm), at), sizeof(seen->pm));
	for (unsigned long i = 0; i < PAIR_PAGES; i++) {
		seen->word[i] = 0;
		if (seen->pm[i] & SAMARA_PM_PRESENT)
			seen->word[i] = *(volatile unsigned long *)(p->host.base + i * MEM_PAGE);
		seen->pm[i] &= PM_SEEN;
	}
}

/* the library ------------------------------------------------------------------------- */

static struct samara_uffd *our_uffd(const struct mem *m, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct samara_uffd *uffd;

	assert_int_equal(samara_uffd_create(m->mm, O_NONBLOCK | USER_MODE_ONLY, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	return uffd;
}

static void our_map(struct pair *p, const struct area *a, unsigned long long first)
{
	const unsigned long at = p->ours.base + a->from * MEM_PAGE;
	const unsigned long len = (a->to - a->from) * MEM_PAGE;
	const bool anon = a->flags & MAP_ANONYMOUS;
	struct uffdio_register reg = { .range = { at, len }, .mode = a->mode };

	assert_int_equal(samara_mmap(p->m.mm, at, len, a->prot, a->flags | MAP_FIXED,
				     anon ? NULL : p->file, first),
			 at);
	if (a->mode)
		assert_int_equal(
			samara_uffd_ioctl(a->other ? p->other : p->uffd, UFFDIO_REGISTER, &reg), 0);
}

static long our_fork(struct pair *p)
{
	struct samara_mm *child;

	assert_int_equal(samara_fork(p->m.mm, &child), 0);
	samara_mm_exit(child);
	return 0;
}

static void our_do(struct pair *p, const struct pair_step *s, struct seen *seen)
{
	const unsigned long at = p->ours.base + s->at;
	char bytes[MEM_PAGE];
	union pair_request r;
	unsigned long number;

	seen->field = 0;
	switch (s->what) {
	case PAIR_DONTNEED:
		seen->ret = samara_madvise(p->m.mm, at, s->len, MADV_DONTNEED);
		break;
	case PAIR_GUARD:
		seen->ret = samara_madvise(p->m.mm, at, s->len, GUARD_INSTALL);
		break;
	case PAIR_UNGUARD:
		seen->ret = samara_madvise(p->m.mm, at, s->len, GUARD_REMOVE);
		break;
	case PAIR_PWRITE:
		memset(bytes, (int)s->mode, sizeof(bytes));
		seen->ret = samara_file_pwrite(p->file, bytes, sizeof(bytes), s->at);
		break;
	case PAIR_PUNCH:
		seen->ret = samara_file_punch_hole(p->file, s->at, s->len);
		break;
	case PAIR_FORK:
		seen->ret = our_fork(p);
		break;
	default:
		number = pair_request_of(&r, &p->ours, s);
		seen->ret = samara_uffd_ioctl(p->uffd, number, &r);
		seen->field = pair_field_of(&r, s->what);
	}
}

static void our_look(struct pair *p, struct seen *seen)
{
	assert_int_equal(samara_pagemap(p->m.mm, p->ours.base, PAIR_PAGES, seen->pm), 0);
	for (unsigned long i = 0; i < PAIR_PAGES; i++) {
		seen->word[i] = 0;
		if (seen->pm[i] & SAMARA_PM_PRESENT)
			memcpy(&seen->word[i], mem_bytes(&p->m, p->ours.base + i * MEM_PAGE),
			       sizeof(seen->word[i]));
		seen->pm[i] &= PM_SEEN;
	}
}

/* both -------------------------------------------------------------------------------- */

static const char *const names[PAIR_WHATS] = {
	"MOVE",     "POISON", "COPY",    "ZEROPAGE", "CONTINUE", "WRITEPROTECT", "write",
	"DONTNEED", "GUARD",  "UNGUARD", "pwrite",   "punch",    "fork",
};

static bool same(const struct pair_step *s, const struct seen *host, const struct seen *ours)
{
	bool equal = host->ret == ours->ret && host->field == ours->field;

	if (!equal)
		fprintf(stderr, "the host answers %ld, field %lld; the library %ld, field %lld\n",
			host->ret, host->field, ours->ret, ours->field);
	for (unsigned long i = 0; i < PAIR_PAGES; i++) {
		if (host->pm[i] == ours->pm[i] && host->word[i] == ours->word[i])
			continue;
		fprintf(stderr, "page %lu: the host has %#llx, %#lx; the library %#llx, %#lx\n", i,
			host->pm[i] >> 55, host->word[i], ours->pm[i] >> 55, ours->word[i]);
		equal = false;
	}
	if (!equal)
		fprintf(stderr, "behind %s at %#lx, len %#lx, from %#lx, mode %#llx\n",
			names[s->what], s->at, s->len, s->from, s->mode);
	return equal;
}

/* May it be written to, and no thread would wait? */
static bool writable(unsigned long page, unsigned long long pm)
{
	for (size_t i = 0; i < AREAS; i++) {
		const struct area *a = &areas[i];

		if (page < a->from || page >= a->to)
			continue;
		if (!(a->prot & PROT_WRITE) || (pm & SAMARA_PM_UFFD_WP))
			return false;
		return (pm & SAMARA_PM_PRESENT) || (!a->mode && !pm);
	}
	return false;
}

static void write_both(struct pair *p, const struct pair_step *s)
{
	const unsigned long last = min((s->at + s->len) / MEM_PAGE, PAIR_PAGES);
	struct seen seen;

	for (unsigned long page = s->at / MEM_PAGE; page < last; page++) {
		const unsigned long word = s->mode << 32 | page;

		host_look(p, &seen);
		if (!writable(page, seen.pm[page]))
			continue;
		*(volatile unsigned long *)(p->host.base + page * MEM_PAGE) = word;
		assert_int_equal(samara_write(p->m.mm, p->ours.base + page * MEM_PAGE, &word,
					      sizeof(word), NULL),
				 sizeof(word));
	}
}

bool pair_has_hole(const struct pair *p)
{
	unsigned char there;

	for (unsigned long page = HOLE; page < HOLE_END; page++)
		if (!mincore((void *)(p->host.base + page * MEM_PAGE), MEM_PAGE, &there))
			return false;
	return true;
}

/*
 * Linux 6.18's MADV_GUARD_INSTALL zaps and tries again as long as an entry is not empty. A page of
 * shared memory that is write-protected leaves a marker, and so it never returns.
 */
static bool hangs(struct pair *p, const struct pair_step *s)
{
	const unsigned long last = min((s->at + s->len) / MEM_PAGE, PAIR_PAGES);
	struct seen seen;

	if (s->what != PAIR_GUARD)
		return false;
	host_look(p, &seen);
	for (unsigned long page = max(s->at / MEM_PAGE, HOLE_END); page < last; page++)
		if (seen.pm[page] & SAMARA_PM_UFFD_WP)
			return true;
	return false;
}

bool pair_do(struct pair *p, const struct pair_step *s)
{
	struct seen host = { 0 }, ours = { 0 };

	if (hangs(p, s))
		return true;
	if (s->what == PAIR_WRITE) {
		write_both(p, s);
	} else {
		host_do(p, s, &host);
		our_do(p, s, &ours);
	}
	host_look(p, &host);
	our_look(p, &ours);
	return same(s, &host, &ours);
}

bool pair_open(struct pair *p, unsigned long long features)
{
	*p = (struct pair){ .fd = -1, .other_fd = -1, .memfd = -1, .pagemap = -1 };
	if (!host_open(p, features))
		return false;
	mem_open(&p->m, 4UL << 20);
	p->ours.base = OURS_BASE;
	p->uffd = our_uffd(&p->m, features);
	p->other = our_uffd(&p->m, features);
	assert_int_equal(
		samara_file_memfd(p->m.machine, "pair", PAIR_FILE_PAGES * MEM_PAGE, &p->file), 0);
	for (size_t i = 0; i < AREAS; i++) {
		host_map(p, &areas[i], 0);
		our_map(p, &areas[i], 0);
	}
	assert_int_equal(
		munmap((void *)(p->host.base + HOLE * MEM_PAGE), (HOLE_END - HOLE) * MEM_PAGE), 0);
	return true;
}

void pair_close(struct pair *p)
{
	const int fds[] = { p->fd, p->other_fd, p->memfd, p->pagemap };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (!p->host.base)
		return;
	/* Not the hole, in which something else may lie by now. */
	munmap((void *)p->host.base, HOLE * MEM_PAGE);
	munmap((void *)(p->host.base + HOLE_END * MEM_PAGE), BYTES - HOLE_END * MEM_PAGE);
	munmap((void *)p->host.source, (PAIR_SOURCE + 1) * MEM_PAGE);
	mem_check(&p->m);
	samara_uffd_put(p->uffd);
	samara_uffd_put(p->other);
	samara_file_put(p->file);
	mem_close(&p->m);
}
