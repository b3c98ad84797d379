/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "support/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define RW (PROT_READ | PROT_WRITE)
#define SPARE (16 * MEM_PAGE)

/* the kernel's side -------------------------------------------------------------- */

static sigjmp_buf out_of_signal;
static volatile sig_atomic_t may_fault;
static int pagemap_fd = -1;
static bool zero_page; /* the kernel maps one frame where anonymous memory is only read */

static void on_signal(int signo)
{
	if (!may_fault)
		_exit(3);
	siglongjmp(out_of_signal, signo);
}

static long signal_code(int signo)
{
	return signo == SIGSEGV ? -1 : -2;
}

/* A load, or a store of *word; what it gave in place of the word is below 0. */
static long touch(volatile unsigned int *at, const unsigned int *word)
{
	long ret = 0;
	const int signo = sigsetjmp(out_of_signal, 1);

	if (signo) {
		may_fault = 0;
		return signal_code(signo);
	}
	may_fault = 1;
	if (word)
		*at = *word;
	else
		ret = *at;
	may_fault = 0;
	return ret;
}

static long errno_of(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int host_open(unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void host_pagemap(const struct twin *t, uint64_t *to)
{
	const size_t size = TWIN_PAGES * sizeof(*to);

	assert_int_equal(pread(pagemap_fd, to, size, (off_t)(t->base / MEM_PAGE * sizeof(*to))),
			 size);
}

static bool has_zero_page(void)
{
	volatile char *at = mmap(NULL, MEM_PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry = 0;

	(void)*at;
	(void)!pread(pagemap_fd, &entry, sizeof(entry),
		     (off_t)((uintptr_t)at / MEM_PAGE * sizeof(entry)));
	munmap((void *)at, MEM_PAGE);
	return !(entry & SAMARA_PM_MMAP_EXCLUSIVE);
}

bool twin_possible(unsigned long long features)
{
	struct sigaction act = { .sa_handler = on_signal };
	const int fd = host_open(features);

	if (fd < 0 || close(fd))
		return false;
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap_fd < 0)
		return false;
	zero_page = has_zero_page();
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	return true;
}

/* both ------------------------------------------------------------------------------ */

static unsigned long at_page(const struct twin *t, unsigned long page)
{
	return t->base + page * MEM_PAGE;
}

static void *host_page(const struct twin *t, unsigned long page)
{
	return (void *)at_page(t, page);
}

static struct uffdio_range range_of(const struct twin *t, struct pages p)
{
	return (struct uffdio_range){ at_page(t, p.at), p.nr * MEM_PAGE };
}

struct answers twin_register(struct twin *t, struct pages p, unsigned long long mode)
{
	struct uffdio_register host = { .range = range_of(t, p), .mode = mode }, ours = host;

	return (struct answers){ errno_of(ioctl(t->uffd, UFFDIO_REGISTER, &host)),
				 samara_uffd_ioctl(t->ours, UFFDIO_REGISTER, &ours) };
}

struct answers twin_unregister(struct twin *t, struct pages p)
{
	struct uffdio_range host = range_of(t, p), ours = host;

	return (struct answers){ errno_of(ioctl(t->uffd, UFFDIO_UNREGISTER, &host)),
				 samara_uffd_ioctl(t->ours, UFFDIO_UNREGISTER, &ours) };
}

struct answers twin_protect(struct twin *t, struct pages p, unsigned long long mode)
{
	struct uffdio_writeprotect host = { range_of(t, p), mode }, ours = host;

	return (struct answers){ errno_of(ioctl(t->uffd, UFFDIO_WRITEPROTECT, &host)),
				 samara_uffd_ioctl(t->ours, UFFDIO_WRITEPROTECT, &ours) };
}

/* Those of CONTINUE and POISON are laid out as ZEROPAGE's. */
union fill {
	struct uffdio_copy copy;
	struct uffdio_zeropage other;
};

static union fill fill_of(const struct twin *t, struct pages p, unsigned long request,
			  unsigned long long mode)
{
	static unsigned int twos[TWIN_PAGES * MEM_PAGE / sizeof(unsigned int)];
	union fill fill = { 0 };

	memset(twos, 2, sizeof(twos));
	if (request == UFFDIO_COPY)
		fill.copy = (struct uffdio_copy){ .dst = at_page(t, p.at),
						  .src = (uintptr_t)twos,
						  .len = p.nr * MEM_PAGE,
						  .mode = mode };
	else
		fill.other = (struct uffdio_zeropage){ .range = range_of(t, p), .mode = mode };
	return fill;
}

static long field_of(const union fill *fill, unsigned long request, long ret)
{
	const long field =
		request == UFFDIO_COPY ? (long)fill->copy.copy : (long)fill->other.zeropage;

	/* In part: -EAGAIN, and how much. */
	return ret == -EAGAIN ? field : ret ? ret : field;
}

struct answers twin_fill(struct twin *t, struct pages p, unsigned long request,
			 unsigned long long mode)
{
	union fill host = fill_of(t, p, request, mode), ours = host;
	const long host_ret = errno_of(ioctl(t->uffd, request, &host));
	const long ours_ret = samara_uffd_ioctl(t->ours, request, &ours);

	return (struct answers){ field_of(&host, request, host_ret),
				 field_of(&ours, request, ours_ret) };
}

static void uffds_open(struct twin *t)
{
	struct uffdio_api api = { .api = UFFD_API, .features = t->features };

	t->uffd = host_open(t->features);
	assert_true(t->uffd >= 0);
	assert_int_equal(samara_uffd_create(t->mem.mm, O_NONBLOCK, &t->ours), 0);
	assert_int_equal(samara_uffd_ioctl(t->ours, UFFDIO_API, &api), 0);
}

static void uffds_close(struct twin *t)
{
	close(t->uffd);
	samara_uffd_put(t->ours);
}

void twin_reopen(struct twin *t)
{
	uffds_close(t);
	uffds_open(t);
}

bool twin_protects_any(const struct twin *t, struct pages p)
{
	uint64_t host[TWIN_PAGES], all = 0;

	host_pagemap(t, host);
	for (unsigned long page = p.at; page < p.at + p.nr; page++)
		all |= host[page];
	return all & SAMARA_PM_UFFD_WP;
}

struct answers twin_madvise(struct twin *t, struct pages p, int advice)
{
	return (struct answers){ errno_of(madvise(host_page(t, p.at), p.nr * MEM_PAGE, advice)),
				 samara_madvise(t->mem.mm, at_page(t, p.at), p.nr * MEM_PAGE,
						advice) };
}

struct answers twin_mprotect(struct twin *t, struct pages p, int prot)
{
	return (struct answers){ errno_of(mprotect(host_page(t, p.at), p.nr * MEM_PAGE, prot)),
				 samara_mprotect(t->mem.mm, at_page(t, p.at), p.nr * MEM_PAGE,
						 prot) };
}

struct answers twin_truncate(struct twin *t, unsigned long pages)
{
	return (struct answers){ errno_of(ftruncate(t->memfd, (off_t)(pages * MEM_PAGE))),
				 samara_file_set_length(t->file, pages * MEM_PAGE) };
}

static struct answers map_both(struct twin *t, struct pages p, int prot, int flags)
{
	const bool anon = flags & MAP_ANONYMOUS;
	const unsigned long at = at_page(t, p.at), len = p.nr * MEM_PAGE;
	const unsigned long offset = anon ? 0 : p.at % TWIN_PART * MEM_PAGE;

	return (struct answers){ errno_of((long)mmap((void *)at, len, prot, flags,
						     anon ? -1 : t->memfd, (off_t)offset)),
				 (long)samara_mmap(t->mem.mm, at, len, prot, flags,
						   anon ? NULL : t->file, offset) };
}

struct answers twin_map(struct twin *t, struct pages p, enum twin_kind kind)
{
	static const int flags[] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED, MAP_PRIVATE };
	return map_both(t, p, RW, MAP_FIXED | MAP_NORESERVE | flags[kind]);
}

/* No hole stays, in which another thread's memory, or the library's own, could be mapped. */
static bool fill_holes(struct twin *t)
{
	for (unsigned long page = 0; page < TWIN_PAGES; page++) {
		const struct answers a =
			map_both(t, (struct pages){ page, 1 }, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE);

		if (a.host != a.ours)
			return false;
	}
	return true;
}

struct answers twin_mremap(struct twin *t, struct pages p, unsigned long to, int flags)
{
	const unsigned long len = p.nr * MEM_PAGE;
	struct answers a;

	flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	a.host = errno_of((long)mremap(host_page(t, p.at), len, len, flags, host_page(t, to)));
	a.ours = (long)samara_mremap(t->mem.mm, at_page(t, p.at), len, len, flags, at_page(t, to));
	if (!fill_holes(t))
		a.ours = -1000;
	return a;
}

static long ours_touch(struct samara_mm *mm, unsigned long at, const unsigned int *word)
{
	struct samara_fault fault;
	unsigned int is = 0;
	const long done = word ? samara_write(mm, at, word, sizeof(*word), &fault) :
				 samara_read(mm, at, &is, sizeof(is), &fault);

	return done == sizeof(is) ? (long)is : signal_code(fault.signo);
}

struct answers twin_load(struct twin *t, unsigned long page)
{
	return (struct answers){ touch(host_page(t, page), NULL),
				 ours_touch(t->mem.mm, at_page(t, page), NULL) };
}

struct answers twin_store(struct twin *t, unsigned long page, unsigned int word)
{
	return (struct answers){ touch(host_page(t, page), &word),
				 ours_touch(t->mem.mm, at_page(t, page), &word) };
}

/* comparing ----------------------------------------------------------------------- */

static bool same(const char *what, unsigned long page, uint64_t host, uint64_t ours)
{
	if (host != ours)
		fprintf(stderr, "page %lu: %s: %#llx on the host, %#llx here\n", page, what,
			(unsigned long long)host, (unsigned long long)ours);
	return host == ours;
}

static bool same_pagemap(struct twin *t, struct samara_mm *mm, const uint64_t *host)
{
	unsigned long long ours[TWIN_PAGES];
	bool is = true;

	assert_int_equal(samara_pagemap(mm, t->base, TWIN_PAGES, ours), 0);
	for (unsigned long page = 0; page < TWIN_PAGES; page++)
		is &= same("pagemap", page, host[page] & TWIN_BITS, ours[page] & TWIN_BITS);
	return is;
}

bool twin_same(struct twin *t)
{
	uint64_t host[TWIN_PAGES];
	bool is;

	host_pagemap(t, host);
	is = same_pagemap(t, t->mem.mm, host);
	/* Reading what is there changes nothing that is compared. */
	for (unsigned long page = 0; page < TWIN_PAGES && is; page++) {
		if (host[page] & SAMARA_PM_PRESENT) {
			const struct answers a = twin_load(t, page);

			is = same("word", page, (uint64_t)a.host, (uint64_t)a.ours);
		}
	}
	return is;
}

/* What the host's child leaves for its parent. */
struct child {
	uint64_t before[TWIN_PAGES], after[TWIN_PAGES];
	long word[TWIN_PAGES];
};

static void host_child(const struct twin *t, struct child *child)
{
	const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const size_t size = sizeof(child->before);
	const off_t at = (off_t)(t->base / MEM_PAGE * sizeof(uint64_t));
	bool ok = pread(fd, child->before, size, at) == (ssize_t)size;

	for (unsigned long page = 0; page < TWIN_PAGES; page++)
		child->word[page] = touch(host_page(t, page), NULL);
	ok &= pread(fd, child->after, size, at) == (ssize_t)size;
	_exit(ok ? 0 : 1);
}

static struct child *host_fork(const struct twin *t)
{
	struct child *child = mmap(NULL, sizeof(*child), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	assert_ptr_not_equal(child, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		host_child(t, child);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return child;
}

bool twin_fork_same(struct twin *t)
{
	struct child *host = host_fork(t);
	struct samara_mm *ours;
	bool is;

	assert_int_equal(samara_fork(t->mem.mm, &ours), 0);
	is = same_pagemap(t, ours, host->before);
	for (unsigned long page = 0; page < TWIN_PAGES; page++)
		is &= same("child's word", page, (uint64_t)host->word[page],
			   (uint64_t)ours_touch(ours, at_page(t, page), NULL));
	is &= same_pagemap(t, ours, host->after);
	samara_mm_exit(ours);
	munmap(host, sizeof(*host));
	return is;
}

/* life -------------------------------------------------------------------------------- */

void twin_begin(struct twin *t, unsigned long long features)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	char *place;

	cfg.ram_bytes = 8UL << 20;
	cfg.flags = SAMARA_MACHINE_NO_THP | (zero_page ? 0 : SAMARA_MACHINE_NO_ZERO_PAGE);
	mem_open_machine(&t->mem, &cfg);
	place = mmap(NULL, TWIN_PAGES * MEM_PAGE + 2 * SPARE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(place, MAP_FAILED);
	t->base = (unsigned long)place + SPARE;
	assert_int_equal(samara_mmap(t->mem.mm, t->base - SPARE, TWIN_PAGES * MEM_PAGE + 2 * SPARE,
				     PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, NULL,
				     0),
			 t->base - SPARE);
	t->memfd = memfd_create("twin", MFD_CLOEXEC);
	assert_true(t->memfd >= 0 && !ftruncate(t->memfd, TWIN_PART * MEM_PAGE));
	assert_int_equal(samara_file_memfd(t->mem.machine, "twin", TWIN_PART * MEM_PAGE, &t->file),
			 0);
	for (enum twin_kind kind = TWIN_ANON; kind <= TWIN_PRIVATE; kind++) {
		const struct answers a =
			twin_map(t, (struct pages){ kind * TWIN_PART, TWIN_PART }, kind);

		assert_int_equal(a.host, a.ours);
	}
	t->features = features;
	uffds_open(t);
}

void twin_end(struct twin *t)
{
	mem_check(&t->mem);
	uffds_close(t);
	mem_check(&t->mem);
	munmap((void *)(t->base - SPARE), TWIN_PAGES * MEM_PAGE + 2 * SPARE);
	close(t->memfd);
	samara_file_put(t->file);
	mem_close(&t->mem);
}
