/* SPDX-License-Identifier: MIT */
/*
 * What kind of kernel the host runs, measured by a process that does what the check's child will
 * do and looks at what came of it. It drops its capabilities on the way and is gone afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/check.h"
#include "check/facts.h"

#define HUGE_PAGE (2UL << 20)
#define SIZE_2M (21 << 26)
#define SIZE_1G (30 << 26)
#define NOREPLACE 0x100000
#define FAR 0x300000000000UL /* nothing of this process is near */
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define GAP_MOST (1UL << 17)  /* pages */
#define DISK_NEED (16L << 20) /* bytes; more than a sequence of the usual window writes */

static void *map(unsigned long at, unsigned long len, int prot, int flags)
{
	return mmap((void *)at, len, prot, flags, -1, 0);
}

/* Whether such a mapping is granted. It goes again. */
static bool maps(unsigned long at, unsigned long len, int prot, int flags)
{
	void *const p = map(at, len, prot, flags);

	if (p != MAP_FAILED)
		munmap(p, len);
	return p != MAP_FAILED;
}

/* pages -------------------------------------------------------------------------- */

static bool pagemap_of(const volatile char *page, uint64_t *entry, size_t n)
{
	const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const ssize_t size = (ssize_t)(n * sizeof(*entry));
	const off_t at = (off_t)((uintptr_t)page / PAGE * sizeof(*entry));
	const bool told = fd >= 0 && pread(fd, entry, (size_t)size, at) == size;

	if (fd >= 0)
		close(fd);
	return told;
}

/*
 * Two pages that were only read, and one that was written to. A page of zeros that all share is
 * no one's own; pages of one's own are mapped once each, and are two frames where frames are shown.
 */
static void probe_pages(struct host_facts *facts)
{
	volatile char *page = map(0, 3 * PAGE, PROT_READ | PROT_WRITE, ANON);
	uint64_t entry[3], first, second;

	if (page == MAP_FAILED || page[0] || page[PAGE])
		return;
	page[2 * PAGE] = 1;
	if (!pagemap_of(page, entry, 3) || !(entry[0] & entry[1] & SAMARA_PM_PRESENT))
		return;
	first = entry[0] & SAMARA_PM_PFN;
	second = entry[1] & SAMARA_PM_PFN;
	facts->proc.frames = entry[2] & SAMARA_PM_PFN;
	if ((entry[0] & entry[1] & SAMARA_PM_MMAP_EXCLUSIVE) && (!first || first != second)) {
		facts->zero.page = ZERO_PAGE_NONE;
	} else if (!((entry[0] | entry[1]) & SAMARA_PM_MMAP_EXCLUSIVE) && first == second) {
		facts->zero.page = ZERO_PAGE_SHARED;
		facts->zero.frame = first;
	}
	munmap((void *)page, 3 * PAGE);
}

#define SHARED_PIECES 16

/*
 * Pieces of shared memory, each a page longer than size: all aligned only if that is meant. Pieces
 * that lie side by side cannot all be, and those in holes of the map are not by chance so often.
 */
static bool aligns_shared(unsigned long size)
{
	unsigned long where = 0;

	for (int i = 0; i < SHARED_PIECES; i++)
		where |= (unsigned long)map(0, size + PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS);
	return !(where & (size - 1));
}

/* Shared memory that lies aligned to a size of huge pages, or has pages that were not written. */
static bool shares_huge_pages(void)
{
	const int fd = memfd_create("probe", MFD_CLOEXEC);
	unsigned char seen[16];
	char *at;

	for (unsigned long size = 2 * PAGE; size <= HUGE_PAGE; size *= 2)
		if (aligns_shared(size))
			return true;
	if (fd < 0 || ftruncate(fd, HUGE_PAGE) || pwrite(fd, "x", 1, 0) != 1)
		return false;
	at = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED || mincore(at, sizeof(seen) * PAGE, seen))
		return false;
	return (seen[1] | seen[15]) & 1;
}

static void probe_huge_pages(struct host_facts *facts)
{
	char *const page = map(0, PAGE, PROT_READ | PROT_WRITE, ANON);
	const int flags = ANON | MAP_HUGETLB;
	bool known;

	facts->huge.no_thp = page != MAP_FAILED && madvise(page, PAGE, 14) && errno == EINVAL;
	facts->huge.thp_stays =
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) || prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 1;
	facts->huge.shmem = shares_huge_pages();
	known = maps(0, HUGE_PAGE, PROT_NONE, flags | SIZE_2M | MAP_NORESERVE) || errno != EINVAL;
	facts->huge.hugetlb_odd = !known || maps(0, HUGE_PAGE, PROT_NONE, flags | SIZE_2M);
	facts->huge.no_gibibytes =
		!maps(0, 1UL << 30, PROT_NONE, flags | SIZE_1G | MAP_NORESERVE) && errno == EINVAL;
}

/* addresses ---------------------------------------------------------------------- */

/* The least page number from which on MAP_FIXED is granted. */
static unsigned long least_fixed(void)
{
	unsigned long low = 0, high = 256;

	while (low < high) {
		const unsigned long at = (low + high) / 2;

		if (maps(at * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED | NOREPLACE))
			high = at;
		else
			low = at + 1;
	}
	return high * PAGE;
}

static unsigned long where_hint_goes(unsigned long hint)
{
	void *const at = map(hint, PAGE, PROT_NONE, ANON);

	if (at == MAP_FAILED)
		return NONE;
	munmap(at, PAGE);
	return (unsigned long)at;
}

/* A hint is taken if it lies as far below a stack as the guard gap is wide. 0: unknown. */
static unsigned long stack_gap(void)
{
	const int flags = ANON | MAP_GROWSDOWN | NOREPLACE;
	const unsigned long stack = FAR + (GAP_MOST + 1) * PAGE;
	unsigned long low = 0, high = GAP_MOST;

	if (map(stack, PAGE, PROT_READ | PROT_WRITE, flags) == MAP_FAILED)
		return 0;
	while (low < high) {
		const unsigned long gap = (low + high) / 2, hint = stack - (gap + 1) * PAGE;

		if (where_hint_goes(hint) == hint)
			high = gap;
		else
			low = gap + 1;
	}
	munmap((void *)stack, PAGE);
	return high * PAGE;
}

static void drop_caps(void)
{
	unsigned int head[2] = { 0x20080522, 0 }, none[6] = { 0 };

	syscall(SYS_capset, head, none);
}

/* What capabilities allow, which is less than they say in a user namespace. */
static void probe_caps(struct host_facts *facts)
{
	const unsigned long with_caps = least_fixed();
	char *const page = map(0, PAGE, PROT_READ | PROT_WRITE, ANON);
	struct rlimit limit;

	if (facts->proc.frames)
		facts->process.caps |= SAMARA_CAP_SYS_ADMIN;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (page != MAP_FAILED && !mlock(page, PAGE))
		facts->process.caps |= SAMARA_CAP_IPC_LOCK;
	drop_caps();
	facts->addr.min_fixed = least_fixed();
	if (with_caps < facts->addr.min_fixed)
		facts->process.caps |= SAMARA_CAP_SYS_RAWIO;
}

static void probe_addresses(struct host_facts *facts)
{
	const unsigned long beyond = where_hint_goes(1UL << 48);

	facts->addr.min_hint = where_hint_goes(PAGE);
	facts->addr.stack_gap = stack_gap();
	facts->addr.la57 = beyond != NONE && beyond >= 1UL << 47;
	facts->prot.no_write_exec = !maps(0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, ANON);
	facts->prot.pkeys = syscall(SYS_pkey_alloc, 0, 0) >= 0;
}

/* /proc --------------------------------------------------------------------------- */

/* The first line of path that has word in it. */
static bool find_line(const char *path, const char *word, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, (int)size, f))
		found = strstr(line, word);
	if (f)
		fclose(f);
	return found;
}

static void probe_proc(struct host_facts *facts)
{
	char line[4096], me[32] = "";

	facts->proc.there = readlink("/proc/self", me, sizeof(me) - 1) > 0 &&
			    strtol(me, NULL, 10) == getpid() &&
			    find_line("/proc/self/smaps", "VmFlags:", line, sizeof(line));
	facts->proc.soft_dirty = find_line("/proc/self/smaps", " sd ", line, sizeof(line));
	facts->addr.gate = !find_line("/proc/self/maps", "[vsyscall]", line, sizeof(line)) ?
				   GATE_NONE :
			   strstr(line, " r") ? GATE_READ :
						GATE_EXEC;
	facts->ksm_runs = host_setting("/sys/kernel/mm/ksm/run") == 1;
	facts->vm.overcommit = host_setting("/proc/sys/vm/overcommit_memory");
	facts->vm.overcommit_ratio = host_setting("/proc/sys/vm/overcommit_ratio");
	facts->vm.overcommit_kbytes = host_setting("/proc/sys/vm/overcommit_kbytes");
	facts->vm.max_map_count = host_setting("/proc/sys/vm/max_map_count");
}

/* The disk's file as maps shows it, and as the library will ask for it. */
static void probe_disk(struct host_facts *facts)
{
	const int fd = file_on_disk();
	char line[4096];
	struct stat st;

	facts->disk.error = fd < 0 ? errno : 0;
	if (fd >= 0 && fallocate(fd, 0, 0, DISK_NEED) && errno != EOPNOTSUPP)
		facts->disk.error = errno;
	if (fd < 0 || ftruncate(fd, PAGE) || fstat(fd, &st))
		return;
	if (mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ||
	    !find_line("/proc/self/maps", "samara-check-", line, sizeof(line)) ||
	    sscanf(line, "%*s %*s %*s %x:%x", &facts->disk.maps_dev[0], &facts->disk.maps_dev[1]) !=
		    2)
		return;
	facts->disk.stat_dev[0] = major(st.st_dev);
	facts->disk.stat_dev[1] = minor(st.st_dev);
}

/* all ------------------------------------------------------------------------------ */

static void probe_name(struct host_facts *facts)
{
	struct utsname host;

	/* Some personalities give another release or machine. */
	facts->addr.random = personality(ADDR_NO_RANDOMIZE) < 0;
	if (uname(&host))
		return;
	snprintf(facts->uname.release, sizeof(facts->uname.release), "%s", host.release);
	snprintf(facts->uname.machine, sizeof(facts->uname.machine), "%s", host.machine);
}

static unsigned long limit_of(__rlimit_resource_t resource)
{
	struct rlimit limit = { 0 };

	getrlimit(resource, &limit);
	return limit.rlim_max;
}

/* What comes later may need what came before: huge pages are disabled by then. */
static void probe_all(struct host_facts *facts)
{
	facts->process.file_limit = limit_of(RLIMIT_FSIZE);
	facts->process.nofile_limit = limit_of(RLIMIT_NOFILE);
	probe_name(facts);
	probe_proc(facts);
	probe_huge_pages(facts);
	probe_pages(facts);
	probe_addresses(facts);
	probe_disk(facts);
	probe_uffd(facts);
	probe_caps(facts);
	facts->ended = true;
}

void host_probe(struct host_facts *facts)
{
	struct host_facts *seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	*facts = (struct host_facts){ .zero = { .page = ZERO_PAGE_UNKNOWN, .frame = NONE } };
	if (seen == MAP_FAILED)
		return;
	*seen = *facts;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		probe_all(seen);
		_exit(0);
	}
	if (pid > 0 && waitpid(pid, NULL, 0) == pid)
		*facts = *seen;
	munmap(seen, sizeof(*seen));
}
