/* SPDX-License-Identifier: MIT */
/* See both_maps.h. */
#define _GNU_SOURCE
#include "support/both_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "uffd/uffd.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#define RW (PROT_READ | PROT_WRITE)
#define PATIENT (UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

static const unsigned long long features[BOTH_UFFDS] = {
	[BOTH_ASYNC] = PATIENT | UFFD_FEATURE_WP_ASYNC,
	[BOTH_SYNC] = PATIENT,
};

static void *at(unsigned long i)
{
	return (void *)BOTH_AT(i);
}

static int errno_of(int ret)
{
	return ret < 0 ? -errno : ret;
}

long both_scan_host(struct both *b, struct pm_scan_arg *arg)
{
	return errno_of(ioctl(b->pagemap, PAGEMAP_SCAN, arg));
}

/* Whether a read of untouched anonymous memory shows the zero page. */
static bool host_has_zero_page(struct both *b)
{
	struct page_region region = { 0 };
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = BOTH_BASE,
		.end = BOTH_AT(1),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.return_mask = PAGE_IS_PFNZERO,
	};

	assert_ptr_equal(mmap(at(0), MEM_PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 at(0));
	(void)*(volatile char *)at(0);
	assert_true(both_scan_host(b, &arg) >= 0);
	assert_int_equal(munmap(at(0), MEM_PAGE), 0);
	return region.categories & PAGE_IS_PFNZERO;
}

static const char *why_not(struct both *b)
{
	struct pm_scan_arg arg = { .size = sizeof(arg) };
	void *window;

	b->pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (b->pagemap < 0)
		return "no /proc/self/pagemap";
	if (both_scan_host(b, &arg) < 0)
		return "the kernel has no PAGEMAP_SCAN";
	window = mmap(at(0), BOTH_PAGES * MEM_PAGE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (window != at(0))
		return "the window is not free";
	assert_int_equal(munmap(window, BOTH_PAGES * MEM_PAGE), 0);
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		return "huge pages cannot be disabled";
	return NULL;
}

static int host_uffd(unsigned long long wanted)
{
	struct uffdio_api api = { .api = UFFD_API, .features = wanted };
	const int fd = (int)syscall(SYS_userfaultfd, O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0 || !ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -1;
}

static void open_uffds(struct both *b)
{
	for (int i = 0; i < BOTH_UFFDS; i++) {
		struct uffdio_api api = { .api = UFFD_API, .features = features[i] };

		b->host_uffd[i] = host_uffd(features[i]);
		if (b->host_uffd[i] < 0)
			print_message(
				"without userfaultfds: this host has none of features %#llx\n",
				features[i]);
		assert_int_equal(samara_uffd_create(b->m.mm, O_NONBLOCK, &b->uffd[i]), 0);
		assert_int_equal(samara_uffd_ioctl(b->uffd[i], UFFDIO_API, &api), 0);
	}
}

bool both_begin(struct both *b)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	const char *why = why_not(b);

	if (why) {
		print_message("this host cannot be asked: %s\n", why);
		if (b->pagemap >= 0)
			close(b->pagemap);
		return false;
	}
	cfg.ram_bytes = 32 << 20;
	cfg.flags =
		SAMARA_MACHINE_NO_THP | (host_has_zero_page(b) ? 0 : SAMARA_MACHINE_NO_ZERO_PAGE);
	mem_open_machine(&b->m, &cfg);
	b->memfd = memfd_create("both", 0);
	assert_int_equal(ftruncate(b->memfd, BOTH_PAGES * MEM_PAGE), 0);
	assert_int_equal(samara_file_shmem(b->m.machine, BOTH_PAGES * MEM_PAGE, &b->file), 0);
	open_uffds(b);
	return true;
}

void both_end(struct both *b)
{
	both_unmap(b, 0, BOTH_PAGES);
	for (int i = 0; i < BOTH_UFFDS; i++) {
		samara_uffd_put(b->uffd[i]);
		if (b->host_uffd[i] >= 0)
			close(b->host_uffd[i]);
	}
	samara_file_put(b->file);
	close(b->memfd);
	close(b->pagemap);
	mem_close(&b->m);
}

/* calls ------------------------------------------------------------------------------ */

void both_map(struct both *b, unsigned long i, unsigned long n, enum both_kind kind)
{
	const bool anon = kind == BOTH_ANON || kind == BOTH_SHARED;
	const bool private = kind == BOTH_ANON || kind == BOTH_FILE_PRIVATE;
	const int flags =
		MAP_FIXED | (private ? MAP_PRIVATE : MAP_SHARED) | (anon ? MAP_ANONYMOUS : 0);
	const off_t offset = anon ? 0 : (off_t)(i * MEM_PAGE);

	assert_ptr_equal(mmap(at(i), n * MEM_PAGE, RW, flags, anon ? -1 : b->memfd, offset), at(i));
	assert_int_equal(samara_mmap(b->m.mm, BOTH_AT(i), n * MEM_PAGE, RW, flags,
				     anon ? NULL : b->file, (unsigned long)offset),
			 BOTH_AT(i));
}

void both_unmap(struct both *b, unsigned long i, unsigned long n)
{
	assert_int_equal(munmap(at(i), n * MEM_PAGE), 0);
	assert_int_equal(samara_munmap(b->m.mm, BOTH_AT(i), n * MEM_PAGE), 0);
}

void both_protect(struct both *b, unsigned long i, unsigned long n, int prot)
{
	const int host = errno_of(mprotect(at(i), n * MEM_PAGE, prot));

	assert_int_equal(samara_mprotect(b->m.mm, BOTH_AT(i), n * MEM_PAGE, prot), host);
}

/*
 * Over a page that a userfaultfd protects MADV_GUARD_INSTALL never ends (6.18): the kernel's zap
 * leaves a marker there, which is no place for a guard, and it begins anew.
 */
static bool never_ends(struct both *b, unsigned long i, unsigned long n, int advice)
{
	static unsigned long long entry[BOTH_PAGES];

	if (advice != MADV_GUARD_INSTALL)
		return false;
	assert_int_equal(samara_pagemap(b->m.mm, BOTH_AT(i), n, entry), 0);
	for (unsigned long k = 0; k < n; k++)
		if (entry[k] & SAMARA_PM_UFFD_WP)
			return true;
	return false;
}

void both_advise(struct both *b, unsigned long i, unsigned long n, int advice)
{
	int host;

	if (never_ends(b, i, n, advice))
		return;
	host = errno_of(madvise(at(i), n * MEM_PAGE, advice));
	assert_int_equal(samara_madvise(b->m.mm, BOTH_AT(i), n * MEM_PAGE, advice), host);
}

void both_move(struct both *b, unsigned long i, unsigned long n, unsigned long to)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	void *moved = mremap(at(i), n * MEM_PAGE, n * MEM_PAGE, flags, at(to));
	const unsigned long host =
		moved == MAP_FAILED ? (unsigned long)-errno : (unsigned long)moved;

	assert_int_equal(samara_mremap(b->m.mm, BOTH_AT(i), n * MEM_PAGE, n * MEM_PAGE, flags,
				       BOTH_AT(to)),
			 host);
}

/* Whether an access of page i ends on both sides: no signal, no handler. */
static bool may_access(struct both *b, unsigned long i, unsigned long right)
{
	struct samara_vma_info info;
	unsigned long long entry;

	if (samara_vma_next(b->m.mm, BOTH_AT(i), &info) || info.start > BOTH_AT(i) ||
	    !(info.flags & right))
		return false;
	assert_int_equal(samara_pagemap(b->m.mm, BOTH_AT(i), 1, &entry), 0);
	if (entry & SAMARA_PM_GUARD)
		return false;
	return right == SAMARA_VM_READ || !(info.flags & SAMARA_VM_UFFD_WP) ||
	       !(entry & SAMARA_PM_UFFD_WP) ||
	       uffd_features(mem_vma(&b->m, BOTH_AT(i))->rare.uffd) & UFFD_FEATURE_WP_ASYNC;
}

void both_write(struct both *b, unsigned long i)
{
	if (!may_access(b, i, SAMARA_VM_WRITE))
		return;
	assert_int_equal(samara_write(b->m.mm, BOTH_AT(i), "x", 1, NULL), 1);
	*(volatile char *)at(i) = 'x';
}

/*
 * A read of a file's page maps those around it that are in memory and not locked. The kernel's may
 * be locked just then: what is mapped here is read there too.
 */
static void read_around(struct both *b, unsigned long i)
{
	const unsigned long first = i - i % 16;
	unsigned long long entry[16];

	assert_int_equal(samara_pagemap(b->m.mm, BOTH_AT(first), 16, entry), 0);
	for (unsigned long k = 0; k < 16; k++)
		if ((entry[k] & SAMARA_PM_FILE) && may_access(b, first + k, SAMARA_VM_READ))
			(void)*(volatile char *)at(first + k);
}

void both_read(struct both *b, unsigned long i)
{
	char byte;

	if (!may_access(b, i, SAMARA_VM_READ))
		return;
	assert_int_equal(samara_read(b->m.mm, BOTH_AT(i), &byte, 1, NULL), 1);
	assert_int_equal(*(volatile char *)at(i), byte);
	read_around(b, i);
}

static void same_request(struct both *b, enum both_uffd which, unsigned long request,
			 const void *arg, size_t size)
{
	char host[64], ours[64];
	int ret;

	assert_true(size <= sizeof(host));
	memcpy(host, arg, size);
	memcpy(ours, arg, size);
	if (b->host_uffd[which] < 0)
		return;
	ret = errno_of(ioctl(b->host_uffd[which], request, host));
	assert_int_equal(samara_uffd_ioctl(b->uffd[which], request, ours), ret);
}

void both_register(struct both *b, unsigned long i, unsigned long n, enum both_uffd which)
{
	const struct uffdio_register arg = { .range = { BOTH_AT(i), n * MEM_PAGE },
					     .mode = UFFDIO_REGISTER_MODE_WP };

	same_request(b, which, UFFDIO_REGISTER, &arg, sizeof(arg));
}

void both_unregister(struct both *b, unsigned long i, unsigned long n, enum both_uffd which)
{
	const struct uffdio_range arg = { BOTH_AT(i), n * MEM_PAGE };

	same_request(b, which, UFFDIO_UNREGISTER, &arg, sizeof(arg));
}

void both_writeprotect(struct both *b, unsigned long i, unsigned long n, enum both_uffd which,
		       unsigned long long mode)
{
	const struct uffdio_writeprotect arg = { .range = { BOTH_AT(i), n * MEM_PAGE },
						 .mode = mode };

	same_request(b, which, UFFDIO_WRITEPROTECT, &arg, sizeof(arg));
}
